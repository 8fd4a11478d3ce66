//! In-memory media store.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use segue_domain::Key;

use segue_ports::document::{Document, DocumentWrite, Expected, StoreDocuments};
use segue_ports::error::{PortError, PortErrorKind};
use segue_ports::media_type_of;
use segue_ports::store::{
    ByteStream, FileUse, MediaStore, Object, ObjectInfo, ObjectPage, PutOptions, Version, check_range,
};

/// Size of a stream item, bytes.
const PIECE: usize = 64 << 10;

/// Objects with the lifetime of the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<Objects>,
    copies: AtomicU64,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, Stored>,
    writes: u64,
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    write: u64,
    media_type: String,
    cache_control: Option<String>,
}

impl Stored {
    fn version(&self) -> Version {
        Version(format!("write-{}", self.write))
    }
}

impl Objects {
    fn put(&mut self, key: String, bytes: Bytes, options: &PutOptions) -> Version {
        self.writes += 1;
        let media_type = options.media_type.clone().unwrap_or_else(|| media_type_of(&key).to_owned());
        let cache_control = options.cache_control.clone();
        let stored = Stored { bytes, write: self.writes, media_type, cache_control };
        let version = stored.version();
        self.by_key.insert(key, stored);
        version
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn locked(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &Key) -> Result<Stored, PortError> {
        self.locked().by_key.get(&key.to_string()).cloned().ok_or_else(|| not_found(key))
    }
}

fn not_found(key: &Key) -> PortError {
    PortError::new(PortErrorKind::NotFound, format!("{key} is not in the store"))
}

fn check_limit(key: &Key, bytes: &Bytes, limit: u64) -> Result<(), PortError> {
    if bytes.len() as u64 <= limit {
        return Ok(());
    }
    let message = format!("{key} has {} bytes, at most {limit} were expected", bytes.len());
    Err(PortError::new(PortErrorKind::Corrupt, message))
}

#[async_trait]
impl MediaStore for MemoryStore {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, options: &PutOptions) -> Result<(), PortError> {
        self.locked().put(key.to_string(), bytes, options);
        Ok(())
    }

    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        options: &PutOptions,
    ) -> Result<(), PortError> {
        let io = |error| PortError::io(format_args!("cannot upload {}", file.display()), error);
        let found = tokio::fs::symlink_metadata(file).await.map_err(io)?;
        if !found.is_file() {
            let message = format!("{} is not a plain file", file.display());
            return Err(PortError::new(PortErrorKind::Misuse, message));
        }
        let bytes = tokio::fs::read(file).await.map_err(io)?;
        self.locked().put(key.to_string(), Bytes::from(bytes), options);
        match file_use {
            FileUse::Keep => Ok(()),
            FileUse::Consume => tokio::fs::remove_file(file).await.map_err(io),
        }
    }

    async fn promote(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
        let mut objects = self.locked();
        let to = to.to_string();
        match objects.by_key.get(&from.to_string()).map(|stored| stored.bytes.clone()) {
            Some(bytes) => {
                objects.put(to, bytes, options);
                Ok(())
            }
            None if objects.by_key.contains_key(&to) => Ok(()),
            None => Err(not_found(from)),
        }
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        let bytes = self.get(key)?.bytes;
        check_limit(key, &bytes, limit)?;
        Ok(bytes)
    }

    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        let bytes = self.get(key)?.bytes;
        let key = key.to_string();
        let name = key.rsplit('/').next().unwrap_or(&key);
        let path = scratch.join(format!("get-{}-{name}", self.copies.fetch_add(1, Ordering::Relaxed)));
        let io = |error| PortError::io(format_args!("cannot write {}", path.display()), error);
        tokio::fs::create_dir_all(scratch).await.map_err(io)?;
        tokio::fs::write(&path, &bytes).await.map_err(io)?;
        Ok(path)
    }

    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        let stored = self.get(key)?;
        if stored.version() != *version {
            let message = format!("{key} was replaced since {} was read", version.0);
            return Err(PortError::new(PortErrorKind::Replaced, message));
        }
        check_range(key, &range, stored.bytes.len() as u64)?;
        let bytes = stored.bytes.slice(range.start as usize..range.end as usize);
        let pieces = (0..bytes.len()).step_by(PIECE).map(move |at| {
            let end = (at + PIECE).min(bytes.len());
            Ok(bytes.slice(at..end))
        });
        Ok(stream::iter(pieces).boxed())
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        let objects = self.locked();
        let stored = objects.by_key.get(&key.to_string());
        Ok(stored.map(|stored| ObjectInfo {
            bytes: stored.bytes.len() as u64,
            version: stored.version(),
            media_type: Some(stored.media_type.clone()),
            cache_control: stored.cache_control.clone(),
            crc32: None,
        }))
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        let objects = self.locked();
        let wanted = objects
            .by_key
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| from.is_none_or(|from| key.as_str() > from));
        let object =
            |(key, stored): (&String, &Stored)| Object { key: key.clone(), bytes: stored.bytes.len() as u64 };
        let mut found: Vec<Object> = wanted.take(max + 1).map(object).collect();
        let more = found.len() > max;
        found.truncate(max);
        let next = found.last().filter(|_| more).map(|object| object.key.clone());
        Ok(ObjectPage { objects: found, next })
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.locked().by_key.remove(&key.to_string());
        Ok(())
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
        let mut objects = self.locked();
        for key in keys {
            objects.by_key.remove(&key.to_string());
        }
        Ok(())
    }
}

#[async_trait]
impl StoreDocuments for MemoryStore {
    async fn put_document(
        &self,
        key: &Key,
        bytes: Bytes,
        expected: &Expected,
        options: &PutOptions,
    ) -> Result<DocumentWrite, PortError> {
        let mut objects = self.locked();
        let key = key.to_string();
        let stored = objects.by_key.get(&key).map(Stored::version);
        let as_expected = match expected {
            Expected::Absent => stored.is_none(),
            Expected::Version(version) => stored.as_ref() == Some(version),
        };
        if !as_expected {
            return Ok(DocumentWrite::Conflict);
        }
        Ok(DocumentWrite::Written(objects.put(key, bytes, options)))
    }

    async fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError> {
        let Some(stored) = self.locked().by_key.get(&key.to_string()).cloned() else { return Ok(None) };
        check_limit(key, &stored.bytes, limit)?;
        Ok(Some(Document { version: stored.version(), bytes: stored.bytes }))
    }
}
