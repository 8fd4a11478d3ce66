//! Dead letters: messages that could not be processed, kept for inspection.

use async_trait::async_trait;
use serde::Serialize;

use crate::error::PortError;
use crate::queue::Lane;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadMessage {
    /// Its id on its queue.
    pub id: String,
    /// The message body.
    pub body: String,
    /// The reason given by a role; absent when the queue moved it after too many deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Dead letters of each queue: list, redrive, purge. Roles do not use it; it is for the operators of a
/// deployment.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Lists at most `max` of them, unordered, each once. They stay: a later listing finds
    /// all of them. If the service can only receive them, concurrent listings miss them during the call, and for
    /// a minute after a caller that died.
    async fn list(&self, queue: Lane, max: usize) -> Result<Vec<DeadMessage>, PortError>;

    /// Sends at most `max` of them to their queue again, as new messages, and returns their number.
    /// A crash during the call may send one twice and loses none.
    async fn redrive(&self, queue: Lane, max: usize) -> Result<usize, PortError>;

    /// Removes all of them permanently, and returns their number where it is known.
    async fn purge(&self, queue: Lane) -> Result<usize, PortError>;
}
