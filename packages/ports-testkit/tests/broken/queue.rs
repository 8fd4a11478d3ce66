//! A queue and its dead letters with one fault.

use std::time::Duration;

use async_trait::async_trait;
use segue_ports::{DeadLetters, DeadMessage, Delivery, Lane, PortError, QueueDepth, Receipt, WorkQueue};

use crate::{Broken, Fault};

#[async_trait]
impl WorkQueue for Broken {
    async fn send(&self, queue: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        self.queue.send(queue, bodies, delay).await
    }

    async fn receive(
        &self,
        queue: Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let for_ever = Duration::from_secs(1 << 30);
        let visibility = if self.is(Fault::NeverRedelivers) { for_ever } else { visibility };
        if self.is(Fault::SleepsThrough) {
            tokio::time::sleep(wait).await;
            return self.queue.receive(queue, max, visibility, Duration::ZERO).await;
        }
        self.queue.receive(queue, max, visibility, wait).await
    }

    async fn extend(&self, queue: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError> {
        self.queue.extend(queue, receipt, visibility).await
    }

    async fn ack(&self, queue: Lane, receipt: &Receipt) -> Result<bool, PortError> {
        Ok(self.queue.ack(queue, receipt).await? || self.is(Fault::BelievesEveryReceipt))
    }

    async fn dead_letter(&self, queue: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError> {
        self.queue.dead_letter(queue, receipt, reason).await
    }

    async fn depth(&self, queue: Lane) -> Result<QueueDepth, PortError> {
        self.queue.depth(queue).await
    }
}

#[async_trait]
impl DeadLetters for Broken {
    async fn list(&self, queue: Lane, max: usize) -> Result<Vec<DeadMessage>, PortError> {
        let mut found = self.queue.list(queue, max).await?;
        if self.is(Fault::LosesWhatIsLookedAt) {
            self.queue.purge(queue).await?;
        }
        if self.is(Fault::MixesQueues) {
            for other in Lane::ALL.into_iter().filter(|other| *other != queue) {
                found.extend(self.queue.list(other, max).await?);
            }
        }
        Ok(found)
    }

    async fn redrive(&self, queue: Lane, max: usize) -> Result<usize, PortError> {
        if self.is(Fault::KeepsWhatItSends) {
            let letters = self.queue.list(queue, max).await?;
            let bodies: Vec<String> = letters.into_iter().map(|letter| letter.body).collect();
            self.queue.send(queue, &bodies, Duration::ZERO).await?;
            return Ok(bodies.len());
        }
        self.queue.redrive(queue, max).await
    }

    async fn purge(&self, queue: Lane) -> Result<usize, PortError> {
        if self.is(Fault::PurgesTheQueue) {
            for delivery in self.queue.receive(queue, 1000, Duration::from_secs(60), Duration::ZERO).await? {
                self.queue.ack(queue, &delivery.receipt).await?;
            }
        }
        self.queue.purge(queue).await
    }
}
