//! Documents that are replaced by compare-and-swap: compared and renamed under a lock that all
//! processes with the folder open share.
//!
//! The version of a document is a hash of its bytes: file timestamps are too coarse to distinguish two
//! writes in quick succession.

use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{Document, DocumentWrite, Expected, PortError, PortErrorKind, Version};

use crate::folder::Folder;
use crate::temp::lock_file;

fn version_of(bytes: &[u8]) -> Version {
    Version(format!("blake3:{}", blake3::hash(bytes).to_hex()))
}

impl Folder {
    /// Excludes all other comparisons and deletions while it is held, in this process and in others.
    pub fn lock_documents(&self) -> Result<std::fs::File, PortError> {
        lock_file(self.root(), "documents")
    }

    pub fn put_document(
        &self,
        key: &Key,
        bytes: &[u8],
        expected: &Expected,
    ) -> Result<DocumentWrite, PortError> {
        let _lock = self.lock_documents()?;
        let stored = self.get_document(key, u64::MAX)?.map(|stored| stored.version);
        let as_expected = match expected {
            Expected::Absent => stored.is_none(),
            Expected::Version(version) => stored.as_ref() == Some(version),
        };
        if !as_expected {
            return Ok(DocumentWrite::Conflict);
        }
        self.put_bytes(key, bytes)?;
        Ok(DocumentWrite::Written(version_of(bytes)))
    }

    pub fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError> {
        match self.get_bytes(key, limit) {
            Ok(bytes) => Ok(Some(document(bytes))),
            Err(e) if e.kind == PortErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn document(bytes: Bytes) -> Document {
    Document { version: version_of(&bytes), bytes }
}
