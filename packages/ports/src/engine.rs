//! What the roles need from those that know media and speech.
//!
//! Engines see files and folders of this machine; keys, queues and ledgers are the roles'.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::{Failure, FaultKind, JobId, OutputKind, Plan, Recipe, Task, TaskKind};
use tokio_util::sync::CancellationToken;

use crate::report::Reporter;
use crate::source::Source;

/// Why an engine gave up.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Whose fault; [`EngineError::cancelled`] says when it was nobody's.
    pub kind: FaultKind,
    /// One line: what was wrong and what to do.
    pub message: String,
    /// The last lines that a program wrote to stderr, at most 10.
    pub stderr_tail: Vec<String>,
    /// Whether the same task may succeed when it is tried again.
    pub retryable: bool,
    /// Whether it stopped because it was asked to.
    pub cancelled: bool,
}

impl EngineError {
    /// An error that another attempt does not mend.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> EngineError {
        EngineError {
            kind,
            message: message.into(),
            stderr_tail: Vec::new(),
            retryable: false,
            cancelled: false,
        }
    }

    /// It stopped because it was asked to.
    pub fn cancelled() -> EngineError {
        EngineError {
            cancelled: true,
            retryable: true,
            ..EngineError::new(FaultKind::Environment, "cancelled")
        }
    }

    /// The cause for the job record.
    pub fn into_failure(self, task: Option<segue_domain::TaskId>) -> Failure {
        let from = self.stderr_tail.len().saturating_sub(10);
        Failure { kind: self.kind, cause: self.message, task, stderr_tail: self.stderr_tail[from..].to_vec() }
    }
}

/// What every piece of work is given.
#[derive(Clone)]
pub struct Run {
    /// The job.
    pub job: JobId,
    /// Set when the work is to stop: the lease is lost, the job is cancelled, or the
    /// process ends.
    pub cancel: CancellationToken,
    /// Takes progress.
    pub reporter: Arc<dyn Reporter>,
    /// Threads it may use, at least 1.
    pub threads: usize,
    /// An empty folder of its own; removed afterwards, whatever happens.
    pub scratch: PathBuf,
}

/// A file that an engine made in its scratch folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedFile {
    /// A plain name: `[A-Za-z0-9._-]` and `/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// The files that work reads.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The source.
    pub source: Source,
    /// The chunker's files by the names in [`Plan::files`].
    pub files: BTreeMap<String, Source>,
}

/// A request for a plan.
#[derive(Clone)]
pub struct PlanRequest {
    /// What every piece of work is given.
    pub run: Run,
    /// The source.
    pub source: Source,
    /// Its key, for the plan.
    pub source_key: String,
    /// What is wanted.
    pub recipe: Recipe,
}

/// A plan and the files that go with it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan; [`Plan::files`] is filled in by the role.
    pub plan: Plan,
    /// Files for the workers.
    pub files: Vec<ProducedFile>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Derives plans.
#[async_trait]
pub trait Planner: Send + Sync {
    /// A plan for the source. The same source, recipe and tools give the same plan.
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError>;
}

/// A task to do.
#[derive(Clone)]
pub struct TaskRequest {
    /// What every piece of work is given.
    pub run: Run,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The task.
    pub task: Task,
    /// What it reads.
    pub inputs: Inputs,
}

/// What a task came to.
#[derive(Debug, Clone, Default)]
pub struct TaskResult {
    /// What it made.
    pub files: Vec<ProducedFile>,
    /// Small facts for the reduce; large ones go into a file.
    pub facts: serde_json::Value,
}

/// Does the tasks of some kinds.
#[async_trait]
pub trait MapEngine: Send + Sync {
    /// The kinds it does.
    fn kinds(&self) -> &[TaskKind];

    /// Does a task, any number of times, anywhere. It reports progress of
    /// [`Stage::Task`](crate::Stage) in the task's own unit, [`Task::work_ms`] in all.
    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError>;
}

/// A finished task, for the reduce.
#[derive(Debug, Clone)]
pub struct Part {
    /// The task.
    pub task: Task,
    /// Its files by name.
    pub files: BTreeMap<String, PathBuf>,
    /// Its facts.
    pub facts: serde_json::Value,
}

/// A request to join.
#[derive(Clone)]
pub struct ReduceRequest {
    /// What every piece of work is given.
    pub run: Run,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Its hash, for the certificate.
    pub plan_hash: String,
    /// What it reads.
    pub inputs: Inputs,
    /// Every task of the plan, in the plan's order.
    pub parts: Vec<Part>,
}

/// A file to publish.
#[derive(Debug, Clone)]
pub struct ReducedFile {
    /// Public name, e.g. `final.mp4`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What it is for.
    pub kind: OutputKind,
    /// Media type.
    pub media_type: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// How it was made and why so.
    pub made: String,
}

/// What a join came to. A join that fails its certificate is an error, not a result.
#[derive(Debug, Clone, Default)]
pub struct Reduced {
    /// The files to publish, the certificate among them.
    pub files: Vec<ReducedFile>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Names and versions of the programs that made it.
    pub tools: BTreeMap<String, String>,
}

/// Joins the parts of a job.
#[async_trait]
pub trait Reducer: Send + Sync {
    /// Joins, proves, and says what to publish.
    async fn reduce(&self, request: ReduceRequest) -> Result<Reduced, EngineError>;
}
