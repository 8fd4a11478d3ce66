//! Two queues of tasks that look like one to whoever sends: those that need a GPU have a queue of
//! their own, so that no worker gets what it cannot do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{Message, TaskId, TaskKind};
use segue_ports::{Delivery, PortError, QueueDepth, QueueName, Receipt, WorkQueue};

/// Sends each task to the queue of its kind, and receives from one of them.
pub struct Routed {
    /// Where a role that has this queue takes its messages from.
    pub own: Arc<dyn WorkQueue>,
    /// Where tasks go that need no GPU.
    pub plain: Arc<dyn WorkQueue>,
    /// Where the others go.
    pub gpu: Arc<dyn WorkQueue>,
    /// The kinds that need a GPU.
    pub kinds: Vec<TaskKind>,
}

fn kind_of(task: &TaskId) -> Option<TaskKind> {
    // a spare attempt needs what its task needs
    let task = task.of_spare().unwrap_or_else(|| task.clone());
    let (name, _) = task.as_str().rsplit_once('-')?;
    TaskKind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

impl Routed {
    fn needs_gpu(&self, body: &str) -> bool {
        match Message::decode(body) {
            Ok(Message::Task { task, .. }) => kind_of(&task).is_some_and(|kind| self.kinds.contains(&kind)),
            _ => false,
        }
    }
}

#[async_trait]
impl WorkQueue for Routed {
    async fn send(&self, queue: QueueName, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        if queue != QueueName::Map {
            return self.plain.send(queue, bodies, delay).await;
        }
        let (gpu, plain): (Vec<String>, Vec<String>) =
            bodies.iter().cloned().partition(|body| self.needs_gpu(body));
        if !gpu.is_empty() {
            self.gpu.send(queue, &gpu, delay).await?;
        }
        if !plain.is_empty() {
            self.plain.send(queue, &plain, delay).await?;
        }
        Ok(())
    }

    async fn receive(
        &self,
        queue: QueueName,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        self.own.receive(queue, max, visibility, wait).await
    }

    async fn extend(
        &self,
        queue: QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<bool, PortError> {
        self.own.extend(queue, receipt, visibility).await
    }

    async fn ack(&self, queue: QueueName, receipt: &Receipt) -> Result<bool, PortError> {
        self.own.ack(queue, receipt).await
    }

    async fn dead_letter(
        &self,
        queue: QueueName,
        receipt: &Receipt,
        reason: &str,
    ) -> Result<bool, PortError> {
        self.own.dead_letter(queue, receipt, reason).await
    }

    async fn depth(&self, queue: QueueName) -> Result<QueueDepth, PortError> {
        self.own.depth(queue).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_ports::memory::MemoryQueue;

    #[tokio::test]
    async fn each_worker_gets_only_what_it_can_do() {
        let (plain, gpu) = (Arc::new(MemoryQueue::new()), Arc::new(MemoryQueue::new()));
        let queue = Routed {
            own: Arc::clone(&gpu) as _,
            plain: Arc::clone(&plain) as _,
            gpu: Arc::clone(&gpu) as _,
            kinds: vec![TaskKind::Transcribe],
        };
        let task = |id: &str| Message::Task { job: "j".parse().unwrap(), task: id.parse().unwrap() }.encode();
        let spares = ["spare_carry-00000", "spare_transcribe-00000", "spare2_transcribe-00000"].map(task);
        queue.send(QueueName::Map, &spares, Duration::ZERO).await.unwrap();
        let got = queue.receive(QueueName::Map, 10, Duration::from_secs(9), Duration::ZERO).await.unwrap();
        assert_eq!(got.iter().map(|d| d.body.as_str()).collect::<Vec<_>>(), [&spares[1], &spares[2]]);
        for delivery in got {
            queue.ack(QueueName::Map, &delivery.receipt).await.unwrap();
        }
        let bodies = [task("carry-00000"), task("transcribe-00000"), task("odd"), "no message".to_owned()];
        queue.send(QueueName::Map, &bodies, Duration::ZERO).await.unwrap();
        let chunk = Message::Chunk { job: "j".parse().unwrap() }.encode();
        queue.send(QueueName::Chunk, &[chunk], Duration::ZERO).await.unwrap();
        assert_eq!(plain.depth(QueueName::Map).await.unwrap().waiting, 4);
        assert_eq!(plain.depth(QueueName::Chunk).await.unwrap().waiting, 1);
        let got = queue.receive(QueueName::Map, 10, Duration::from_secs(9), Duration::ZERO).await.unwrap();
        assert_eq!(got.iter().map(|d| d.body.as_str()).collect::<Vec<_>>(), [bodies[1].as_str()]);
    }
}
