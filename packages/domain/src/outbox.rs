//! Outbox: notices that are recorded with a change of a job, to be delivered afterwards.

use serde::{Deserialize, Serialize};

/// A notice that is durable with the change that caused it. It is removed after delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxEntry {
    /// Chosen by the caller, so that a repeat of the change is the same notice; 1 to 200 bytes.
    pub id: String,
    /// Its topic, e.g. `output-completed`.
    pub kind: String,
    /// The document to deliver, at most 64 KB.
    pub body: String,
}
