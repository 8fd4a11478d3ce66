//! Paths and `file://`: the embedded ledger and queue (SQLite) and a media folder.
//!
//! A folder that is only a store is opened without a database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use segue_adapter_folder::{FolderStore, make_private};
use segue_adapter_local::LocalBackend;
use segue_domain::{Failure, Key};
use segue_ports::{DeadLetters, Lane, PortError};

use crate::backend::DeadLane;
use crate::failure::{internal, port, usage};
use crate::provider::{Opened, Provider, QueuePart, Scheme, StorePart, Wanted};
use crate::sources::Sources;
use crate::url::{BackendUrl, Part};

pub(crate) const SCHEMES: &[Scheme] =
    &[Scheme { name: "file", parts: &Part::ALL, check, provider: || Box::new(Folders) }];

fn check(rest: &str) -> Result<(), Failure> {
    match rest.starts_with('/') {
        true => Ok(()),
        false => Err(usage("a file URL names a folder from the root: file:///var/lib/segue")),
    }
}

/// The folder that `text`, a path or a `file://` URL, names.
///
/// # Errors
/// A URL of another backend.
pub fn folder_of(text: &str) -> Result<PathBuf, Failure> {
    let url: BackendUrl = text.parse()?;
    match url.scheme() {
        "file" => Ok(url.rest().into()),
        _ => Err(usage(
            "a whole job in one process keeps its state in a folder; for aws:// start segue worker and \
             give the job to segue submit",
        )),
    }
}

struct Folders;

#[async_trait]
impl Provider for Folders {
    fn schemes(&self) -> &'static [Scheme] {
        SCHEMES
    }

    async fn open(&self, wanted: Wanted<'_>) -> Result<Opened, Failure> {
        let urls = [wanted.ledger, wanted.queue].into_iter().flatten();
        let folders: BTreeSet<&str> = urls.map(BackendUrl::rest).collect();
        let mut open = BTreeMap::<&str, LocalBackend>::new();
        for folder in folders {
            open.insert(folder, open_database(Path::new(folder)).await?);
        }
        let local = |url: &BackendUrl| open.get(url.rest());
        let store = match wanted.store {
            Some(url) => Some(match local(url) {
                Some(local) => Arc::clone(&local.store),
                None => Arc::new(open_media(Path::new(url.rest())).await?),
            }),
            None => None,
        };
        Ok(Opened {
            ledger: wanted.ledger.and_then(local).map(|local| local.ledger.clone() as _),
            catalogue: wanted.ledger.and_then(local).map(|local| local.catalogue.clone() as _),
            queue: wanted.queue.and_then(local).map(queue_part),
            store: store.map(store_part),
        })
    }
}

/// Opens ledger, queue and store in one folder.
pub(crate) async fn open_whole(folder: &Path) -> Result<Opened, Failure> {
    let local = open_database(folder).await?;
    Ok(Opened {
        ledger: Some(local.ledger.clone()),
        catalogue: Some(local.catalogue.clone()),
        queue: Some(queue_part(&local)),
        store: Some(store_part(Arc::clone(&local.store))),
    })
}

fn queue_part(local: &LocalBackend) -> QueuePart {
    let letters: Arc<dyn DeadLetters> = local.queue.clone();
    QueuePart {
        queue: local.queue.clone(),
        gpu_tasks: Vec::new(),
        has_ingest_lane: false,
        dead_letters: DeadLane::new(&letters, &Lane::ALL),
    }
}

fn store_part(store: Arc<FolderStore>) -> StorePart {
    StorePart {
        store: store.clone(),
        documents: store.clone(),
        results: Arc::new(store.without_flush()),
        sources: Arc::new(FolderSources(store)),
        arrivals: None,
        is_local: true,
    }
}

async fn open_database(folder: &Path) -> Result<LocalBackend, Failure> {
    blocking(folder, LocalBackend::open).await
}

/// The media store of a state folder alone. It is created with access for its owner only, as a state folder is.
async fn open_media(folder: &Path) -> Result<FolderStore, Failure> {
    blocking(folder, |folder| {
        make_private(folder).map_err(|e| PortError::file("cannot make", folder, e))?;
        FolderStore::open(&folder.join("media"))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    folder: &Path,
    open: fn(&Path) -> Result<T, PortError>,
) -> Result<T, Failure> {
    let path = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&path)).await;
    let opened = opened.map_err(|error| internal(format!("opening the state: {error}")))?;
    opened.map_err(|error| Failure {
        cause: format!("state folder {}: {error}", folder.display()),
        ..port(&error)
    })
}

struct FolderSources(Arc<FolderStore>);

#[async_trait]
impl Sources for FolderSources {
    async fn adopt(&self, key: &Key, path: &Path) -> Result<(), PortError> {
        self.0.adopt(key, path).await
    }

    async fn import(&self, _bucket: &str, _name: &str, _key: &Key) -> Result<(), Failure> {
        Err(usage("an object of S3 is a source for an S3 store only (aws://); download it first"))
    }

    fn input_bucket(&self) -> Option<&str> {
        None
    }

    fn adopted_path(&self, key: &Key) -> Option<PathBuf> {
        Some(self.0.root().join(key.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use segue_ports::PutOptions;

    use super::*;
    use crate::{Backend, BackendUrls, PartUrls};

    fn key() -> Key {
        Key::source(&"j".parse().unwrap(), "mp4")
    }

    async fn open(parts: PartUrls<'_>) -> Backend {
        Backend::open(&BackendUrls::new(parts).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_folder_that_is_only_a_store_has_no_database() {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| root.path().join(name).display().to_string();
        let (work, media) = (folder("work"), folder("media"));
        let parts = PartUrls { backend: Some(&work), store: Some(&media), ..PartUrls::default() };
        let backend = open(parts).await;
        backend.store.put_bytes(&key(), "abc".into(), &PutOptions::default()).await.unwrap();
        assert!(root.path().join("work/segue.db").is_file());
        let catalogue = backend.catalogue.as_ref().expect("a catalogue beside the ledger");
        assert_eq!(catalogue.get(&"a".parse().unwrap()).await.unwrap(), None);
        assert!(!root.path().join("media/segue.db").exists());
        assert_eq!(backend.results.get_bytes(&key(), 9).await.unwrap(), "abc");
        assert_eq!(std::fs::read(root.path().join("media/media").join(key().to_string())).unwrap(), b"abc");
        assert!(backend.store.get_bytes(&key(), 9).await.is_ok());
    }

    #[tokio::test]
    async fn one_folder_named_thrice_is_the_shorthand() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("all").display().to_string();
        let thrice =
            PartUrls { backend: None, ledger: Some(&folder), queue: Some(&folder), store: Some(&folder) };
        let backend = open(thrice).await;
        backend.store.put_bytes(&key(), "abc".into(), &PutOptions::default()).await.unwrap();
        drop(backend);
        let again = open(PartUrls { backend: Some(&folder), ..PartUrls::default() }).await;
        assert_eq!(again.store.get_bytes(&key(), 9).await.unwrap(), "abc");
    }

    #[test]
    fn only_a_folder_holds_the_state_of_a_run() {
        assert_eq!(folder_of("file:///a").unwrap(), Path::new("/a"));
        #[cfg(feature = "aws")]
        assert!(folder_of("aws://").unwrap_err().cause.contains("segue submit"));
    }
}
