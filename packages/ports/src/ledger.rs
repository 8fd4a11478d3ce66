//! Ledger: the authoritative record of jobs, their outputs, completions and leases.
//!
//! Every change is a conditional write that names its precondition. The protocol and its
//! correctness argument are in `packages/pipeline/design.md`.

use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{
    AssetId, CommittedIndex, Completion, Epoch, Failure, HolderId, JobId, JobRecord, JobState, NewOutput,
    OutboxEntry, OutputId, OutputRef, SealedPlan, TaskId, Term, Tombstone,
};

use crate::error::PortError;

/// A job to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id, chosen by the caller so that a repeat creates no second job.
    pub id: JobId,
    /// The asset it is applied to.
    pub asset: AssetId,
    /// Key of the source.
    pub source_key: String,
    /// The recipe document, JSON.
    pub recipe: String,
    /// The outputs of the recipe.
    pub outputs: Vec<NewOutput>,
    /// Timeout of the source's upload; absent if the source is stored already.
    pub awaiting: Option<Duration>,
}

/// Result of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedJob {
    /// Whether this call created it.
    pub created: bool,
    /// The current job.
    pub job: JobRecord,
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFilter {
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Only jobs that last changed before this time, milliseconds since 1970.
    pub updated_before_ms: Option<i64>,
}

/// A page of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobPage {
    /// In a stable order.
    pub jobs: Vec<JobRecord>,
    /// Start of the next page; absent on the last.
    pub next: Option<String>,
}

/// Minimum time that a tombstone stays, by the ledger's clock.
pub const TOMBSTONE_KEEP: Duration = Duration::from_secs(24 * 3600);

/// Whether a tombstone may be removed at `now_ms` by the ledger's clock.
pub fn is_tombstone_old(tombstone: &Tombstone, now_ms: i64) -> bool {
    let keep_ms = i64::try_from(TOMBSTONE_KEEP.as_millis()).unwrap_or(i64::MAX);
    now_ms >= tombstone.deleted_at_ms.saturating_add(keep_ms)
}

/// A page of tombstones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TombstonePage {
    /// In a stable order.
    pub tombstones: Vec<Tombstone>,
    /// Start of the next page; absent on the last.
    pub next: Option<String>,
}

/// A change of one output's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputChange {
    /// `mapping` → `assembling`: refused while a task is not completed or a need is not met.
    Assemble,
    /// `assembling` → `publishing`, with this index.
    Commit(CommittedIndex),
    /// `publishing` → `completed`.
    Complete,
    /// Any state before `publishing` → `failed`.
    Fail(Failure),
    /// Any state before `publishing` → `cancelled`.
    Cancel,
    /// `failed` or `cancelled` → `mapping` when a plan is sealed, else `created`. The failure
    /// and counts of failures are reset; completions stay.
    Retry,
}

/// A change of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobChange {
    /// `created` → `mapping` of every output named here, or of none: refused while an output that gates
    /// the plan of one of them is not completed.
    Seal(Vec<(OutputId, SealedPlan)>),
    /// A change of one output.
    Output {
        /// The output.
        output: OutputId,
        /// The change.
        change: OutputChange,
    },
    /// Adds outputs. One that exists with the same specification is unchanged; the same name
    /// with another specification refuses the whole, and so does a document that could grow too large
    /// ([`JobRecord::check_size`]). Those added after the job has ended are optional.
    Add {
        /// The outputs.
        outputs: Vec<NewOutput>,
        /// The recipe of the job with these outputs.
        recipe: String,
        /// The revision of the job that the recipe was made from.
        revision: u64,
    },
    /// Cancels every output that is not published or being published.
    Cancel,
    /// The upload of the source is confirmed: refused unless it is awaited.
    Confirm,
    /// Fails every output because the upload was not confirmed: refused unless it is awaited and its
    /// timeout has passed by the ledger's clock.
    Expire,
    /// Starts the deletion from any state: from then on every other change is refused. The leases of
    /// the job end with it, or right after it. Refused for a job of another epoch.
    Delete {
        /// The epoch of the job that was read.
        epoch: Epoch,
    },
}

impl JobChange {
    /// A change of one output.
    pub fn output(output: &OutputId, change: OutputChange) -> JobChange {
        JobChange::Output { output: output.clone(), change }
    }

    /// The start of the deletion of the job that was read.
    pub fn delete(read: &JobRecord) -> JobChange {
        JobChange::Delete { epoch: read.epoch.clone() }
    }
}

/// Result of recording a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was recorded as the task's completion and counted.
    Created,
    /// The task had one already, which is unchanged.
    Existed,
    /// The lease was taken over or released: nothing was written.
    Stale,
}

/// Name of a lease: `plan/JOB`, `task/JOB/OUTPUT/TASK`, `assemble/JOB/OUTPUT`, `sweep`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseName(String);

impl LeaseName {
    /// The right to plan outputs of a job.
    pub fn plan(job: &JobId) -> LeaseName {
        LeaseName(format!("plan/{job}"))
    }

    /// The right to run a task.
    pub fn task(job: &JobId, output: &OutputId, task: &TaskId) -> LeaseName {
        LeaseName(format!("task/{job}/{output}/{task}"))
    }

    /// The task of this output that the lease is for, if it is for one.
    pub fn task_of(&self, job: &JobId, output: &OutputId) -> Option<TaskId> {
        let mut parts = self.0.split('/');
        let is_of = parts.next() == Some("task")
            && parts.next() == Some(job.as_str())
            && parts.next() == Some(output.as_str());
        parts.next().filter(|_| is_of)?.parse().ok()
    }

