//! Outbox: notices that are recorded with a change of a job, to be delivered afterwards.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;

/// Newest notice document that this build reads, and the one it writes.
pub const OUTBOX_VERSION: u32 = 1;

/// A notice that is durable with the change that caused it. It is removed after delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxEntry {
    /// Version of the document.
    pub version: u32,
    /// Derived from the change, so that a repeat is the same notice; 1 to 200 bytes.
    pub id: String,
    /// Its topic, e.g. `output-completed`.
    pub kind: String,
    /// The document to deliver, JSON, at most 64 KB.
    pub body: String,
}

impl OutboxEntry {
    /// Encodes the document for storage.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a notice has no key that is not a string")
    }

    /// Decodes a stored document.
    ///
    /// # Errors
    /// A newer version, or a text that is not a notice.
    pub fn decode(text: &str) -> Result<OutboxEntry, DomainError> {
        crate::wire::check_version("notice", text.as_bytes(), OUTBOX_VERSION)?;
        serde_json::from_str(text)
            .map_err(|e| DomainError::Document { document: "notice", why: e.to_string() })
    }
}
