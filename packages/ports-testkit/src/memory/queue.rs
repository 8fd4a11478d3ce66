//! In-memory queue with visibility, redelivery and void receipts, as real services have.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use segue_ports::dead::{DeadLetters, DeadMessage};
use segue_ports::error::PortError;
use segue_ports::queue::{Delivery, Lane, QueueDepth, Receipt, WorkQueue};

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id on its queue.
    pub id: u64,
    /// The message body.
    pub body: String,
    /// The reason.
    pub reason: String,
}

/// Queues with the lifetime of the process.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    lanes: Mutex<HashMap<Lane, Messages>>,
    /// Notified when a message may have become visible earlier than expected.
    bell: Notify,
}

#[derive(Debug, Default)]
struct Messages {
    last_id: u64,
    messages: Vec<Message>,
    dead: Vec<DeadLetter>,
}

#[derive(Debug)]
struct Message {
    id: u64,
    body: String,
    visible_at: Instant,
    /// 0 until it is delivered; part of the receipt, so that a later delivery voids it.
    deliveries: u32,
}

impl Message {
    fn receipt(&self) -> Receipt {
        Receipt(format!("{}-{}", self.id, self.deliveries))
    }
}

impl Messages {
    fn add(&mut self, body: String, visible_at: Instant) {
        self.last_id += 1;
        self.messages.push(Message { id: self.last_id, body, visible_at, deliveries: 0 });
    }

    fn take(&mut self, max: usize, visibility: Duration) -> Vec<Delivery> {
        let now = Instant::now();
        let mut taken = Vec::new();
        for message in self.messages.iter_mut().filter(|message| message.visible_at <= now).take(max) {
            message.deliveries += 1;
            message.visible_at = now + visibility;
            taken.push(Delivery {
                body: message.body.clone(),
                receipt: message.receipt(),
                deliveries: message.deliveries,
            });
        }
        taken
    }

    fn place_of(&self, receipt: &Receipt) -> Option<usize> {
        self.messages.iter().position(|m| m.deliveries > 0 && m.receipt() == *receipt)
    }
}

impl MemoryQueue {
    /// Empty queues.
    pub fn new() -> MemoryQueue {
        MemoryQueue::default()
    }

    /// The dead letters.
    pub fn dead_letters(&self, queue: Lane) -> Vec<DeadLetter> {
        self.locked().entry(queue).or_default().dead.clone()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Lane, Messages>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl WorkQueue for MemoryQueue {
    async fn send(&self, queue: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        let visible_at = Instant::now() + delay;
        let mut lanes = self.locked();
        let lane = lanes.entry(queue).or_default();
        for body in bodies {
            lane.add(body.clone(), visible_at);
        }
        drop(lanes);
        self.bell.notify_waiters();
        Ok(())
    }

    async fn receive(
        &self,
        queue: Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let deadline = Instant::now() + wait;
        loop {
            // registers before the check, so that no message sent in between is missed
            let mut bell = std::pin::pin!(self.bell.notified());
            bell.as_mut().enable();
            let (taken, next) = {
                let mut lanes = self.locked();
                let lane = lanes.entry(queue).or_default();
                (lane.take(max, visibility), lane.messages.iter().map(|m| m.visible_at).min())
            };
            if !taken.is_empty() || max == 0 || Instant::now() >= deadline {
                return Ok(taken);
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            // after a notification or a timeout, check again
            let _ = timeout_at(until, bell).await;
        }
    }

    async fn extend(&self, queue: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError> {
        let mut lanes = self.locked();
        let lane = lanes.entry(queue).or_default();
        let Some(place) = lane.place_of(receipt) else { return Ok(false) };
        lane.messages[place].visible_at = Instant::now() + visibility;
        drop(lanes);
        self.bell.notify_waiters();
        Ok(true)
    }

    async fn ack(&self, queue: Lane, receipt: &Receipt) -> Result<bool, PortError> {
        let mut lanes = self.locked();
        let lane = lanes.entry(queue).or_default();
        let place = lane.place_of(receipt);
        Ok(place.map(|place| lane.messages.remove(place)).is_some())
    }

    async fn dead_letter(&self, queue: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError> {
        let mut lanes = self.locked();
        let lane = lanes.entry(queue).or_default();
        let Some(place) = lane.place_of(receipt) else { return Ok(false) };
        let Message { id, body, .. } = lane.messages.remove(place);
        lane.dead.push(DeadLetter { id, body, reason: reason.to_owned() });
        Ok(true)
    }

    async fn depth(&self, queue: Lane) -> Result<QueueDepth, PortError> {
        let now = Instant::now();
        let mut lanes = self.locked();
        let lane = lanes.entry(queue).or_default();
        let in_flight = lane.messages.iter().filter(|m| m.deliveries > 0 && m.visible_at > now).count();
        Ok(QueueDepth {
            waiting: (lane.messages.len() - in_flight) as u64,
            in_flight: in_flight as u64,
            dead: lane.dead.len() as u64,
        })
    }
}

#[async_trait]
impl DeadLetters for MemoryQueue {
    async fn list(&self, queue: Lane, max: usize) -> Result<Vec<DeadMessage>, PortError> {
        let told = |DeadLetter { id, body, reason }: DeadLetter| DeadMessage {
            id: id.to_string(),
            body,
            reason: Some(reason),
        };
        Ok(self.dead_letters(queue).into_iter().take(max).map(told).collect())
    }

    async fn redrive(&self, queue: Lane, max: usize) -> Result<usize, PortError> {
        let mut lanes = self.locked();
        let lane = lanes.entry(queue).or_default();
        let count = max.min(lane.dead.len());
        let again: Vec<DeadLetter> = lane.dead.drain(..count).collect();
        for letter in again {
            lane.add(letter.body, Instant::now());
        }
        drop(lanes);
        self.bell.notify_waiters();
        Ok(count)
    }

    async fn purge(&self, queue: Lane) -> Result<usize, PortError> {
        Ok(self.locked().entry(queue).or_default().dead.drain(..).count())
    }
}
