//! Two open backends on one folder are one: the suites pass when every call goes to the
//! other one than the call before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use segue_adapter_local::LocalBackend;
use segue_domain::{Completion, HolderId, JobId, JobRecord, TaskId};
use segue_ports::conformance::{self, Capabilities, Subject};
use segue_ports::{
    Acquired, CompletionLedger, CreatedJob, Delivery, JobChange, JobFilter, JobLedger, JobPage, Lease,
    LeaseLedger, LeaseName, Ledger, NewJob, PortError, QueueDepth, Lane, Receipt, Recorded, WorkQueue,
};
use tempfile::TempDir;

struct Two {
    backends: [LocalBackend; 2],
    calls: AtomicUsize,
}

impl Two {
    fn open() -> (Arc<Two>, TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let backends = [(); 2].map(|()| LocalBackend::open(folder.path()).expect("a backend"));
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

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        self.next().ledger.change(id, change, fence).await
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

    async fn completion(&self, job: &JobId, task: &TaskId) -> Result<Option<Completion>, PortError> {
        self.next().ledger.completion(job, task).await
    }

    async fn completions(
        &self,
        job: &JobId,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        self.next().ledger.completions(job, after, max).await
    }

    async fn count_failure(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        self.next().ledger.count_failure(job, task).await
    }

    async fn failures(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        self.next().ledger.failures(job, task).await
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

    async fn extend(
        &self,
        queue: Lane,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<bool, PortError> {
        self.next().queue.extend(queue, receipt, visibility).await
    }

    async fn ack(&self, queue: Lane, receipt: &Receipt) -> Result<bool, PortError> {
        self.next().queue.ack(queue, receipt).await
    }

    async fn dead_letter(
        &self,
        queue: Lane,
        receipt: &Receipt,
        reason: &str,
    ) -> Result<bool, PortError> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_ledgers_are_one() {
    conformance::ledger::run(ledger, Capabilities::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_queues_are_one() {
    conformance::queue::run(queue, Capabilities::default()).await;
}
