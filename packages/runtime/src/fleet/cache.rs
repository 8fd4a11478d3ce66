//! Sources on this machine: downloaded once, and then there for every task that reads them.
//!
//! Each version of an object has one file here. A task gets a link of it in its own folder, so a
//! file that is removed to make room stays readable for those who have it. The newest file is
//! never removed: what is kept is at most the limit, or one source where that is larger.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{MediaStore, Object, ObjectPage, PortError, PortErrorKind, PutMode, PutResult};

/// A store that can tell versions of an object apart.
#[async_trait]
pub trait Versions: Send + Sync {
    /// Size in bytes and the name of the present version, or `None`.
    async fn version(&self, key: &Key) -> Result<Option<(u64, String)>, PortError>;
}

#[cfg(feature = "aws")]
#[async_trait]
impl Versions for segue_adapter_aws::S3Store {
    async fn version(&self, key: &Key) -> Result<Option<(u64, String)>, PortError> {
        segue_adapter_aws::S3Store::version(self, key).await
    }
}

/// A store that keeps what the chunker and the users brought, and passes on everything else.
pub struct SourceCache {
    store: Arc<dyn MediaStore>,
    versions: Arc<dyn Versions>,
    folder: PathBuf,
    limit_bytes: u64,
    kept: Mutex<Kept>,
    links: AtomicU64,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    files: HashMap<String, File>,
    /// One download of a version at a time.
    gates: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

struct File {
    bytes: u64,
    used: u64,
}

impl SourceCache {
    /// A cache of `store` in `folder`, which is this process's own and is made if need be.
    pub fn new(
        store: Arc<dyn MediaStore>,
        versions: Arc<dyn Versions>,
        folder: PathBuf,
        limit_bytes: u64,
    ) -> SourceCache {
        SourceCache { store, versions, folder, limit_bytes, kept: Mutex::default(), links: AtomicU64::new(0) }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        let found = self.versions.version(key).await?;
        let (bytes, version) = found
            .ok_or_else(|| PortError::new(PortErrorKind::NotFound, format!("{key} is not in the store")))?;
        let name = blake3::hash(format!("{key}\n{version}").as_bytes()).to_hex().to_string();
        let gate = Arc::clone(self.kept().gates.entry(name.clone()).or_default());
        let _alone = gate.lock().await;
        let path = self.folder.join(&name);
        if !self.use_again(&name) {
            let io = |e| PortError::io(format_args!("source cache {}", self.folder.display()), e);
            std::fs::create_dir_all(&self.folder).map_err(io)?;
            let got = self.store.get_file(key, &self.folder).await?;
            std::fs::rename(&got, &path).map_err(io)?;
            self.keep(name, bytes);
        }
        self.link(key, &path, scratch)
    }

    fn use_again(&self, name: &str) -> bool {
        let mut kept = self.kept();
        kept.clock += 1;
        let now = kept.clock;
        kept.files.get_mut(name).map(|file| file.used = now).is_some()
    }

    /// Notes a new file and makes room for it.
    fn keep(&self, name: String, bytes: u64) {
        let mut kept = self.kept();
        kept.clock += 1;
        let now = kept.clock;
        kept.files.insert(name, File { bytes, used: now });
        while kept.files.values().map(|file| file.bytes).sum::<u64>() > self.limit_bytes {
            let oldest = kept.files.iter().min_by_key(|(_, file)| file.used);
            let Some((name, _)) = oldest.filter(|(_, file)| file.used != now) else { break };
            let name = name.clone();
            kept.files.remove(&name);
            kept.gates.remove(&name);
            if let Err(error) = std::fs::remove_file(self.folder.join(&name)) {
                tracing::warn!(%error, name, "a cached source stays on the disk");
            }
        }
    }

    fn link(&self, key: &Key, from: &Path, scratch: &Path) -> Result<PathBuf, PortError> {
        let number = self.links.fetch_add(1, Ordering::Relaxed);
        let text = key.to_string();
        let to = scratch.join(format!("src-{number}-{}", text.rsplit('/').next().unwrap_or(&text)));
        let linked = std::fs::hard_link(from, &to).or_else(|_| std::fs::copy(from, &to).map(drop));
        linked.map_err(|e| PortError::io(format_args!("cannot read {key} from the source cache"), e))?;
        Ok(to)
    }
}

#[async_trait]
impl MediaStore for SourceCache {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<PutResult, PortError> {
        self.store.put_bytes(key, bytes, mode).await
    }

