//! The state machine of a job.
//!
//! ```text
//! created ─seal─▶ mapping ─all in─▶ reassembling ─commit─▶ publishing ─▶ completed
//!    │               │                   │
//!    └───────────────┴───────────────────┴──▶ failed | cancelled
//! ```
//! `publishing` is the point of no return: the manifest is chosen, and what is left is to
//! give its files their public names, which anybody may do any number of times.

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, JobId, TaskId};
use crate::plan::PlanHash;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Known; the plan is not sealed yet.
    Created,
    /// The plan is sealed and its tasks are being done.
    Mapping,
    /// Every task is done; the parts are being joined.
    Reassembling,
    /// The manifest is committed; its files are being given their public names.
    Publishing,
    /// Published.
    Completed,
    /// Ended with a cause.
    Failed,
    /// Ended because a user asked.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 7] = [
        JobState::Created,
        JobState::Mapping,
        JobState::Reassembling,
        JobState::Publishing,
        JobState::Completed,
        JobState::Failed,
        JobState::Cancelled,
    ];

    /// The name in tables, logs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Created => "created",
            JobState::Mapping => "mapping",
            JobState::Reassembling => "reassembling",
            JobState::Publishing => "publishing",
            JobState::Completed => "completed",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing will happen to the job any more unless somebody drives it on.
    pub fn is_terminal(self) -> bool {
        matches!(self, JobState::Completed | JobState::Failed | JobState::Cancelled)
    }

    /// Whether a job may go from here to `next`.
    ///
    /// A failed or cancelled job can be driven on by hand: back to `created`, or to
    /// `mapping` when its plan is sealed.
    pub fn may_become(self, next: JobState) -> bool {
        use JobState::{Cancelled, Completed, Created, Failed, Mapping, Publishing, Reassembling};
        matches!(
            (self, next),
            (Created, Mapping)
                | (Mapping, Reassembling)
                | (Reassembling, Publishing)
                | (Publishing, Completed)
                | (Created | Mapping | Reassembling, Failed | Cancelled)
                | (Failed | Cancelled, Created | Mapping)
        )
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose fault a failure is; it becomes the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The request: a recipe, a flag, a model name. Exit code 2.
    Usage,
    /// The source. Exit code 3.
    Source,
    /// The machine: a program, a disk, a permission. Exit code 4.
    Environment,
    /// Segue itself. Exit code 5.
    Internal,
}

/// Why a job ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault.
    pub kind: FaultKind,
    /// One line: what was wrong and what to do.
    pub cause: String,
    /// The task that failed, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The last lines that the program at fault wrote to stderr, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr_tail: Vec<String>,
}

/// The plan that a job was sealed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPlan {
    /// Its name.
    pub hash: PlanHash,
    /// Where the document is stored.
    pub key: String,
    /// Number of its tasks.
    pub tasks: u64,
}

/// A job as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Which job of that id this is.
    pub epoch: Epoch,
    /// Where it stands.
    pub state: JobState,
    /// Key of the source in the media store.
    pub source_key: String,
    /// The recipe document as it was submitted, TOML or JSON.
    pub recipe: String,
    /// The sealed plan, from `mapping` on.
    pub plan: Option<SealedPlan>,
    /// Tasks whose completion is recorded.
    pub completed_tasks: u64,
    /// Key of the committed manifest, from `publishing` on.
    pub manifest_key: Option<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When it was created, milliseconds since 1970 by the ledger's clock.
    pub created_at_ms: i64,
    /// When its state or count last changed, likewise.
    pub updated_at_ms: i64,
}

impl JobRecord {
    /// Whether the plan is sealed and every one of its tasks is recorded: the question
    /// that everybody asks who could have been last.
    pub fn all_tasks_in(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| self.completed_tasks >= plan.tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_living_state_can_end_and_no_published_one_can_fail() {
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
            let can_fail = state.may_become(JobState::Failed);
            assert_eq!(
                can_fail,
                matches!(state, JobState::Created | JobState::Mapping | JobState::Reassembling)
            );
            assert!(!state.may_become(state), "{state} to itself");
        }
        assert!(!JobState::Completed.may_become(JobState::Created));
        assert!(!JobState::Publishing.may_become(JobState::Cancelled));
        assert!(!JobState::Created.may_become(JobState::Reassembling));
    }
}
