//! The ledger: what is true of jobs, plans, completions and leases.
//!
//! Every change is a conditional write that names what it expects. The protocol and why it
//! holds is written down in `packages/pipeline/design.md`.

use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{Completion, Failure, HolderId, JobId, JobRecord, JobState, SealedPlan, TaskId, Term};

use crate::error::PortError;

/// A job to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id, chosen by the caller so that a repeat is the same job.
    pub id: JobId,
    /// Key of the source.
    pub source_key: String,
    /// The recipe document, JSON.
    pub recipe: String,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedJob {
    /// Whether this call created it.
    pub created: bool,
    /// The job as it stands now.
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
    /// Where the next page begins; absent on the last.
    pub next: Option<String>,
}

/// A change of a job's state, with what comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobChange {
    /// `created` → `mapping`: the plan is sealed.
    Seal(SealedPlan),
    /// `mapping` → `reassembling`: refused while a task is not in.
    Reassemble,
    /// `reassembling` → `publishing`: this manifest and no other.
    Commit {
        /// Key of the manifest among the attempt's files.
        manifest_key: String,
    },
    /// `publishing` → `completed`.
    Complete,
    /// Any living state before `publishing` → `failed`.
    Fail(Failure),
    /// Any living state before `publishing` → `cancelled`.
    Cancel,
    /// `failed` or `cancelled` → `mapping` when a plan is sealed, else `created`. Failure
    /// and counts of failures are forgotten; completions stay.
    Retry,
}

/// What became of a recorded completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is the task's completion, and it is counted.
    Created,
    /// The task had one; that one stands and nothing changed.
    Existed,
    /// The lease was taken over or given back: nothing was written.
    Stale,
}

/// What a lease is for: `chunk/JOB`, `task/JOB/TASK`, `reassemble/JOB`, `sweep`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseName(String);

impl LeaseName {
    /// The right to plan a job.
    pub fn chunk(job: &JobId) -> LeaseName {
        LeaseName(format!("chunk/{job}"))
    }

    /// The right to do a task.
    pub fn task(job: &JobId, task: &TaskId) -> LeaseName {
        LeaseName(format!("task/{job}/{task}"))
    }

    /// The right to join a job.
    pub fn reassemble(job: &JobId) -> LeaseName {
        LeaseName(format!("reassemble/{job}"))
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
    pub fn is_of(&self, job: &JobId) -> bool {
        self.job() == Some(job.as_str())
    }
}

/// The right to do something, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What for.
    pub name: LeaseName,
    /// Who holds it.
    pub holder: HolderId,
    /// Grows with each acquisition of the name, for ever, also when the job was deleted and
    /// made again in between; the first is 1.
    pub term: Term,
}

/// What became of an attempt to get a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// It is held now.
    Held(Lease),
    /// Somebody holds it, for about this long still if they do not renew.
    Busy(Duration),
}

/// Jobs and their states.
#[async_trait]
pub trait JobLedger: Send + Sync {
    /// Creates the job in state `created`, unless one of that id is there.
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError>;

    /// The job, or `None`.
    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError>;

    /// A page of jobs, at most `max`, from where an earlier page said.
    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError>;

    /// Makes a change if the job's state allows it and, where a lease is given, if that
    /// lease still has its term: one atomic step ([`JobChange::applied_to`] is the rule).
    /// Returns the job after the change, or `None` when it was refused; a repeat of a
    /// change that took effect is refused, and so is a change of a job that is not there.
    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError>;

    /// Removes the job that was read, with its completions and counts, and ends its leases.
    /// False, and nothing changes, when it is in another state by now, or when a later job
    /// of that id is there (another [`epoch`](JobRecord::epoch)); so a request may come as
    /// late as it likes. True when no job of that id is there, also for a repeat. A later
    /// job of that id starts afresh, but its terms go on growing.
    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError>;
}

/// Completions and failures of tasks.
#[async_trait]
pub trait CompletionLedger: Send + Sync {
    /// Creates the completion if the task has none and `lease` still has its term, and
    /// counts it for the job only if it was created: one transaction, whatever the job's
    /// state, also before its plan is sealed. A lease that ran out and that nobody took
    /// over still has its term. [`Recorded::Existed`] is said to a stale lease as well,
    /// so that whoever asks learns that the task is done.
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) when the lease is not the task's, nor
    /// that of a spare attempt at it ([`TaskId::spare`]), or the completion names another term.
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError>;

    /// The task's completion, or `None`.
    async fn completion(&self, job: &JobId, task: &TaskId) -> Result<Option<Completion>, PortError>;

    /// Completions of a job in order of their task ids, at most `max`, those after `after`.
    async fn completions(
        &self,
        job: &JobId,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError>;

    /// Counts a failed attempt and says how many there are now; a repeat counts again.
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when the job is not there.
    async fn count_failure(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError>;

    /// How many were counted: 0 where none was, also when the job is not there.
    async fn failures(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError>;
}

/// Leases with terms, by the ledger's own clock.
#[async_trait]
pub trait LeaseLedger: Send + Sync {
    /// Takes the lease for `ttl` if nobody holds it or its time is over. The term is one
    /// more than the last, also when the same holder takes it again. A holder does not
    /// get a lease that it holds already.
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError>;

    /// Holds it for `ttl` from now on. False when the term is over: taken over or given
    /// back. A lease that ran out and that nobody took over is renewed.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError>;

    /// Gives it back; nothing happens when the term is over. The term stays known.
    async fn release(&self, lease: &Lease) -> Result<(), PortError>;
}

/// The whole ledger.
pub trait Ledger: JobLedger + CompletionLedger + LeaseLedger {}

impl<T: JobLedger + CompletionLedger + LeaseLedger> Ledger for T {}
