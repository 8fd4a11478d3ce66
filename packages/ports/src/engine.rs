//! Engines: the interface through which roles plan, run tasks and assemble.
//!
//! Engines use local files and folders; keys, queues and ledgers belong to the roles.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::{
    Failure, FaultKind, FileKind, JobId, OutputId, OutputIndex, Plan, Recipe, Task, TaskKind,
};
use tokio_util::sync::CancellationToken;

use crate::report::Reporter;
use crate::source::Source;

/// Why an engine failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// Cause of the failure, unless it was cancelled.
    pub kind: FaultKind,
    /// One line with cause and remedy.
    pub message: String,
    /// The last lines that a program wrote to stderr, at most 10.
    pub stderr_tail: Vec<String>,
    /// Whether the same task may succeed when it is tried again.
    pub retryable: bool,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Whether it read a document of a newer build: the message is left to a newer worker, and is not
    /// counted as a failure.
    pub newer: bool,
}

impl EngineError {
    /// An error that a retry does not repair.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> EngineError {
        EngineError {
            kind,
            message: message.into(),
            stderr_tail: Vec::new(),
            retryable: false,
            cancelled: false,
            newer: false,
        }
    }

    /// A document of a newer build.
    pub fn newer(message: impl Into<String>) -> EngineError {
        EngineError { newer: true, retryable: true, ..EngineError::new(FaultKind::Environment, message) }
    }

    /// The work was cancelled.
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

/// The context of one planning, task or assembly.
#[derive(Clone)]
pub struct WorkContext {
    /// The job.
    pub job: JobId,
    /// Cancelled when the work must stop: the lease is lost, the output has ended, or the process shuts down.
    pub cancel: CancellationToken,
    /// Receives progress events.
    pub reporter: Arc<dyn Reporter>,
    /// Maximum number of threads, at least 1.
    pub threads: usize,
    /// An empty folder of its own; the caller removes it in any case.
    pub scratch: PathBuf,
}

/// A file that an engine wrote to its scratch folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedFile {
    /// A plain name: `[A-Za-z0-9._-]` and `/`.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
}

/// The files that the work reads.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The source.
    pub source: Source,
    /// The planner's files by the names in [`Plan::files`].
    pub files: BTreeMap<String, Source>,
}

/// A request for a plan.
#[derive(Clone)]
pub struct PlanRequest {
    /// The context.
    pub run: WorkContext,
    /// The source.
    pub source: Source,
    /// Its key, for the plan.
    pub source_key: String,
    /// The recipe of the job.
    pub recipe: Recipe,
    /// The outputs of the recipe to plan, those of higher priority first.
    pub outputs: Vec<OutputId>,
    /// Indexes of the completed outputs that gate these plans.
    pub needs: BTreeMap<OutputId, OutputIndex>,
}

/// The plan of one output with its files.
#[derive(Debug, Clone)]
pub struct PlannedOutput {
    /// The plan; [`Plan::files`] and [`Plan::needs`] are filled in by the role.
    pub plan: Plan,
    /// Files for the workers.
    pub files: Vec<ProducedFile>,
}

/// The plans of several outputs of one job.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    /// The plan of each requested output, or the error.
    pub outputs: BTreeMap<OutputId, Result<PlannedOutput, EngineError>>,
    /// Messages for the user.
    pub warnings: Vec<String>,
}

/// Derives plans.
#[async_trait]
pub trait Planner: Send + Sync {
    /// Plans the outputs from one probe of the source. The same source, recipe and tools give the same plan for
    /// an output, whichever others are planned with it. An error applies to all of them.
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError>;
}

/// A task to run.
#[derive(Clone)]
pub struct TaskRequest {
    /// The context.
    pub run: WorkContext,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The task.
    pub task: Task,
    /// The files it reads.
    pub inputs: Inputs,
}

/// Result of a task.
#[derive(Debug, Clone, Default)]
pub struct TaskResult {
    /// The files it made.
    pub files: Vec<ProducedFile>,
    /// Small facts for the assembly; larger data go into a file.
    pub facts: serde_json::Value,
}

/// Runs tasks of some kinds.
#[async_trait]
pub trait MapEngine: Send + Sync {
    /// The kinds it runs.
    fn kinds(&self) -> &[TaskKind];

    /// Runs a task; it may be repeated any number of times on any machine. It reports progress of
    /// [`Stage::Task`](crate::Stage) in the task's own unit, [`Task::work_ms`] in total.
    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError>;
}

/// A finished task, for the assembly.
#[derive(Debug, Clone)]
pub struct Part {
    /// The task.
    pub task: Task,
    /// Its files by name.
    pub files: BTreeMap<String, PathBuf>,
    /// Its facts.
    pub facts: serde_json::Value,
}

/// A request to assemble an output.
#[derive(Clone)]
pub struct AssembleRequest {
    /// The context.
    pub run: WorkContext,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Its hash, for the certificate.
    pub plan_hash: String,
    /// The files it reads.
    pub inputs: Inputs,
    /// Every task of the plan, in the plan's order.
    pub parts: Vec<Part>,
    /// The published outputs that this one needs.
    pub needs: BTreeMap<OutputId, NeededOutput>,
}

/// A published output that another one reads.
#[derive(Debug, Clone)]
pub struct NeededOutput {
    /// Its index.
    pub index: OutputIndex,
    /// Its files by their public names, fetched by ranges.
    pub files: BTreeMap<String, Source>,
}

/// A file to publish.
#[derive(Debug, Clone)]
pub struct AssembledFile {
    /// Public name, e.g. `final.mp4`.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// Its purpose.
    pub kind: FileKind,
    /// Media type.
    pub media_type: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// How and why it was made so.
    pub made: String,
}

/// Result of an assembly. A failed certificate is an error, not a result.
#[derive(Debug, Clone, Default)]
pub struct Assembled {
    /// The files to publish, the certificate among them.
    pub files: Vec<AssembledFile>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Names and versions of the programs that were used.
    pub tools: BTreeMap<String, String>,
}

/// Assembles the parts of an output.
#[async_trait]
pub trait Assembler: Send + Sync {
    /// Assembles, certifies, and returns the files to publish. An output whose plan has a reason to have no tasks
    /// has no files; the role does not call it for that.
    async fn assemble(&self, request: AssembleRequest) -> Result<Assembled, EngineError>;
}
