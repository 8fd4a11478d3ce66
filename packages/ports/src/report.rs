//! Progress events. Only programs depend on how they are displayed.

use segue_domain::{JobId, JobState, OutputId, OutputState, TaskKind};
use serde::{Deserialize, Serialize};

/// A stage of a job, as displayed to users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Probing and planning.
    Plan,
    /// All tasks of one kind.
    Task(TaskKind),
    /// Joining the parts.
    Join,
    /// Certifying the result.
    Certify,
    /// Copying the files to their public names.
    Publish,
}

/// A progress event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The job changed its state.
    State {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// An output changed its state.
    Output {
        /// The job.
        job: JobId,
        /// The output.
        output: OutputId,
        /// Its state.
        state: OutputState,
    },
    /// A stage has `total` units of work, of which `done` are completed already.
    StageStarted {
        /// The job.
        job: JobId,
        /// The stage.
        stage: Stage,
        /// Total number of units.
        total: u64,
        /// Units completed before.
        done: u64,
        /// The unit: `ms` of media, `tasks`, `bytes`.
        unit: String,
    },
    /// `done` more units are completed.
    StageAdvanced {
        /// The job.
        job: JobId,
        /// The stage.
        stage: Stage,
        /// Units since the last event; not negative.
        done: u64,
    },
    /// A stage has ended.
    StageEnded {
        /// The job.
        job: JobId,
        /// The stage.
        stage: Stage,
    },
    /// A message for the user that does not end the job.
    Warning {
        /// The job.
        job: JobId,
        /// One line.
        message: String,
    },
}

/// Receives events; must not block.
pub trait Reporter: Send + Sync {
    /// Reports one event.
    fn report(&self, event: Event);
}

/// Discards every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReport;

impl Reporter for NoReport {
    fn report(&self, _event: Event) {}
}
