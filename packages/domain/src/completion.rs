//! The create-once record of a task's result.

use serde::{Deserialize, Serialize};

use crate::id::{JobId, TaskId, Term};

/// A file that an attempt made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFile {
    /// Name that the engine gave it.
    pub name: String,
    /// Key in the media store, unique to the attempt.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// What a task came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The job.
    pub job: JobId,
    /// The task.
    pub task: TaskId,
    /// Term of the lease under which it was made.
    pub term: Term,
    /// The files it made.
    pub files: Vec<PartFile>,
    /// What the engine found out and the reduce will want. Large facts go into a file:
    /// an item of the ledger stays far below 400 KB.
    pub facts: serde_json::Value,
}
