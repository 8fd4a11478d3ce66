//! A URL, or a path, chooses the backend.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

#[cfg(feature = "aws")]
use segue_adapter_aws::{AwsBackend, AwsSettings, S3Notices};
use segue_adapter_local::LocalBackend;
use segue_domain::{Failure, Key};
use segue_pipeline::Deps;
#[cfg(feature = "aws")]
use segue_ports::PortErrorKind;
use segue_ports::{DeadLetters, MediaStore, QueueName, ReadArrivals, Reporter, WorkQueue};

use crate::failure;
#[cfg(feature = "aws")]
use crate::fleet::{Routed, SourceCache};

/// Where queue, ledger and media are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendUrl {
    /// An embedded database and a folder, in this folder.
    Folder(PathBuf),
    /// S3, SQS and DynamoDB, as the environment names them.
    #[cfg(feature = "aws")]
    Aws,
}

/// Schemes that belong to a backend which this build was made without.
const NOT_COMPILED: &[(&str, &str)] = &[
    ("postgres", "Postgres"),
    ("postgresql", "Postgres"),
    #[cfg(not(feature = "aws"))]
    ("aws", "AWS"),
    ("redis", "Redis"),
];

impl BackendUrl {
    /// The folder of an embedded backend.
    ///
    /// # Errors
    /// A backend that is no folder of this machine.
    pub fn folder(&self) -> Result<&Path, Failure> {
        match self {
            BackendUrl::Folder(path) => Ok(path),
            #[cfg(feature = "aws")]
            BackendUrl::Aws => Err(failure::usage(
                "a whole job in one process keeps its state in a folder; for aws:// start segue worker and \
                 give the job to segue submit",
            )),
        }
    }
}

impl FromStr for BackendUrl {
    type Err = Failure;

    fn from_str(text: &str) -> Result<BackendUrl, Failure> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err(failure::usage("the state folder has no name")),
                path => Ok(BackendUrl::Folder(path.into())),
            };
        };
        // never the rest of the URL in a message: it may hold a password
        match scheme {
            "file" if rest.starts_with('/') => return Ok(BackendUrl::Folder(rest.into())),
            "file" => {
                return Err(failure::usage("a file URL names a folder from the root: file:///var/lib/segue"));
            }
            #[cfg(feature = "aws")]
            "aws" if rest.is_empty() => return Ok(BackendUrl::Aws),
            #[cfg(feature = "aws")]
            "aws" => {
                return Err(failure::usage(
                    "aws:// stands alone; the environment names buckets, tables and queues: segue environment",
                ));
            }
            "s3" => {
                return Err(failure::usage("s3:// names a source, not a backend; the one for AWS is aws://"));
            }
            _ => {}
        }
        match NOT_COMPILED.iter().find(|(known, _)| *known == scheme) {
            Some((_, name)) => Err(failure::usage(format!(
                "the {name} backend ({scheme}://) is not compiled into this build; give a folder on this machine"
            ))),
            None => Err(failure::usage(format!(
                "there is no backend for {scheme}://; give a folder on this machine or a file:// URL"
            ))),
        }
    }
}

/// A queue whose dead letters can be looked at.
#[derive(Clone)]
pub struct DeadLane {
    /// Its name for people.
    pub name: &'static str,
    /// Its name for `letters`.
    pub queue: QueueName,
    /// What was put aside.
    pub letters: Arc<dyn DeadLetters>,
}

/// The queues of tasks as one, where those that need a GPU have their own; received from is the
/// one or the other.
#[cfg(feature = "aws")]
fn routed(ports: &AwsBackend, settings: &AwsSettings, from_gpu: bool) -> Option<Routed> {
    let (gpu, lane) = (ports.gpu_queue.clone()?, settings.gpu.as_ref()?);
    let plain = ports.queue.clone();
    let own: Arc<dyn WorkQueue> = if from_gpu { gpu.clone() } else { plain.clone() };
    Some(Routed { own, plain, gpu, kinds: lane.tasks.clone() })
}