    /// The right to assemble and publish an output.
    pub fn assemble(job: &JobId, output: &OutputId) -> LeaseName {
        LeaseName(format!("assemble/{job}/{output}"))
    }

    /// The right to sweep.
    pub fn sweep() -> LeaseName {
        LeaseName("sweep".to_owned())
    }

    /// The name in tables and logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The job it belongs to; `sweep` belongs to none.
    pub fn job(&self) -> Option<&str> {
        self.0.split('/').nth(1)
    }

    /// Whether it belongs to that job.
    pub fn belongs_to(&self, job: &JobId) -> bool {
        self.job() == Some(job.as_str())
    }
}

/// An exclusive, expiring right to plan, run a task, assemble or sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub name: LeaseName,
    /// The holder.
    pub holder: HolderId,
    /// Increases with each acquisition of the name, permanently, also when the job was deleted and
    /// created again in between; the first is 1.
    pub term: Term,
}

/// Result of an attempt to acquire a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// Acquired.
    Held(Lease),
    /// Another holder has it, for about this long unless it is renewed.
    Busy(Duration),
}

/// Jobs and the states of their outputs.
#[async_trait]
pub trait JobLedger: Send + Sync {
    /// Creates the job with every output in `created`, unless a job with that id exists, also one that is
    /// being deleted.
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) for an invalid set of outputs
    /// ([`JobRecord::check_outputs`]), and for a document that could grow too large ([`JobRecord::check_size`]).
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError>;

    /// The job, or `None`. One that is being deleted is returned until [`delete_job`](Self::delete_job).
    /// [`PortErrorKind::Newer`](crate::PortErrorKind) when its document was written by a newer build.
    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError>;

    /// A page of jobs, at most `max`, from the end of an earlier page. Documents of a newer build are
    /// left out.
    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError>;

    /// A page of jobs that the sweeper has to inspect ([`JobRecord::is_open_job`]), in any state:
    /// those that last changed before `updated_before_ms`. Documents of a newer build are left out.
    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError>;

    /// Makes a change if the job allows it and, where a lease is given, if that lease still has its
    /// term: one atomic step ([`JobChange::applied_to`] is the rule). Returns the job after the
    /// change, or `None` when it was refused; a repeat of a change that took effect is refused, and so
    /// is a change of a job that does not exist. In a ledger that records notices, those of the change
    /// ([`notices`](crate::notices)) are durable with it, and a refused change has none.
    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError>;

    /// Removes the job that was read, with its completions and counts; a tombstone takes its place in the same
    /// step. False, and nothing changes,
    /// when it is not being deleted ([`JobChange::Delete`]), or when a later job with that id exists
    /// (another [`epoch`](JobRecord::epoch)); so a request may arrive at any later time. True when
    /// no job with that id exists, also for a repeat. A later job with that id starts afresh and takes the place of the tombstone;
    /// its epoch is greater, and its terms continue to increase.
    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError>;

    /// A page of tombstones, at most `max`, from the end of an earlier page. Those of a newer build are left out.
    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError>;

    /// Removes the tombstone that was read. False, and nothing changes, before [`TOMBSTONE_KEEP`] has passed, or
    /// when the id has another job or tombstone by now. True also when it was removed before.
    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError>;
}

/// Notices that were recorded with changes, to be delivered.
#[async_trait]
pub trait OutboxLedger: Send + Sync {
    /// At most `max` notices that were not removed, oldest first where the ledger has an order. Those of a newer
    /// build are left out and stay.
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError>;

    /// Removes a delivered notice; a missing one is not an error.
    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError>;
}

/// Completions and failures of the tasks of an output.
#[async_trait]
pub trait CompletionLedger: Send + Sync {
    /// Creates the completion if the task has none and `lease` still has its term, and counts it
    /// for the output only if it was created: one transaction, whatever the output's state, also
    /// before its plan is sealed. It does not touch the job's document. A lease that expired and was not
    /// taken over still has its term. [`Recorded::Existed`] is returned to a stale lease as well,
    /// so that the caller learns that the task is done.
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) when the lease is not the task's, nor
    /// that of a spare attempt at it ([`TaskId::spare`]), or the completion names another term.
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError>;

    /// Number of completions of the output; never decreases in one epoch of its job.
    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError>;

    /// The task's completion, or `None`.
    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError>;

    /// Completions of an output in order of their task ids, at most `max`, those after `after`.
    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError>;

    /// Counts a failed attempt and returns the new count; a repeat counts again. A retry of
    /// the output resets it to zero.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when the output does not exist in this epoch of
    /// its job.
    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError>;

    /// The number of failed attempts: 0 also when the output does not exist.
    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError>;
}

/// Leases with terms, by the ledger's own clock.
#[async_trait]
pub trait LeaseLedger: Send + Sync {
    /// Acquires the lease for `ttl` if it is free or expired. The term is one
    /// more than the last, also when the same holder acquires it again. A holder does not
    /// get a lease that it already holds.
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError>;

    /// Extends it to `ttl` from now. False when it was taken over or released. A lease that
    /// expired and was not taken over is renewed.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError>;

    /// The tasks of an output whose leases are held now, in the order of their ids; spare attempts under names
    /// of their own.
    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError>;

    /// Releases it; no effect when it was taken over or released. The term is kept.
    async fn release(&self, lease: &Lease) -> Result<(), PortError>;
}

/// The whole ledger.
pub trait Ledger: JobLedger + CompletionLedger + LeaseLedger + OutboxLedger {}

impl<T: JobLedger + CompletionLedger + LeaseLedger + OutboxLedger> Ledger for T {}
