//! The queues in SQLite: each message has a time from which it is visible, and a delivery moves that
//! time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use segue_ports::{DeadLetters, DeadMessage, Delivery, Lane, PortError, QueueDepth, Receipt, WorkQueue};
use tokio::time::{Instant, timeout_at};

use crate::backend::{Instance, now_ms};
use crate::db::writing;
use crate::ledger::reclaim;

mod rows;

pub use rows::DeadLetter;

/// Poll interval for messages that another process sent.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Interval at which a waiting receiver checks for dead processes that held messages.
const LOOK_FOR_DEAD: Duration = Duration::from_secs(1);

/// The queues of a state folder.
#[derive(Debug)]
pub struct LocalQueue {
    shared: Arc<Instance>,
}

impl LocalQueue {
    pub(crate) fn of(shared: Arc<Instance>) -> LocalQueue {
        LocalQueue { shared }
    }

    /// Dead letters, oldest first, at most `max`, those after number `after`.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub async fn dead_letters(
        &self,
        queue: Lane,
        after: i64,
        max: usize,
    ) -> Result<Vec<DeadLetter>, PortError> {
        self.shared.db.call(move |db| rows::dead_letters(db, queue, after, max)).await
    }

    async fn take(
        &self,
        queue: Lane,
        max: usize,
        visibility: Duration,
        look_for_dead: bool,
    ) -> Result<rows::Taken, PortError> {
        let (owner, roll) = (self.shared.holder.clone(), self.shared.roll.clone());
        let bell = Arc::clone(&self.shared.bell);
        let work = move |db: &mut rusqlite::Connection| {
            let taken = rows::take(db, queue, max, visibility, &owner)?;
            if taken.deliveries.is_empty() && look_for_dead && reclaim(db, &roll, &owner)? {
                return rows::take(db, queue, max, visibility, &owner);
            }
            Ok(taken)
        };
        let undo = move |db: &mut rusqlite::Connection, taken: rows::Taken| {
            for delivery in &taken.deliveries {
                if let Err(error) = rows::show_again(db, queue, &delivery.receipt, Duration::ZERO) {
                    tracing::warn!(%queue, %error, "the message of an abandoned call stays hidden until its visibility ends");
                }
            }
            bell.notify_waiters();
        };
        self.shared.db.call_or_undo(work, undo).await
    }
}

#[async_trait]
impl WorkQueue for LocalQueue {
    async fn send(&self, queue: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        let bodies = bodies.to_vec();
        self.shared.db.call(move |db| writing(db, |t| rows::insert(t, queue, &bodies, delay))).await?;
        self.shared.bell.notify_waiters();
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
        let mut dead_at = Instant::now();
        loop {
            // registers before the check, so that no message sent in between is missed
            let mut bell = std::pin::pin!(self.shared.bell.notified());
            bell.as_mut().enable();
            let look_for_dead = Instant::now() >= dead_at;
            if look_for_dead {
                dead_at = Instant::now() + LOOK_FOR_DEAD;
            }
            let taken = self.take(queue, max, visibility, look_for_dead).await?;
            if !taken.deliveries.is_empty() || max == 0 || Instant::now() >= deadline {
                return Ok(taken.deliveries);
            }
            let mut pause = LOOK_AGAIN;
            if let Some(next_ms) = taken.next_visible_ms {
                // the clock counts whole milliseconds: after one more it is visible for certain
                let left = u64::try_from(next_ms.saturating_sub(now_ms())).unwrap_or(0) + 1;
                pause = pause.min(Duration::from_millis(left));
            }
            let until = (Instant::now() + pause).min(deadline);
            // after a notification or a timeout, check again
            let _ = timeout_at(until, bell).await;
        }
    }

    async fn extend(&self, queue: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError> {
        let receipt = receipt.clone();
        let extended =
            self.shared.db.call(move |db| rows::show_again(db, queue, &receipt, visibility)).await?;
        self.shared.bell.notify_waiters();
        Ok(extended)
    }

    async fn ack(&self, queue: Lane, receipt: &Receipt) -> Result<bool, PortError> {
        let receipt = receipt.clone();
        self.shared.db.call(move |db| rows::remove(db, queue, &receipt)).await
    }

    async fn dead_letter(&self, queue: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError> {
        let (receipt, reason) = (receipt.clone(), reason.to_owned());
        self.shared.db.call(move |db| rows::put_aside(db, queue, &receipt, &reason)).await
    }

    async fn depth(&self, queue: Lane) -> Result<QueueDepth, PortError> {
        self.shared.db.call(move |db| rows::depth(db, queue)).await
    }
}

#[async_trait]
impl DeadLetters for LocalQueue {
    async fn list(&self, queue: Lane, max: usize) -> Result<Vec<DeadMessage>, PortError> {
        let letters = self.dead_letters(queue, 0, max).await?;
        let told = |letter: DeadLetter| DeadMessage {
            id: letter.number.to_string(),
            body: letter.body,
            reason: Some(letter.reason),
        };
        Ok(letters.into_iter().map(told).collect())
    }

    async fn redrive(&self, queue: Lane, max: usize) -> Result<usize, PortError> {
        let sent = self.shared.db.call(move |db| rows::redrive(db, queue, max)).await?;
        self.shared.bell.notify_waiters();
        Ok(sent)
    }

    async fn purge(&self, queue: Lane) -> Result<usize, PortError> {
        self.shared.db.call(move |db| rows::purge(db, queue)).await
    }
}
