//! A media store in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;

use crate::error::{PortError, PortErrorKind};
use crate::store::{MediaStore, Object, ObjectPage, PutMode, PutResult};

/// Objects that live as long as the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Bytes>>,
    copies: AtomicU64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: &Key, bytes: Bytes, mode: PutMode) -> PutResult {
        let mut objects = self.locked();
        let key = key.to_string();
        if mode == PutMode::CreateOnce && objects.contains_key(&key) {
            return PutResult::Exists;
        }
        objects.insert(key, bytes);
        PutResult::Written
    }

    fn get(&self, key: &Key) -> Result<Bytes, PortError> {
        self.locked().get(&key.to_string()).cloned().ok_or_else(|| not_there(key))
    }
}

fn not_there(key: &Key) -> PortError {
    PortError::new(PortErrorKind::NotFound, format!("{key} is not in the store"))
}

#[async_trait]
impl MediaStore for MemoryStore {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<PutResult, PortError> {
        Ok(self.put(key, bytes, mode))
    }

    async fn put_file(&self, key: &Key, file: &Path, mode: PutMode) -> Result<PutResult, PortError> {
        let trouble = |error| PortError::io(format_args!("cannot take {} over", file.display()), error);
        let what = tokio::fs::symlink_metadata(file).await.map_err(trouble)?;
        if !what.is_file() {
            let message = format!("{} is not a plain file", file.display());
            return Err(PortError::new(PortErrorKind::Misuse, message));
        }
        let bytes = tokio::fs::read(file).await.map_err(trouble)?;
        let result = self.put(key, Bytes::from(bytes), mode);
        tokio::fs::remove_file(file).await.map_err(trouble)?;
        Ok(result)
    }

    async fn promote(&self, from: &Key, to: &Key, mode: PutMode) -> Result<PutResult, PortError> {
        let mut objects = self.locked();
        let to = to.to_string();
        let is_taken = objects.contains_key(&to);
        if is_taken && mode == PutMode::CreateOnce {
            return Ok(PutResult::Exists);
        }
        match objects.get(&from.to_string()).cloned() {
            Some(bytes) => {
                objects.insert(to, bytes);
                Ok(PutResult::Written)
            }
            None if is_taken => Ok(PutResult::Exists),
            None => Err(not_there(from)),
        }
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        let bytes = self.get(key)?;
        if bytes.len() as u64 > limit {
            let message = format!("{key} has {} bytes, at most {limit} were expected", bytes.len());
            return Err(PortError::new(PortErrorKind::Corrupt, message));
        }
        Ok(bytes)
    }

    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        let bytes = self.get(key)?;
        let key = key.to_string();
        let name = key.rsplit('/').next().unwrap_or(&key);
        let path = scratch.join(format!("get-{}-{name}", self.copies.fetch_add(1, Ordering::Relaxed)));
        let trouble = |error| PortError::io(format_args!("cannot write {}", path.display()), error);
        tokio::fs::create_dir_all(scratch).await.map_err(trouble)?;
        tokio::fs::write(&path, &bytes).await.map_err(trouble)?;
        Ok(path)
    }

    async fn head(&self, key: &Key) -> Result<Option<Object>, PortError> {
        let key = key.to_string();
        let bytes = self.locked().get(&key).map(|bytes| bytes.len() as u64);
        Ok(bytes.map(|bytes| Object { key, bytes }))
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        let objects = self.locked();
        let wanted = objects
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| from.is_none_or(|from| key.as_str() > from));
        let object = |(key, bytes): (&String, &Bytes)| Object { key: key.clone(), bytes: bytes.len() as u64 };
        let mut found: Vec<Object> = wanted.take(max + 1).map(object).collect();
        let more = found.len() > max;
        found.truncate(max);
        let next = found.last().filter(|_| more).map(|object| object.key.clone());
        Ok(ObjectPage { objects: found, next })
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.locked().remove(&key.to_string());
        Ok(())
    }
}
