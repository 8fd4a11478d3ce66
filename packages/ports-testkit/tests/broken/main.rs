//! The suites detect adapters that violate their contracts, each in a way that was seen in
//! another project.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{
    Completion, HolderId, JobId, JobRecord, OutboxEntry, OutputId, OutputRef, TaskId, Term, Tombstone,
};
use segue_ports::{
    Acquired, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, LeaseLedger,
    LeaseName, Ledger, NewJob, OutboxLedger, PortError, Recorded, TombstonePage, WorkQueue, notices,
};
use segue_ports_testkit::conformance::{self, Capabilities, Subject, dead, documents};
use segue_ports_testkit::memory::{MemoryLedger, MemoryQueue, MemoryStore};

mod queue;
mod store;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A counter beside the completions that drifts: a repeat counts again.
    CountsTwice,
    /// The state is compared, the lease is not.
    IgnoresTheTerm,
    /// A renewal compares the holder and not the term.
    RenewsAnything,
    /// Only the first page is ever read.
    ForgetsPages,
    /// The fake queue of quickwit: delivered messages are never redelivered.
    NeverRedelivers,
    /// Acknowledges any receipt.
    BelievesEveryReceipt,
    /// Checks once and then sleeps for the whole wait.
    SleepsThrough,
    /// Listing dead letters removes them.
    LosesWhatIsLookedAt,
    /// Redrives dead letters and keeps them.
    KeepsWhatItSends,
    /// Purges the queue itself.
    PurgesTheQueue,
    /// Lists the dead letters of every queue for each.
    MixesQueues,
    /// Leaves the file in place.
    CopiesFiles,
    /// Renames files that are to be kept.
    ConsumesFiles,
    /// Stores bytes without their options.
    ForgetsMediaTypes,
    /// Publishes only if no object is published.
    KeepsWhatIsPublished,
    /// Reads ranges of any version.
    ReadsAnyVersion,
    /// Ends a stream before the end of the range.
    EndsEarly,
    /// Deletes one request's worth of keys.
    DeletesTheFirstThousand,
    /// Compares a document's version, and writes some time later.
    ComparesThenWrites,
    /// Writes a document where another version is expected.
    IgnoresTheVersion,
    /// Removes the job with that id in any epoch.
    DeletesAnyLife,
    /// One counter for all outputs of a job.
    CountsByJob,
    /// The index of open jobs is made from the state of the job.
    IndexesJobState,
    /// Leases are renewed while their job is being deleted.
    DeletionKeepsLeases,
    /// Only the notices of outputs are written.
    ForgetsNotices,
    /// Notices are written before the change, and stay when it is refused.
    NotifiesFirst,
}

struct Broken {
    fault: Fault,
    repeats: AtomicU64,
    notices: Mutex<Vec<OutboxEntry>>,
    ledger: MemoryLedger,
    queue: MemoryQueue,
    store: MemoryStore,
}

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

#[async_trait]
impl JobLedger for Broken {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        self.ledger.create_job(job).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        self.ledger.job(id).await
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        let page = self.ledger.jobs(filter, from, max).await?;
        Ok(if self.is(Fault::ForgetsPages) { JobPage { next: None, ..page } } else { page })
    }

    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        let mut page = self.ledger.open_jobs(updated_before_ms, from, max).await?;
        if self.is(Fault::IndexesJobState) {
            page.jobs.retain(|job| !job.state().is_terminal() || job.deleting);
        }
        Ok(page)
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        let read = self.ledger.job(id).await?;
        let early = read.and_then(|job| Some(notices(&job, &change.applied_to(&job, u64::MAX, 0)?)));
        let fence = fence.filter(|_| !self.is(Fault::IgnoresTheTerm));
        let changed = self.ledger.change(id, change, fence).await?;
        if changed.is_none() && self.is(Fault::NotifiesFirst) {
            self.notices.lock().unwrap().extend(early.unwrap_or_default());
        }
        Ok(changed)
    }

    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError> {
        self.ledger.tombstones(from, max).await
    }

    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError> {
        self.ledger.remove_tombstone(read).await
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        let mut read = read.clone();
        let current = self.ledger.job(&read.id).await?;
        if let Some(current) = current.filter(|_| self.is(Fault::DeletesAnyLife)) {
            read = current;
        }
        self.ledger.delete_job(&read).await
    }
}

#[async_trait]
impl OutboxLedger for Broken {
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        let mut all = self.ledger.outbox(max).await?;
        if self.is(Fault::ForgetsNotices) {
            all.retain(|entry| entry.kind.starts_with("output-"));
        }
        all.extend(self.notices.lock().unwrap().iter().cloned());
        all.truncate(max);
        Ok(all)
    }

    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError> {
        self.notices.lock().unwrap().retain(|entry| entry.id != id);
        self.ledger.remove_from_outbox(id).await
    }
}

#[async_trait]
impl CompletionLedger for Broken {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        let recorded = self.ledger.record(completion, lease).await?;
        if recorded == Recorded::Existed {
            self.repeats.fetch_add(1, Ordering::SeqCst);
        }
        Ok(recorded)
    }

    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError> {
        let mut count = self.ledger.completed(output).await?;
        if self.is(Fault::CountsTwice) {
            count += self.repeats.load(Ordering::SeqCst);
        }
        if let Some(job) = self.ledger.job(&output.job).await?.filter(|_| self.is(Fault::CountsByJob)) {
            for other in job.outputs.iter().filter(|other| *other.id() != output.output) {
                count += self.ledger.completed(&job.output_ref(other.id())).await?;
            }
        }
        Ok(count)
    }

    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
        self.ledger.completion(output, task).await
    }

    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        self.ledger.completions(output, after, max).await
    }

    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        self.ledger.count_failure(output, task).await
    }

    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        self.ledger.failures(output, task).await
    }
}

