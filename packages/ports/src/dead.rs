//! The messages that were put aside, for a person to look at.

use async_trait::async_trait;
use serde::Serialize;

use crate::error::PortError;
use crate::queue::Lane;

/// A message that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadMessage {
    /// Names it on its queue.
    pub id: String,
    /// The text that was sent.
    pub body: String,
    /// Why, where a role did it; absent where the queue itself saw it too often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was put aside on each queue. No role needs it: it is for those who look after a
/// deployment.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// At most `max` of them, in no order, each once. They stay: who comes after a look finds
    /// them all. Where the service can only hand them out, others miss them during it, and for
    /// a minute where whoever looked died.
    async fn list(&self, queue: Lane, max: usize) -> Result<Vec<DeadMessage>, PortError>;

    /// Sends at most `max` of them to their queue again, as new messages, and says how many.
    /// A crash in between may send one twice and loses none.
    async fn redrive(&self, queue: Lane, max: usize) -> Result<usize, PortError>;

    /// Removes all of them for good, and says how many where that is known.
    async fn purge(&self, queue: Lane) -> Result<usize, PortError>;
}