/// An open backend.
pub enum Backend {
    /// An embedded database and a folder.
    Local(LocalBackend),
    /// S3, SQS and DynamoDB.
    #[cfg(feature = "aws")]
    Aws(Box<(AwsBackend, AwsSettings)>),
}

impl Backend {
    /// Opens the backend that `url` names. For AWS the environment names the rest, and nothing
    /// is asked of it yet: what is wrong there shows with the first call.
    ///
    /// # Errors
    /// A folder that cannot be used; an environment that lacks something.
    pub async fn open(url: &BackendUrl) -> Result<Backend, Failure> {
        match url {
            BackendUrl::Folder(folder) => Backend::open_folder(folder).await,
            #[cfg(feature = "aws")]
            BackendUrl::Aws => {
                let settings = AwsSettings::read(|name| std::env::var(name).ok());
                let settings = settings.map_err(|error| failure::port(&error))?;
                Ok(Backend::Aws(Box::new((AwsBackend::connect(&settings).await, settings))))
            }
        }
    }

    /// Opens the embedded backend in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// A folder that cannot be used, or a database in it that is damaged or newer.
    pub async fn open_folder(folder: &Path) -> Result<Backend, Failure> {
        let path = folder.to_owned();
        let opened = tokio::task::spawn_blocking(move || LocalBackend::open(&path)).await;
        let opened = opened.map_err(|error| failure::internal(format!("opening the state: {error}")))?;
        let local = opened.map_err(|error| Failure {
            cause: format!("state folder {}: {error}", folder.display()),
            ..failure::port(&error)
        })?;
        Ok(Backend::Local(local))
    }

    /// What the roles are given.
    pub fn deps(&self, reporter: Arc<dyn Reporter>) -> Deps {
        match self {
            Backend::Local(local) => Deps {
                ledger: local.ledger.clone(),
                queue: local.queue.clone(),
                store: local.store.clone(),
                reporter,
            },
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => {
                let (ports, settings) = &**aws;
                let queue: Arc<dyn WorkQueue> = match routed(ports, settings, false) {
                    Some(routed) => Arc::new(routed),
                    None => ports.queue.clone(),
                };
                Deps { ledger: ports.ledger.clone(), queue, store: ports.store.clone(), reporter }
            }
        }
    }

    /// The store for results that nobody waits for until they are on the disk; the store itself
    /// where the medium is not this machine's.
    pub fn results_store(&self) -> Arc<dyn MediaStore> {
        match self {
            Backend::Local(local) => Arc::new(local.store.without_flush()),
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => aws.0.store.clone(),
        }
    }

    /// What a worker is given that does the tasks which need a GPU; absent where they have no
    /// queue of their own.
    pub fn gpu_deps(&self, reporter: Arc<dyn Reporter>) -> Option<Deps> {
        match self {
            Backend::Local(_) => {
                drop(reporter);
                None
            }
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => {
                let queue = Arc::new(routed(&aws.0, &aws.1, true)?);
                Some(Deps { queue, ..self.deps(reporter) })
            }
        }
    }

    /// The store with downloaded sources kept in `folder`, at most `limit_bytes` of them; the
    /// store itself where a source is a file already.
    pub fn cached_store(&self, folder: PathBuf, limit_bytes: u64) -> Arc<dyn MediaStore> {
        match self {
            Backend::Local(local) => {
                let _ = (folder, limit_bytes);
                local.store.clone()
            }
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => {
                let store = aws.0.store.clone();
                Arc::new(SourceCache::new(store.clone(), store, folder, limit_bytes))
            }
        }
    }

    /// The queue on which the store tells of sources, where that is one of its own.
    pub fn notices(&self) -> Option<Arc<dyn WorkQueue>> {
        match self {
            Backend::Local(_) => None,
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => aws.0.notices.clone().map(|queue| queue as _),
        }
    }

