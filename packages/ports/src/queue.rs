//! Work queue: at-least-once delivery, unordered, in lanes.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::PortError;

/// Hardware or network that a task requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// CPU only.
    Cpu,
    /// A GPU.
    Gpu,
    /// Network access beyond the store.
    Net,
}

/// Lane: a queue of its own for one kind of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Jobs to plan.
    Plan,
    /// Tasks to run, by requirement.
    Task(Resource),
    /// Outputs to assemble.
    Assemble,
    /// Notices of arrived sources, and sources to fetch.
    Ingest,
    /// Callbacks and events to deliver.
    Notify,
    /// Study material to make.
    Study,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Lane; 8] = [
        Lane::Plan,
        Lane::Task(Resource::Cpu),
        Lane::Task(Resource::Gpu),
        Lane::Task(Resource::Net),
        Lane::Assemble,
        Lane::Ingest,
        Lane::Notify,
        Lane::Study,
    ];

    /// The name in tables, settings and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Plan => "plan",
            Lane::Task(Resource::Cpu) => "task-cpu",
            Lane::Task(Resource::Gpu) => "task-gpu",
            Lane::Task(Resource::Net) => "task-net",
            Lane::Assemble => "assemble",
            Lane::Ingest => "ingest",
            Lane::Notify => "notify",
            Lane::Study => "study",
        }
    }

    /// The lane of that name.
    pub fn parse(name: &str) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.as_str() == name)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Handle of one delivery. A later delivery of the same message has another receipt, which makes the
/// older one void.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message as delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message body.
    pub body: String,
    /// The receipt, required to acknowledge it.
    pub receipt: Receipt,
    /// Number of deliveries, including this one; at least 1.
    pub deliveries: u32,
}

/// Approximate sizes of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Visible and delayed messages.
    pub waiting: u64,
    /// Messages in flight: delivered and not acknowledged.
    pub in_flight: u64,
    /// Dead letters.
    pub dead: u64,
}

/// Work queue: at-least-once delivery, unordered.
///
/// A message may be delivered more than once, and it may be lost: the ledger is authoritative,
/// and the sweeper sends lost messages again. Lanes need no set-up; where a deployment has no queue for
/// a lane, sending to it is [`PortErrorKind::Environment`](crate::PortErrorKind).
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Sends every body, to be delivered after `delay`. Durable on return. A repeat sends
    /// again. On an error any subset may have been sent.
    async fn send(&self, lane: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError>;

    /// Receives up to `max` messages, which are hidden from other receivers for `visibility`. Waits up to `wait` for
    /// the first, then returns an empty list. When the future is dropped, no message
    /// is lost, but one may stay hidden for its visibility.
    async fn receive(
        &self,
        lane: Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError>;

    /// Hides the message for `visibility` from now; zero returns it to the queue at once. False
    /// when the receipt is void: the message was delivered again, acknowledged, or
    /// dead-lettered. A receipt whose visibility ran out is valid until the next delivery.
    async fn extend(&self, lane: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError>;

    /// Removes the message. False, without effect, when the receipt is void.
    async fn ack(&self, lane: Lane, receipt: &Receipt) -> Result<bool, PortError>;

    /// Dead-letters the message with the reason. False, without
    /// effect, when the receipt is void.
    async fn dead_letter(&self, lane: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError>;

    /// Sizes of the queue; may be slightly outdated.
    async fn depth(&self, lane: Lane) -> Result<QueueDepth, PortError>;
}