    async fn put_file(&self, key: &Key, file: &Path, mode: PutMode) -> Result<PutResult, PortError> {
        self.store.put_file(key, file, mode).await
    }

    async fn promote(&self, from: &Key, to: &Key) -> Result<PutResult, PortError> {
        self.store.promote(from, to).await
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        self.store.get_bytes(key, limit).await
    }

    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        match key {
            Key::Source { .. } | Key::Segment { .. } => self.fetch(key, scratch).await,
            Key::Work { .. } | Key::Published { .. } => self.store.get_file(key, scratch).await,
        }
    }

    async fn head(&self, key: &Key) -> Result<Option<Object>, PortError> {
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        self.store.list(prefix, from, max).await
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.store.delete(key).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use segue_ports::memory::MemoryStore;

    use super::*;

    /// Versions by content; counts downloads.
    struct Counting {
        store: MemoryStore,
        downloads: AtomicUsize,
    }

    #[async_trait]
    impl Versions for Counting {
        async fn version(&self, key: &Key) -> Result<Option<(u64, String)>, PortError> {
            let Some(object) = self.store.head(key).await? else { return Ok(None) };
            let bytes = self.store.get_bytes(key, 1 << 20).await?;
            Ok(Some((object.bytes, blake3::hash(&bytes).to_string())))
        }
    }

    #[async_trait]
    impl MediaStore for Counting {
        async fn put_bytes(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<PutResult, PortError> {
            self.store.put_bytes(key, bytes, mode).await
        }
        async fn put_file(&self, key: &Key, file: &Path, mode: PutMode) -> Result<PutResult, PortError> {
            self.store.put_file(key, file, mode).await
        }
        async fn promote(&self, from: &Key, to: &Key) -> Result<PutResult, PortError> {
            self.store.promote(from, to).await
        }
        async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
            self.store.get_bytes(key, limit).await
        }
        async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
            self.downloads.fetch_add(1, Ordering::Relaxed);
            self.store.get_file(key, scratch).await
        }
        async fn head(&self, key: &Key) -> Result<Option<Object>, PortError> {
            self.store.head(key).await
        }
        async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
            self.store.list(prefix, from, max).await
        }
        async fn delete(&self, key: &Key) -> Result<(), PortError> {
            self.store.delete(key).await
        }
    }

    #[tokio::test]
    async fn a_source_is_downloaded_once_for_all_tasks_and_anew_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let counting = Arc::new(Counting { store: MemoryStore::new(), downloads: AtomicUsize::new(0) });
        let cache = SourceCache::new(counting.clone(), counting.clone(), dir.path().join("cache"), 10);
        let key = |job: &str| Key::source(&job.parse().unwrap(), "mp4");
        let put = async |job: &str, text: &'static str| {
            let bytes = Bytes::from_static(text.as_bytes());
            counting.put_bytes(&key(job), bytes, PutMode::Replace).await.unwrap();
        };
        put("a", "aaaaaa").await;
        put("b", "bbbbbb").await;
        let read = async |job: &str| {
            let path = cache.get_file(&key(job), dir.path()).await.unwrap();
            (std::fs::read_to_string(&path).unwrap(), path)
        };
        let (one, other) = tokio::join!(read("a"), read("a"));
        assert_eq!((one.0.as_str(), other.0.as_str()), ("aaaaaa", "aaaaaa"));
        assert_ne!(one.1, other.1, "each task has a name of its own");
        assert_eq!(counting.downloads.load(Ordering::Relaxed), 1);
        // there is room for one only, and who has a link keeps it
        assert_eq!(read("b").await.0, "bbbbbb");
        assert_eq!(std::fs::read_dir(dir.path().join("cache")).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(&one.1).unwrap(), "aaaaaa");
        assert_eq!(read("a").await.0, "aaaaaa");
        assert_eq!(counting.downloads.load(Ordering::Relaxed), 3);
        put("a", "cccccc").await;
        assert_eq!(read("a").await.0, "cccccc");
        let gone = cache.get_file(&key("none"), dir.path()).await.unwrap_err();
        assert_eq!(gone.kind, PortErrorKind::NotFound);
    }
}
