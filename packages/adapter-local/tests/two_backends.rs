//! Two open backends on one folder behave as one: the suites pass when calls alternate between
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use segue_adapter_local::LocalBackend;
use segue_domain::{
    Completion, HolderId, JobId, JobRecord, OutboxEntry, OutputId, OutputRef, TaskId, Tombstone,
};
use segue_ports::{
    Acquired, CompletionLedger, CreatedJob, Delivery, JobChange, JobFilter, JobLedger, JobPage, Lane, Lease,
    LeaseLedger, LeaseName, Ledger, NewJob, OutboxLedger, PortError, QueueDepth, Receipt, Recorded,
    TombstonePage, WorkQueue,
};
use segue_ports_testkit::conformance::{self, Capabilities, Subject};
use tempfile::TempDir;

struct Two {
    backends: [LocalBackend; 2],
    calls: AtomicUsize,
}

impl Two {
    fn open() -> (Arc<Two>, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let backends = [(); 2].map(|()| {
            let mut backend = LocalBackend::open(folder.path()).expect("a backend");
            backend.ledger = Arc::new(backend.ledger.recording_notices());
            backend
        });
        (Arc::new(Two { backends, calls: AtomicUsize::new(0) }), folder)
    }

    fn next(&self) -> &LocalBackend {
        &self.backends[self.calls.fetch_add(1, Ordering::Relaxed) % 2]
    }
}

#[async_trait]
impl JobLedger for Two {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        self.next().ledger.create_job(job).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        self.next().ledger.job(id).await
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        self.next().ledger.jobs(filter, from, max).await
    }

    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        self.next().ledger.open_jobs(updated_before_ms, from, max).await
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        self.next().ledger.change(id, change, fence).await
    }

    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError> {
        self.next().ledger.tombstones(from, max).await
    }

    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError> {
        self.next().ledger.remove_tombstone(read).await
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        self.next().ledger.delete_job(read).await
    }
}

#[async_trait]
impl CompletionLedger for Two {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        self.next().ledger.record(completion, lease).await
    }

    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError> {
        self.next().ledger.completed(output).await
    }

    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
        self.next().ledger.completion(output, task).await
    }

    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        self.next().ledger.completions(output, after, max).await
    }

    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        self.next().ledger.count_failure(output, task).await
    }

    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        self.next().ledger.failures(output, task).await
    }
}

#[async_trait]
impl OutboxLedger for Two {
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        self.next().ledger.outbox(max).await
    }

    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError> {
        self.next().ledger.remove_from_outbox(id).await
    }
}

#[async_trait]
impl LeaseLedger for Two {
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError> {
        self.next().ledger.acquire(name, holder, ttl).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        self.next().ledger.renew(lease, ttl).await
    }

    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        self.next().ledger.leased_tasks(job, output).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.next().ledger.release(lease).await
    }
}

#[async_trait]
impl WorkQueue for Two {
    async fn send(&self, queue: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        self.next().queue.send(queue, bodies, delay).await
    }

    async fn receive(
        &self,
        queue: Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        self.next().queue.receive(queue, max, visibility, wait).await
    }

    async fn extend(&self, queue: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError> {
        self.next().queue.extend(queue, receipt, visibility).await
    }

    async fn ack(&self, queue: Lane, receipt: &Receipt) -> Result<bool, PortError> {
        self.next().queue.ack(queue, receipt).await
    }

    async fn dead_letter(&self, queue: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError> {
        self.next().queue.dead_letter(queue, receipt, reason).await
    }

    async fn depth(&self, queue: Lane) -> Result<QueueDepth, PortError> {
        self.next().queue.depth(queue).await
    }
}

async fn ledger() -> Subject<dyn Ledger> {
    let (two, folder) = Two::open();
    Subject::guarded(two, folder)
}

async fn queue() -> Subject<dyn WorkQueue> {
    let (two, folder) = Two::open();
    Subject::guarded(two, folder)
}

fn caps() -> Capabilities {
    Capabilities { short: Duration::from_millis(600), clauses_at_once: 4, ..Capabilities::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_ledgers_are_one() {
    conformance::ledger::run(ledger, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_queues_are_one() {
    conformance::queue::run(queue, caps()).await;
}
