//! Holders that continue after their lease was taken over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{
    Completion, HolderId, JobId, JobRecord, OutboxEntry, OutputId, OutputRef, TaskId, Tombstone,
};
use segue_ports::{
    Acquired, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, LeaseLedger,
    LeaseName, NewJob, OutboxLedger, OutputChange, PortError, Recorded, TombstonePage,
};
use segue_ports_testkit::memory::MemoryLedger;

use crate::engines::Script;
use crate::world::{World, drain};

/// A ledger as seen by a process that is stopped and woken: while `frozen`, commits wait
/// and renewals are lost.
pub struct Slow {
    pub inner: Arc<MemoryLedger>,
    pub frozen: AtomicBool,
    /// While it is set, only the last change of a job waits.
    pub before_complete: AtomicBool,
    /// While it is set, only renewals wait.
    pub starved: AtomicBool,
    /// While it is set, only acquisitions wait.
    pub before_acquire: AtomicBool,
    /// What the next call of `open_jobs` returns, as it was read earlier.
    pub stale_page: Mutex<Option<JobPage>>,
    /// A job that is created right after the next read that found none.
    pub created_next: Mutex<Option<NewJob>>,
    /// The job that another process puts in the place of the one whose deletion is about to begin.
    pub replaced_by: Mutex<Option<NewJob>>,
}

impl Slow {
    pub fn new(inner: &Arc<MemoryLedger>) -> Slow {
        Slow {
            inner: Arc::clone(inner),
            frozen: AtomicBool::new(false),
            before_complete: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            before_acquire: AtomicBool::new(false),
            stale_page: Mutex::default(),
            created_next: Mutex::default(),
            replaced_by: Mutex::default(),
        }
    }

    async fn thaw(&self, also: Option<&AtomicBool>) {
        while self.frozen.load(Ordering::Relaxed) || also.is_some_and(|also| also.load(Ordering::Relaxed)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[async_trait]
impl JobLedger for Slow {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        self.inner.create_job(job).await
    }
    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        let found = self.inner.job(id).await?;
        let next = self.created_next.lock().unwrap().take_if(|_| found.is_none());
        if let Some(next) = next {
            self.inner.create_job(next).await?;
        }
        Ok(found)
    }
    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        self.inner.jobs(filter, from, max).await
    }
    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        if let Some(page) = self.stale_page.lock().unwrap().take() {
            return Ok(page);
        }
        self.inner.open_jobs(updated_before_ms, from, max).await
    }
    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        let completes = matches!(&change, JobChange::Output { change: OutputChange::Complete, .. });
        self.thaw(completes.then_some(&self.before_complete)).await;
        let deletes = matches!(change, JobChange::Delete { .. });
        let next = self.replaced_by.lock().unwrap().take_if(|_| deletes);
        if let Some(next) = next {
            let read = self.inner.change(id, change.clone(), None).await?.expect("the job");
            assert!(self.inner.delete_job(&read).await?);
            self.inner.create_job(next).await?;
        }
        self.inner.change(id, change, fence).await
    }
    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError> {
        self.inner.tombstones(from, max).await
    }

    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError> {
        self.inner.remove_tombstone(read).await
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        self.inner.delete_job(read).await
    }
}

#[async_trait]
impl CompletionLedger for Slow {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        self.thaw(None).await;
        self.inner.record(completion, lease).await
    }
    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError> {
        self.inner.completed(output).await
    }
    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
        self.inner.completion(output, task).await
    }
    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        self.inner.completions(output, after, max).await
    }
    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        self.inner.count_failure(output, task).await
    }

    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        self.inner.failures(output, task).await
    }
}

#[async_trait]
impl OutboxLedger for Slow {
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        self.inner.outbox(max).await
    }
    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError> {
        self.inner.remove_from_outbox(id).await
    }
}

#[async_trait]
impl LeaseLedger for Slow {
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError> {
        self.thaw(Some(&self.before_acquire)).await;
        self.inner.acquire(name, holder, ttl).await
    }
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        self.thaw(Some(&self.starved)).await;
        self.inner.renew(lease, ttl).await
    }
    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        self.inner.leased_tasks(job, output).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.inner.release(lease).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_wakes_too_late_changes_nothing() {
    let script = Script { segments: 2, task_takes: Duration::from_secs(5), ..Script::default() };
    let world = World::new(script);
    world.submit().await;
    let slow = Arc::new(Slow { frozen: AtomicBool::new(true), ..Slow::new(&world.ledger) });
    let chunker = world.start_planner(world.deps(), "chunker");
    let late =
        world.start_worker(world.deps_with(Arc::clone(&slow) as _, Arc::clone(&world.queue) as _), "late");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut roles = world.start_all();
    world.ended().await;
    slow.frozen.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    roles.extend([chunker, late]);
    drain(roles).await;
    world.check_published(2).await;
    world.check_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn two_reassemblers_publish_one_result() {
    let script = Script { segments: 3, join_takes: Duration::from_secs(5), ..Script::default() };
    let world = World::new(script);
    let slow = Arc::new(Slow::new(&world.ledger));
    let late =
        world.start_assembler(world.deps_with(Arc::clone(&slow) as _, Arc::clone(&world.queue) as _), "late");
    let mut roles = vec![world.start_planner(world.deps(), "c"), world.start_worker(world.deps(), "w")];
    world.submit().await;
    // the first one is stopped in the middle of its join, until a second has published
    while world.record().await.state() != segue_domain::JobState::Assembling {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    slow.frozen.store(true, Ordering::Relaxed);
    roles.push(world.start_assembler(world.deps(), "second"));
    roles.push(world.start_sweeper());
    world.ended().await;
    slow.frozen.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    roles.push(late);
    drain(roles).await;
    world.check_published(3).await;
    world.check_nothing_left().await;
}

/// A world with one worker whose renewals are lost, and the number of restarts of its task.
async fn starved() -> (World, Arc<Slow>, Vec<crate::world::Running>) {
    let world = World::new(Script { segments: 1, task_takes: Duration::from_secs(60), ..Script::default() });
    let slow = Arc::new(Slow { starved: AtomicBool::new(true), ..Slow::new(&world.ledger) });
    let deps = world.deps_with(Arc::clone(&slow) as _, Arc::clone(&world.queue) as _);
    let roles = vec![
        world.start_planner(world.deps(), "c"),
        world.start_worker(deps, "starved"),
        world.start_assembler(world.deps(), "r"),
        world.start_sweeper(),
    ];
    world.submit().await;
    (world, slow, roles)
}

#[tokio::test(start_paused = true)]
async fn a_living_worker_that_loses_its_lease_again_and_again_is_not_taken_for_dead() {
    let (world, slow, roles) = starved().await;
    let begun: TaskId = "begun_digest-00000".parse().unwrap();
    while world.ledger.failures(&world.output("video").await, &begun).await.unwrap() < 15 {
        assert_eq!(world.record().await.failure(), None);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    slow.starved.store(false, Ordering::Relaxed);
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(1).await;
    world.check_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn what_no_worker_can_hold_to_the_end_is_not_tried_for_ever() {
    let (world, _slow, roles) = starved().await;
    let failure = world.ended().await.failure().expect("it failed").clone();
    assert!(failure.cause.contains("started 200 times"), "{}", failure.cause);
    assert!(failure.cause.contains("SEGUE_LEASE"), "{}", failure.cause);
    drain(roles).await;
}
