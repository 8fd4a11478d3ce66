//! Source cache of a process: each source is downloaded once for all tasks that read it.
//!
//! Each version of an object has one sparse file here; ranges are filled on request. A task
//! gets a hard link to it in its own folder, so a file that is evicted stays readable, and is
//! filled further, through the links that exist. The newest file is never evicted: the cache holds
//! at most the limit, or what is in use.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{
    ByteStream, FileUse, MediaStore, ObjectInfo, ObjectPage, PortError, PortErrorKind, PutOptions, Source,
    Version,
};

use super::ranged::RangedFile;

/// A store that caches sources (objects of the chunker and of users), and passes all other calls on.
pub struct SourceCache {
    store: Arc<dyn MediaStore>,
    folder: PathBuf,
    limit_bytes: u64,
    kept: Mutex<Kept>,
    links: AtomicU64,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    files: HashMap<String, Entry>,
}

struct Entry {
    file: Arc<RangedFile>,
    used: u64,
}

impl SourceCache {
    /// Creates a cache of `store` in `folder`, which belongs to this process and is created if missing.
    pub fn new(store: Arc<dyn MediaStore>, folder: PathBuf, limit_bytes: u64) -> SourceCache {
        SourceCache { store, folder, limit_bytes, kept: Mutex::default(), links: AtomicU64::new(0) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, key: &Key, scratch: &Path) -> Result<Source, PortError> {
        let object = self.store.head(key).await?;
        let object = object
            .ok_or_else(|| PortError::new(PortErrorKind::NotFound, format!("{key} is not in the store")))?;
        let name = blake3::hash(format!("{key}\n{}", object.version.0).as_bytes()).to_hex().to_string();
        let path = self.folder.join(&name);
        // linked under the lock: eviction by another caller runs only afterwards
        let mut kept = self.kept();
        kept.clock += 1;
        let now = kept.clock;
        let file = match kept.files.get_mut(&name) {
            Some(entry) => {
                entry.used = now;
                Arc::clone(&entry.file)
            }
            None => {
                let io = |e| PortError::io(format_args!("source cache {}", self.folder.display()), e);
                std::fs::create_dir_all(&self.folder).map_err(io)?;
                let file = RangedFile::create(Arc::clone(&self.store), key.clone(), object, &path)?;
                let file = Arc::new(file);
                kept.files.insert(name, Entry { file: Arc::clone(&file), used: now });
                file
            }
        };
        self.make_room(&mut kept, now);
        let link = self.link(key, &path, scratch)?;
        Ok(Source::partial(link, file))
    }

    /// Evicts the least recently used files that no task uses, until the limit is met.
    fn make_room(&self, kept: &mut Kept, now: u64) {
        let mut bytes: u64 = kept.files.values().map(|entry| entry.file.bytes_there()).sum();
        while bytes > self.limit_bytes {
            let idle = |entry: &Entry| entry.used != now && Arc::strong_count(&entry.file) == 1;
            let oldest = kept.files.iter().filter(|(_, entry)| idle(entry)).min_by_key(|(_, e)| e.used);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { break };
            let gone = kept.files.remove(&name).map_or(0, |entry| entry.file.bytes_there());
            bytes -= gone;
            if let Err(error) = std::fs::remove_file(self.folder.join(&name)) {
                tracing::warn!(%error, name, "cannot remove a cached source");
            }
        }
    }

    fn link(&self, key: &Key, from: &Path, scratch: &Path) -> Result<PathBuf, PortError> {
        let number = self.links.fetch_add(1, Ordering::Relaxed);
        let text = key.to_string();
        let to = scratch.join(format!("src-{number}-{}", text.rsplit('/').next().unwrap_or(&text)));
        // a copy would not be filled any further
        let linked = std::fs::hard_link(from, &to).or_else(|_| std::os::unix::fs::symlink(from, &to));
        linked.map_err(|e| PortError::io(format_args!("cannot read {key} from the source cache"), e))?;
        Ok(to)
    }
}

#[async_trait]
impl MediaStore for SourceCache {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, options: &PutOptions) -> Result<(), PortError> {
        self.store.put_bytes(key, bytes, options).await
    }

    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        options: &PutOptions,
    ) -> Result<(), PortError> {
        self.store.upload(key, file, file_use, options).await
    }

    async fn promote(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
        self.store.promote(from, to, options).await
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        self.store.get_bytes(key, limit).await
    }

    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        match key {
            Key::Source { .. } | Key::Segment { .. } => {
                Ok(self.open_source(key, scratch).await?.prefetch_all().await?.to_owned())
            }
            Key::Work { .. } | Key::Published { .. } => self.store.get_file(key, scratch).await,
        }
    }

    async fn open_source(&self, key: &Key, scratch: &Path) -> Result<Source, PortError> {
        match key {
            Key::Source { .. } | Key::Segment { .. } => self.open(key, scratch).await,
            Key::Work { .. } | Key::Published { .. } => self.store.open_source(key, scratch).await,
        }
    }

    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        self.store.get_range(key, version, range).await
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        self.store.list(prefix, from, max).await
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.store.delete(key).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
        self.store.delete_many(keys).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use segue_ports_testkit::memory::MemoryStore;

    use super::*;

    /// A store that counts what is read of it.
    struct Counting {
        store: MemoryStore,
        bytes: AtomicUsize,
        fails: AtomicBool,
        crc32: Option<u32>,
    }

    #[async_trait]
    impl MediaStore for Counting {
        async fn put_bytes(&self, key: &Key, bytes: Bytes, options: &PutOptions) -> Result<(), PortError> {
            self.store.put_bytes(key, bytes, options).await
        }

        async fn upload(
            &self,
            key: &Key,
            file: &Path,
            file_use: FileUse,
            options: &PutOptions,
        ) -> Result<(), PortError> {
            self.store.upload(key, file, file_use, options).await
        }

        async fn promote(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
            self.store.promote(from, to, options).await
        }

        async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
            self.store.get_bytes(key, limit).await
        }

        async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
            self.store.get_file(key, scratch).await
        }

        async fn get_range(
            &self,
            key: &Key,
            version: &Version,
            range: Range<u64>,
        ) -> Result<ByteStream, PortError> {
            // yields to the other tasks
            tokio::task::yield_now().await;
            if self.fails.load(Ordering::Relaxed) {
                return Err(PortError::new(PortErrorKind::Transient, "connection timed out"));
            }
            let stream = self.store.get_range(key, version, range.clone()).await?;
            self.bytes.fetch_add((range.end - range.start) as usize, Ordering::Relaxed);
            Ok(stream)
        }

        async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
            let found = self.store.head(key).await?;
            Ok(found.map(|found| ObjectInfo { crc32: self.crc32, ..found }))
        }

        async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
            self.store.list(prefix, from, max).await
        }

        async fn delete(&self, key: &Key) -> Result<(), PortError> {
            self.store.delete(key).await
        }

        async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
            self.store.delete_many(keys).await
        }
    }

    struct Bench {
        dir: tempfile::TempDir,
        counting: Arc<Counting>,
        cache: SourceCache,
    }

    fn bench(limit: u64, crc32: Option<u32>) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let counting = Arc::new(Counting {
            store: MemoryStore::new(),
            bytes: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            crc32,
        });
        let cache = SourceCache::new(counting.clone(), dir.path().join("cache"), limit);
        Bench { dir, counting, cache }
    }

    fn key(job: &str) -> Key {
        Key::source(&job.parse().unwrap(), "mp4")
    }

    impl Bench {
        async fn put(&self, job: &str, bytes: impl Into<Bytes>) {
            self.counting.store.put_bytes(&key(job), bytes.into(), &PutOptions::default()).await.unwrap();
        }

        async fn open(&self, job: &str) -> Source {
            self.cache.open_source(&key(job), self.dir.path()).await.unwrap()
        }

        async fn text(&self, job: &str) -> (String, PathBuf) {
            let path = self.cache.get_file(&key(job), self.dir.path()).await.unwrap();
            (std::fs::read_to_string(&path).unwrap(), path)
        }

        fn read(&self) -> usize {
            self.counting.bytes.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn a_source_is_fetched_once_for_all_tasks_and_anew_when_it_changes() {
        let bench = bench(10, None);
        bench.put("a", "aaaaaa").await;
        bench.put("b", "bbbbbb").await;
        let (one, other) = tokio::join!(bench.text("a"), bench.text("a"));
        assert_eq!((one.0.as_str(), other.0.as_str()), ("aaaaaa", "aaaaaa"));
        assert_ne!(one.1, other.1, "each task has its own link");
        assert_eq!(bench.read(), 6);
        // the cache has room for one file only, and a task with a link keeps its file
        assert_eq!(bench.text("b").await.0, "bbbbbb");
        assert_eq!(bench.text("b").await.0, "bbbbbb");
        assert_eq!(std::fs::read_dir(bench.dir.path().join("cache")).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(&one.1).unwrap(), "aaaaaa");
        assert_eq!(bench.text("a").await.0, "aaaaaa");
        assert_eq!(bench.read(), 18);
        bench.put("a", "cccccc").await;
        assert_eq!(bench.text("a").await.0, "cccccc");
        let gone = bench.cache.get_file(&key("none"), bench.dir.path()).await.unwrap_err();
        assert_eq!(gone.kind, PortErrorKind::NotFound);
    }

    #[tokio::test]
    async fn only_what_is_asked_for_is_fetched_and_each_byte_once() {
        let bench = bench(1 << 30, None);
        let bytes: Vec<u8> = (0..10_000_000u32).map(|i| (i % 251) as u8).collect();
        bench.put("a", bytes.clone()).await;
        let source = bench.open("a").await;
        let rest = Arc::clone(source.remote().unwrap());
        let ask = async |range: Range<u64>| rest.prefetch(&[range]).await.unwrap();
        ask(5_000_000..5_000_010).await;
        assert_eq!(bench.read(), 10);
        assert_eq!(std::fs::read(source.path()).unwrap()[5_000_000..5_000_010], bytes[5_000_000..5_000_010]);
        // two concurrent readers of overlapping ranges, and a third through another link
        let other = bench.open("a").await;
        let third = other.remote().unwrap();
        let all = 0..u64::MAX;
        let (fetched, _, _) = tokio::join!(
            third.prefetch(std::slice::from_ref(&all)),
            ask(0..9_000_000),
            ask(4_999_999..u64::MAX)
        );
        fetched.unwrap();
        assert_eq!(bench.read(), bytes.len());
        assert!(std::fs::read(other.path()).unwrap() == bytes);
    }

    #[tokio::test]
    async fn what_failed_is_fetched_again_and_a_replaced_source_is_not_mixed() {
        let bench = bench(1 << 30, None);
        bench.put("a", "aaaaaa").await;
        let source = bench.open("a").await;
        bench.counting.fails.store(true, Ordering::Relaxed);
        assert_eq!(source.prefetch_all().await.unwrap_err().kind, PortErrorKind::Transient);
        bench.counting.fails.store(false, Ordering::Relaxed);
        source.remote().unwrap().prefetch(std::slice::from_ref(&(0..2))).await.unwrap();
        bench.put("a", "bbbbbb").await;
        let error = source.prefetch_all().await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Transient);
        assert!(error.to_string().contains("replaced"), "{error}");
        assert_eq!(bench.text("a").await.0, "bbbbbb");
    }

    #[tokio::test]
    async fn a_whole_file_has_the_checksum_that_it_was_stored_with() {
        let damaged = bench(1 << 30, Some(crc32fast::hash(b"abcdef")));
        damaged.put("a", "abcdeg").await;
        let source = damaged.open("a").await;
        assert_eq!(source.prefetch_all().await.unwrap_err().kind, PortErrorKind::Corrupt);
        assert_eq!(source.prefetch_all().await.unwrap_err().kind, PortErrorKind::Corrupt);
        let good = bench(1 << 30, Some(crc32fast::hash(b"abcdef")));
        good.put("a", "abcdef").await;
        assert_eq!(good.text("a").await.0, "abcdef");
    }
}
