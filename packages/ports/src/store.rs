//! Media store: named immutable objects; no rename, no locks.
//!
//! [`MediaStore`] is common to all stores. Two capabilities are traits of their own, because
//! some stores lack them: [`StoreDocuments`](crate::StoreDocuments) replaces small documents
//! by compare-and-swap, [`StoreLinks`](crate::StoreLinks) signs links for clients without
//! credentials.

use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use segue_domain::Key;

use crate::error::PortError;
use crate::source::Source;

/// Metadata stored with an object, for HTTP clients that read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// Media type, e.g. `video/mp4`. Absent: the one that
    /// [`media_type_of`](crate::media_type_of) gives for the key.
    pub media_type: Option<String>,
    /// Value of the `Cache-Control` header. Absent: none.
    pub cache_control: Option<String>,
}

impl PutOptions {
    /// Options with only a media type.
    pub fn media_type(media_type: impl Into<String>) -> PutOptions {
        PutOptions { media_type: Some(media_type.into()), cache_control: None }
    }
}

/// What an upload does with the local file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileUse {
    /// The file stays and can be written to afterwards.
    Keep,
    /// The file is removed after success. A store on the same file system renames it, without a
    /// copy.
    Consume,
}

/// Id of one version of an object. Opaque: equal ids mean equal bytes, and only the store
/// that created it can interpret it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(pub String);

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Metadata of the current version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub bytes: u64,
    /// Id of the version, for [`MediaStore::get_range`].
    pub version: Version,
    /// Media type. A store that keeps none derives it from the key's extension.
    pub media_type: Option<String>,
    /// Value of the `Cache-Control` header. A store that keeps none returns none.
    pub cache_control: Option<String>,
    /// CRC-32 of all bytes, where the store knows it.
    pub crc32: Option<u32>,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectPage {
    /// In order of their keys.
    pub objects: Vec<Object>,
    /// Start of the next page; absent on the last.
    pub next: Option<String>,
}

/// Bytes of an object in order, as they arrive. It ends after its first error.
pub type ByteStream = BoxStream<'static, Result<Bytes, PortError>>;

/// Media store: named immutable objects; no rename, no locks.
///
/// A key holds one complete write or nothing, at every moment and after every crash. The
/// effect of a call that returned is visible to every later call. A write replaces the object of the
/// key; of concurrent writes the last one remains. Callers that must not replace each other's
/// objects write under different keys (those of attempts carry the term of their lease) or use
/// [`StoreDocuments`](crate::StoreDocuments).
///
/// Every call can be repeated. The caller retries errors that
/// [`is_retryable`](PortError::is_retryable), and owns the deadline; a call that is dropped
/// may still take effect.
#[async_trait]
pub trait MediaStore: Send + Sync {
    /// Writes a small object from memory.
    async fn put_bytes(&self, key: &Key, bytes: Bytes, options: &PutOptions) -> Result<(), PortError>;

    /// Writes an object from a local file: a plain file, not a link, which must not be written
    /// during the call. `file_use` says whether the file is kept.
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) for anything but a plain file,
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when it does not exist.
    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        options: &PutOptions,
    ) -> Result<(), PortError>;

    /// Publishes: `to` holds the bytes of `from` afterwards, with these options, whatever it
    /// held before. `from` may or may not exist afterwards, so success is also returned when
    /// `from` does not exist and `to` does: a repeat.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when neither exists.
    async fn promote(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError>;

    /// Reads a small object. [`PortErrorKind::NotFound`](crate::PortErrorKind) when it
    /// does not exist, [`PortErrorKind::Corrupt`](crate::PortErrorKind) when it has more than
    /// `limit` bytes.
    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError>;

    /// A path from which the object can be read: its own where the store is a folder, or a
    /// copy in `scratch` under a unique name. The caller must not write to it.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when it does not exist.
    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError>;

    /// The object as a local file whose bytes are fetched when they are needed. A store without
    /// a cache fetches all of it now.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when it does not exist.
    async fn open_source(&self, key: &Key, scratch: &Path) -> Result<Source, PortError> {
        Ok(Source::whole(self.get_file(key, scratch).await?))
    }

    /// The bytes of a half-open range of the version that [`MediaStore::head`] returned. The range
    /// is not empty and within the object; [`PortErrorKind::Misuse`](crate::PortErrorKind)
    /// otherwise. [`PortErrorKind::Replaced`](crate::PortErrorKind) when the object has another
    /// version by now, [`PortErrorKind::NotFound`](crate::PortErrorKind) when it does not exist;
    /// both can also be an item of the stream. The stream never mixes versions, and ends without
    /// an error only after the whole range.
    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError>;

    /// Metadata of the current version, or `None` when it does not exist.
    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError>;

    /// Objects whose keys start with `prefix` (a string: it may end within a name) in the order
    /// of their keys, after `from`, at most `max` of them.
    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError>;

    /// Removes an object; succeeds when it does not exist.
    async fn delete(&self, key: &Key) -> Result<(), PortError>;

    /// Removes objects, any number of them; missing ones are not an error. Not atomic:
    /// after an error some of them are removed.
    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError>;
}

/// Checks a range of an object of `bytes` bytes.
///
/// # Errors
/// `Misuse` for an empty range, or one that is not within the object.
pub fn check_range(key: &Key, range: &Range<u64>, bytes: u64) -> Result<(), PortError> {
    if range.is_empty() || range.end > bytes {
        let message = format!("{key} has {bytes} bytes, {range:?} is no range of them");
        return Err(PortError::new(crate::PortErrorKind::Misuse, message));
    }
    Ok(())
}
