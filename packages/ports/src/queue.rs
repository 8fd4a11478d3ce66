//! The work queue: at least once, in no order, with a memory of its own.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::PortError;

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueName {
    /// Jobs to plan.
    Chunk,
    /// Tasks to do.
    Map,
    /// Jobs to join.
    Reassemble,
}

impl QueueName {
    /// Every queue.
    pub const ALL: [QueueName; 3] = [QueueName::Chunk, QueueName::Map, QueueName::Reassemble];

    /// The name in tables and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            QueueName::Chunk => "chunk",
            QueueName::Map => "map",
            QueueName::Reassemble => "reassemble",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The right to say something of one delivery. A later delivery of the same message has
/// another receipt, and the older one is then void.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message as it was delivered this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The text that was sent.
    pub body: String,
    /// The right to acknowledge it.
    pub receipt: Receipt,
    /// How often it has been delivered, this time included; at least 1.
    pub deliveries: u32,
}

/// How much is on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Messages that could be received now or after their delay.
    pub waiting: u64,
    /// Messages that are delivered and not acknowledged.
    pub in_flight: u64,
    /// Messages that were put aside.
    pub dead: u64,
}

/// A queue that delivers at least once and in no order.
///
/// Nobody may rely on a message being delivered only once, or on a message at all: what
/// is to be done stands in the ledger, and the sweeper sends again what was lost.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Sends every body, to be delivered after `delay`. Durable on return. A repeat sends
    /// again. On an error any part of them may have been sent.
    async fn send(&self, queue: QueueName, bodies: &[String], delay: Duration) -> Result<(), PortError>;

    /// Up to `max` messages, hidden from others for `visibility`. Waits up to `wait` for
    /// the first and returns empty-handed after that. When the future is dropped, nothing
    /// is lost, but a message may stay hidden for its visibility.
    async fn receive(
        &self,
        queue: QueueName,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError>;

    /// Hides the message for `visibility` from now on; zero gives it back at once. False
    /// when the receipt is void: the message was delivered again, acknowledged, or put
    /// aside. A receipt whose visibility ran out is good until the next delivery.
    async fn extend(
        &self,
        queue: QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<bool, PortError>;

    /// Removes the message. False, and nothing happens, when the receipt is void.
    async fn ack(&self, queue: QueueName, receipt: &Receipt) -> Result<bool, PortError>;

    /// Puts the message aside with the reason, to be looked at by a person. False, and
    /// nothing happens, when the receipt is void.
    async fn dead_letter(&self, queue: QueueName, receipt: &Receipt, reason: &str)
    -> Result<bool, PortError>;

    /// How much is on the queue; may be a little old.
    async fn depth(&self, queue: QueueName) -> Result<QueueDepth, PortError>;
}
