//! Small documents that are replaced by compare-and-swap: an optional capability of a store.

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;

use crate::error::PortError;
use crate::store::{PutOptions, Version};

/// Precondition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The key does not exist.
    Absent,
    /// The key has the version that [`StoreDocuments::get_document`] or an earlier write returned.
    Version(Version),
}

/// Result of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentWrite {
    /// The document is stored and has this version.
    Written(Version),
    /// The precondition does not hold; nothing was written. Read the document and decide
    /// again.
    Conflict,
}

/// A document as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its bytes.
    pub bytes: Bytes,
    /// The version of these bytes.
    pub version: Version,
}

/// Compare-and-swap of small documents.
///
/// The documents have the same keys as the objects of the
/// [`MediaStore`](crate::MediaStore) and are read and deleted by it as well, but a key is
/// written either by this trait or by that one, never by both. Of concurrent writes that expect
/// the same version exactly one is [`DocumentWrite::Written`]. Versions are those of this trait
/// alone: a store may name them differently in [`MediaStore::head`](crate::MediaStore::head).
/// A document that is replaced by equal bytes may keep its version.
///
/// A write whose answer was lost and that another writer has replaced since can be returned as a
/// conflict, although it took place.
#[async_trait]
pub trait StoreDocuments: Send + Sync {
    /// Writes a document if the key holds what is expected.
    async fn put_document(
        &self,
        key: &Key,
        bytes: Bytes,
        expected: &Expected,
        options: &PutOptions,
    ) -> Result<DocumentWrite, PortError>;

    /// The document and its version, or `None` when it does not exist.
    /// [`PortErrorKind::Corrupt`](crate::PortErrorKind) when it has more than `limit` bytes.
    async fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError>;
}
