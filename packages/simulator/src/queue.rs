//! The simulated queue: at least once, in any order; a fault can lose a message.

use segue_ports::{Delivery, Lane, Receipt, Resource};
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
    /// Lost by a fault: it is not delivered any more.
    pub forgotten: bool,
}

/// The lanes that the simulated roles serve.
pub const SERVED: [Lane; 3] = [Lane::Plan, Lane::Task(Resource::Cpu), Lane::Assemble];

/// The position of a lane in [`SERVED`].
pub fn position(lane: Lane) -> usize {
    SERVED.iter().position(|served| *served == lane).expect("a lane that a role serves")
}

/// The messages of one lane.
#[derive(Debug, Default)]
pub struct Messages {
    last_id: u64,
    /// Those that were not acknowledged.
    pub messages: Vec<Sent>,
}

/// All lanes.
#[derive(Debug, Default)]
pub struct Lanes([Messages; 3]);

impl Lanes {
    /// One of them.
    pub fn lane(&mut self, lane: Lane) -> &mut Messages {
        &mut self.0[position(lane)]
    }

    /// All of them with their names.
    pub fn all(&self) -> impl Iterator<Item = (Lane, &Messages)> {
        SERVED.into_iter().zip(&self.0)
    }
}

impl Messages {
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

    /// The message that a receipt is valid for.
    pub fn of(&mut self, receipt: &Receipt) -> Option<&mut Sent> {
        let (id, deliveries) = receipt.0.split_once('-')?;
        let (id, deliveries): (u64, u32) = (id.parse().ok()?, deliveries.parse().ok()?);
        // a message that was lost can still be settled by its receiver
        self.messages.iter_mut().find(|m| m.id == id && m.deliveries == deliveries)
    }

    /// Removes a message.
    pub fn remove(&mut self, id: u64) {
        self.messages.retain(|message| message.id != id);
    }

    /// Whether there is another message of the same text. One that a fault lost counts: the role
    /// that relied on it could not detect the loss.
    pub fn has_another(&self, id: u64, same: impl Fn(&str) -> bool) -> bool {
        self.messages.iter().any(|message| message.id != id && same(&message.body))
    }
}
