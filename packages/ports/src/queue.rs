//! Work queue: at-least-once delivery, unordered, in lanes.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::PortError;

/// What a machine has to have for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Processor cores alone.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// The network beyond the store.
    Net,
}

/// A queue of its own for one kind of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Jobs to plan.
    Plan,
    /// Tasks to run, by what they need.
    Task(Resource),
    /// Outputs to assemble.
    Assemble,
    /// Notices of sources that arrived, and sources to fetch.
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
/// A message may be delivered more than once, and it may be lost: the ledger knows what has to be done,
/// and the sweeper sends lost messages again. Lanes need no set-up; where a deployment has no queue for
/// a lane, sending to it is [`PortErrorKind::Environment`](crate::PortErrorKind).
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Sends every body, to be delivered after `delay`. Durable on return. A repeat sends
    /// again. On an error any part of them may have been sent.
    async fn send(&self, lane: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError>;

    /// Up to `max` messages, hidden from others for `visibility`. Waits up to `wait` for
    /// the first and returns empty-handed after that. When the future is dropped, nothing
    /// is lost, but a message may stay hidden for its visibility.
    async fn receive(
        &self,
        lane: Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError>;

    /// Hides the message for `visibility` from now on; zero gives it back at once. False
    /// when the receipt is void: the message was delivered again, acknowledged, or put
    /// aside. A receipt whose visibility ran out is good until the next delivery.
    async fn extend(&self, lane: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError>;

    /// Removes the message. False, and nothing happens, when the receipt is void.
    async fn ack(&self, lane: Lane, receipt: &Receipt) -> Result<bool, PortError>;

    /// Puts the message aside with the reason, to be looked at by a person. False, and
    /// nothing happens, when the receipt is void.
    async fn dead_letter(&self, lane: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError>;

    /// How much is on the queue; may be a little old.
    async fn depth(&self, lane: Lane) -> Result<QueueDepth, PortError>;
}
