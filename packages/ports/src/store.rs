//! The media store: named bytes, no rename, no lock.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;

use crate::error::PortError;
use crate::source::Source;

/// Whether a write may replace what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// Only if nothing has that key.
    CreateOnce,
    /// Whatever is there.
    Replace,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutResult {
    /// The key holds what was given.
    Written,
    /// The key was taken before and is as it was.
    Exists,
}

/// A stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectPage {
    /// In order of their keys.
    pub objects: Vec<Object>,
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// A store of named bytes.
///
/// A key holds the whole of a write or nothing of it, at every moment and after every
/// crash. What a call wrote is seen by every later call.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Writes small bytes.
    async fn put_bytes(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<PutResult, PortError>;

    /// Takes a file over: its bytes are stored and `file` is gone afterwards, also when
    /// the result is [`PutResult::Exists`]. It must be a plain file, not a link, that
    /// nobody writes to any more.
    async fn put_file(&self, key: &Key, file: &Path, mode: PutMode) -> Result<PutResult, PortError>;

    /// Gives what `from` holds the name `to` as well: if `to` is free, or in the place of
    /// what has that name. `from` may or may not be there afterwards, so a repeat that finds
    /// `to` taken and `from` gone is [`PutResult::Exists`], whatever the mode.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when neither is there.
    async fn promote(&self, from: &Key, to: &Key, mode: PutMode) -> Result<PutResult, PortError>;

    /// The whole of a small object. [`PortErrorKind::NotFound`](crate::PortErrorKind) when
    /// it is not there, [`PortErrorKind::Corrupt`](crate::PortErrorKind) when it has more
    /// than `limit` bytes.
    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError>;

    /// A path from which the object can be read: its own where the store is a folder, or
    /// a copy in `scratch` under a name of its own. Nobody writes to it.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when it is not there.
    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError>;

    /// The source under `key`, to be read in part: what is wanted of it is fetched when it is
    /// asked for. A store that is near gives all of it at once.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when it is not there.
    async fn open_source(&self, key: &Key, scratch: &Path) -> Result<Source, PortError> {
        Ok(Source::whole(self.get_file(key, scratch).await?))
    }

    /// The object's size, or `None`.
    async fn head(&self, key: &Key) -> Result<Option<Object>, PortError>;

    /// Objects whose keys begin with `prefix` (a text: it may end within a name), from
    /// where an earlier page said, at most `max` of them.
    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError>;

    /// Removes an object; fine when it is not there.
    async fn delete(&self, key: &Key) -> Result<(), PortError>;
}
