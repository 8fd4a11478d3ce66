//! The create-once record of a task's result.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{OutputRef, TaskId, Term};

/// Newest completion document that this build reads, and the one it writes.
pub const COMPLETION_VERSION: u32 = 1;

/// A file that an attempt wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFile {
    /// Name given by the engine.
    pub name: String,
    /// Key in the media store, unique to the attempt.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// The result of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// Document version, [`COMPLETION_VERSION`].
    pub version: u32,
    /// The output, in this epoch of its job.
    pub output: OutputRef,
    /// The task.
    pub task: TaskId,
    /// Term of the lease under which it was made.
    pub term: Term,
    /// Its files.
    pub files: Vec<PartFile>,
    /// Small facts for the assembly. Larger data go into a file: an item of the ledger stays far
    /// below 400 KB.
    pub facts: serde_json::Value,
}

impl Completion {
    /// Encodes the document for storage.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a completion has no key that is not a string")
    }

    /// Decodes a stored document.
    ///
    /// # Errors
    /// A newer version, or a text that is not a completion document.
    pub fn decode(text: &str) -> Result<Completion, DomainError> {
        crate::wire::check_version("completion", text.as_bytes(), COMPLETION_VERSION)?;
        serde_json::from_str(text)
            .map_err(|e| DomainError::Document { document: "completion", why: e.to_string() })
    }
}
