//! The simulated queue: at least once, in any order, and sometimes not at all.

use segue_ports::{Delivery, Lane, Receipt};
use tokio::time::{Duration, Instant};

use crate::rng::Rng;

/// A message.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its number on its queue.
    pub id: u64,
    /// Its text.
    pub body: String,
    /// When it can be received.
    pub visible_at: Instant,
    /// How often it was received; part of its receipt.
    pub deliveries: u32,
    /// When it was received last.
    pub delivered_at: Instant,
    /// Forgotten by a fault: nobody will receive it.
    pub forgotten: bool,
}

/// One queue.
#[derive(Debug, Default)]
pub struct Lane {
    last_id: u64,
    /// What is on it.
    pub messages: Vec<Sent>,
}

/// All queues.
#[derive(Debug, Default)]
pub struct Lanes([Lane; 3]);

impl Lanes {
    /// One of them.
    pub fn lane(&mut self, queue: Lane) -> &mut Lane {
        &mut self.0[queue as usize]
    }

    /// All of them with their names.
    pub fn all(&self) -> impl Iterator<Item = (Lane, &Lane)> {
        Lane::ALL.into_iter().zip(&self.0)
    }
}

impl Lane {
    /// Adds a message that can be received after `delay`.
    pub fn send(&mut self, body: String, delay: Duration) {
        self.last_id += 1;
        let now = Instant::now();
        let (id, visible_at) = (self.last_id, now + delay);
        let sent = Sent { id, body, visible_at, deliveries: 0, delivered_at: now, forgotten: false };
        self.messages.push(sent);
    }

    /// Takes up to `max` visible messages in an order drawn from `rng`.
    pub fn take(&mut self, max: usize, visibility: Duration, rng: &mut Rng) -> Vec<Delivery> {
        let now = Instant::now();
        let mut taken = Vec::new();
        while taken.len() < max {
            let visible = self.messages.iter_mut().filter(|m| !m.forgotten && m.visible_at <= now);
            let mut visible: Vec<&mut Sent> = visible.collect();
            if visible.is_empty() {
                break;
            }
            let place = rng.below(visible.len() as u64) as usize;
            let message = &mut *visible[place];
            message.deliveries += 1;
            message.delivered_at = now;
            // never zero: a message is not received twice in one go
            message.visible_at = now + visibility.max(Duration::from_millis(1));
            taken.push(Delivery {
                body: message.body.clone(),
                receipt: Receipt(format!("{}-{}", message.id, message.deliveries)),
                deliveries: message.deliveries,
            });
        }
        taken
    }

    /// When the next message that is hidden now becomes visible.
    pub fn next_visible(&self) -> Option<Instant> {
        self.messages.iter().filter(|m| !m.forgotten).map(|m| m.visible_at).min()
    }

    /// The message that a receipt is good for.
    pub fn of(&mut self, receipt: &Receipt) -> Option<&mut Sent> {
        let (id, deliveries) = receipt.0.split_once('-')?;
        let (id, deliveries): (u64, u32) = (id.parse().ok()?, deliveries.parse().ok()?);
        // a message that was forgotten is still there for him who has it
        self.messages.iter_mut().find(|m| m.id == id && m.deliveries == deliveries)
    }

    /// Takes a message off the queue.
    pub fn remove(&mut self, id: u64) {
        self.messages.retain(|message| message.id != id);
    }

    /// Whether there is another message of the same text. One that a fault made the queue
    /// forget counts: whoever relied on it could not know.
    pub fn has_another(&self, id: u64, same: impl Fn(&str) -> bool) -> bool {
        self.messages.iter().any(|message| message.id != id && same(&message.body))
    }
}