    /// What was put aside: each queue by its name for people.
    pub fn dead_letters(&self) -> Vec<DeadLane> {
        let of = |letters: Arc<dyn DeadLetters>| {
            let lane =
                |queue: QueueName| DeadLane { name: queue.as_str(), queue, letters: Arc::clone(&letters) };
            QueueName::ALL.map(lane).to_vec()
        };
        match self {
            Backend::Local(local) => of(local.queue.clone()),
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => {
                let mut lanes = of(aws.0.queue.clone());
                if let Some(gpu) = &aws.0.gpu_queue {
                    lanes.push(DeadLane { name: "map-gpu", queue: QueueName::Map, letters: gpu.clone() });
                }
                if let Some(notices) = &aws.0.notices {
                    lanes.push(DeadLane {
                        name: "ingest",
                        queue: QueueName::Chunk,
                        letters: notices.clone(),
                    });
                }
                lanes
            }
        }
    }

    /// Reads what the store says of sources that arrive; absent where it says nothing.
    pub fn arrivals(&self) -> Option<Arc<dyn ReadArrivals>> {
        match self {
            Backend::Local(_) => None,
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => Some(Arc::new(S3Notices::of(&aws.1.buckets.input))),
        }
    }

    /// Makes the file at `path`, which stays where it is, readable as `key`: a link in the
    /// embedded store, a copy in another.
    ///
    /// # Errors
    /// The store's.
    pub async fn adopt(&self, key: &Key, path: &Path) -> Result<(), Failure> {
        let adopted = match self {
            Backend::Local(local) => local.store.adopt(key, path).await.map(drop),
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => aws.0.store.adopt(key, path).await.map(drop),
        };
        adopted.map_err(|error| failure::port(&error))
    }

    /// Makes the object at `s3://BUCKET/NAME` readable as `key`, copied by the service itself.
    ///
    /// # Errors
    /// The store's; a backend that is not AWS.
    pub async fn import(&self, bucket: &str, name: &str, key: &Key) -> Result<(), Failure> {
        match self {
            Backend::Local(_) => {
                let _ = (bucket, name, key);
                Err(failure::usage("an object of S3 is a source for aws:// only; download it first"))
            }
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => {
                let imported = aws.0.store.import(bucket, name, key).await;
                imported.map(drop).map_err(|error| match error.kind {
                    PortErrorKind::NotFound | PortErrorKind::Misuse => failure::source(error.to_string()),
                    _ => failure::port(&error),
                })
            }
        }
    }

    /// The bucket in which sources are looked for, where there is one.
    pub fn input_bucket(&self) -> Option<&str> {
        match self {
            Backend::Local(_) => None,
            #[cfg(feature = "aws")]
            Backend::Aws(aws) => Some(&aws.1.buckets.input),
        }
    }

    /// Where the roles see an adopted file of the embedded store; in what a user reads it is
    /// better called by its own name.
    pub fn adopted_path(&self, key: &Key) -> Option<PathBuf> {
        match self {
            Backend::Local(local) => Some(local.store.root().join(key.to_string())),
            #[cfg(feature = "aws")]
            Backend::Aws(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_or_a_path_chooses() {
        for (text, folder) in [("x", "x"), ("/a/b", "/a/b"), ("file:///a", "/a")] {
            let url = text.parse::<BackendUrl>().unwrap();
            assert_eq!(url.folder().unwrap(), Path::new(folder), "{text}");
        }
        for (text, said) in [
            ("postgres://me:secret@host/db", "not compiled into this build"),
            ("s3://secret", "names a source"),
            ("gopher://secret", "no backend for gopher"),
            ("file://secret", "from the root"),
            ("", "no name"),
        ] {
            let cause = text.parse::<BackendUrl>().unwrap_err().cause;
            assert!(cause.contains(said), "{cause}");
            assert!(!cause.contains("secret"), "{cause}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn aws_is_named_by_its_scheme_alone() {
        assert_eq!("aws://".parse::<BackendUrl>().unwrap(), BackendUrl::Aws);
        let cause = "aws://key:secret@x".parse::<BackendUrl>().unwrap_err().cause;
        assert!(cause.contains("stands alone") && !cause.contains("secret"), "{cause}");
        assert!(BackendUrl::Aws.folder().unwrap_err().cause.contains("segue submit"));
    }
}
