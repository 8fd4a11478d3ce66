//! Tombstone: what stays of a deleted job for a while.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{Epoch, JobId};

/// Newest tombstone document that this build reads, and the one it writes.
pub const TOMBSTONE_VERSION: u32 = 1;

/// A job that was deleted. The next job with its id has a greater epoch, and files that reach the store
/// late are found by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// Version of the document.
    pub version: u32,
    /// The job.
    pub job: JobId,
    /// Its epoch.
    pub epoch: Epoch,
    /// When its items were deleted, milliseconds since 1970 by the ledger's clock.
    pub deleted_at_ms: i64,
}

impl Tombstone {
    /// The tombstone of a job that is deleted now.
    pub fn new(job: JobId, epoch: Epoch, now_ms: i64) -> Tombstone {
        Tombstone { version: TOMBSTONE_VERSION, job, epoch, deleted_at_ms: now_ms }
    }

    /// Encodes the document for storage.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a tombstone has no key that is not a string")
    }

    /// Decodes a stored document.
    ///
    /// # Errors
    /// A newer version, or a text that is not a tombstone.
    pub fn decode(text: &str) -> Result<Tombstone, DomainError> {
        crate::wire::check_version("tombstone", text.as_bytes(), TOMBSTONE_VERSION)?;
        serde_json::from_str(text)
            .map_err(|e| DomainError::Document { document: "tombstone", why: e.to_string() })
    }
}