#[async_trait]
impl LeaseLedger for Broken {
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError> {
        self.ledger.acquire(name, holder, ttl).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        let mut lease = lease.clone();
        for term in (1..10).filter(|_| self.is(Fault::RenewsAnything)) {
            lease.term = Term(term);
            if self.ledger.renew(&lease, ttl).await? {
                return Ok(true);
            }
        }
        if let Some(job) = lease.name.job().filter(|_| self.is(Fault::DeletionKeepsLeases)) {
            let job = self.ledger.job(&job.parse().expect("a job id")).await?;
            if job.is_some_and(|job| job.deleting) {
                return Ok(true);
            }
        }
        self.ledger.renew(&lease, ttl).await
    }

    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        self.ledger.leased_tasks(job, output).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.ledger.release(lease).await
    }
}

#[derive(Debug, Clone, Copy)]
enum Suite {
    Ledger,
    Queue,
    Dead,
    Store,
    Documents,
}

fn broken(fault: Fault) -> Arc<Broken> {
    let (ledger, queue, store) =
        (MemoryLedger::new().recording_notices(), MemoryQueue::new(), MemoryStore::new());
    let (repeats, notices) = (AtomicU64::new(0), Mutex::default());
    Arc::new(Broken { fault, repeats, notices, ledger, queue, store })
}

async fn run(suite: Suite, fault: Fault) {
    let caps =
        Capabilities { short: Duration::from_secs(60), clauses_at_once: 16, ..Capabilities::default() };
    match suite {
        Suite::Ledger => {
            let ledger = || async { Subject::<dyn Ledger>::new(broken(fault)) };
            conformance::ledger::run(ledger, caps).await;
        }
        Suite::Queue => {
            let queue = || async { Subject::<dyn WorkQueue>::new(broken(fault)) };
            conformance::queue::run(queue, caps).await;
        }
        Suite::Dead => {
            let letters = || async {
                let port = broken(fault);
                Subject::new(Arc::new(dead::Port { queue: port.clone(), letters: port }))
            };
            conformance::dead::run(letters, caps).await;
        }
        Suite::Store => {
            let media = || async {
                let folder = tempfile::tempdir().expect("a folder");
                let scratch = folder.path().to_owned();
                Subject::guarded(Arc::new(conformance::store::Port { store: broken(fault), scratch }), folder)
            };
            conformance::store::run(media, caps).await;
        }
        Suite::Documents => {
            let documents = || async {
                let port = broken(fault);
                Subject::new(Arc::new(documents::Port { documents: port.clone(), store: port }))
            };
            conformance::documents::run(documents, caps).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_broken_adapter_is_found() {
    let cases = [
        (Suite::Ledger, Fault::CountsTwice, "counted once"),
        (Suite::Ledger, Fault::CountsByJob, "counted for another output"),
        (Suite::Ledger, Fault::IgnoresTheTerm, "a worker of the deleted job"),
        (Suite::Ledger, Fault::RenewsAnything, "a heartbeat names its term"),
        (Suite::Ledger, Fault::ForgetsPages, "on no page"),
        (Suite::Ledger, Fault::IndexesJobState, "open jobs are not listed"),
        (Suite::Ledger, Fault::DeletesAnyLife, "the next job of that id was deleted"),
        (Suite::Ledger, Fault::DeletionKeepsLeases, "after the deletion of"),
        (Suite::Ledger, Fault::ForgetsNotices, "the notices after"),
        (Suite::Ledger, Fault::NotifiesFirst, "a refused change left a notice"),
        (Suite::Queue, Fault::NeverRedelivers, "nothing was delivered"),
        (Suite::Queue, Fault::BelievesEveryReceipt, "void receipt"),
        (Suite::Queue, Fault::SleepsThrough, "after the sending"),
        (Suite::Dead, Fault::LosesWhatIsLookedAt, "left: 0"),
        (Suite::Dead, Fault::KeepsWhatItSends, "left: 23"),
        (Suite::Dead, Fault::PurgesTheQueue, "a message that waited is gone"),
        (Suite::Dead, Fault::MixesQueues, "theirs"),
        (Suite::Store, Fault::CopiesFiles, "left behind"),
        (Suite::Store, Fault::ConsumesFiles, "the file after Keep"),
        (Suite::Store, Fault::ForgetsMediaTypes, "media type of"),
        (Suite::Store, Fault::KeepsWhatIsPublished, "cache control of jobs/"),
        (Suite::Store, Fault::ReadsAnyVersion, "another version is read"),
        (Suite::Store, Fault::EndsEarly, "0..3000001"),
        (Suite::Store, Fault::DeletesTheFirstThousand, "left by the first deletion"),
        (Suite::Store, Fault::ForgetsPages, "in pages of"),
        (Suite::Documents, Fault::IgnoresTheVersion, "of an old version"),
        (Suite::Documents, Fault::ComparesThenWrites, "exactly one of many writers wins"),
    ];
    for (suite, fault, expected) in cases {
        let ended = tokio::spawn(run(suite, fault)).await;
        let panic = ended.expect_err(&format!("{suite:?} did not find {fault:?}")).into_panic();
        let message = panic.downcast_ref::<String>().cloned();
        let message =
            message.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        assert!(message.contains(expected), "{suite:?} found {fault:?} by accident: {message}");
    }
}
