//! Progress, as events. Only a program knows what a progress bar is.

use segue_domain::{JobId, JobState, OutputId, OutputState, TaskKind};
use serde::{Deserialize, Serialize};

/// A part of the way that a user waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Probing and planning.
    Plan,
    /// All tasks of one kind.
    Task(TaskKind),
    /// Joining the parts.
    Join,
    /// Proving the result.
    Certify,
    /// Giving the files their public names.
    Publish,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The job is in a new state.
    State {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// An output is in a new state.
    Output {
        /// The job.
        job: JobId,
        /// The output.
        output: OutputId,
        /// Its state.
        state: OutputState,
    },
    /// A stage is known to take `total` units of work, of which `done` are done already.
    StageStarted {
        /// The job.
        job: JobId,
        /// The stage.
        stage: Stage,
        /// All units.
        total: u64,
        /// Units done before.
        done: u64,
        /// What a unit is: `ms` of media, `tasks`, `bytes`.
        unit: String,
    },
    /// `done` more units are done.
    StageAdvanced {
        /// The job.
        job: JobId,
        /// The stage.
        stage: Stage,
        /// Units since the last event; never negative.
        done: u64,
    },
    /// A stage has ended.
    StageEnded {
        /// The job.
        job: JobId,
        /// The stage.
        stage: Stage,
    },
    /// Something that the user should know and that does not end the job.
    Warning {
        /// The job.
        job: JobId,
        /// One line.
        message: String,
    },
}

/// Takes events; must not block.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

/// Forgets every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReport;

impl Reporter for NoReport {
    fn report(&self, _event: Event) {}
}
