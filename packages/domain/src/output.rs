//! One output of a job and its state machine.
//!
//! ```text
//! created ─seal─▶ mapping ─all tasks done─▶ assembling ─commit─▶ publishing ─▶ completed
//!    │               │                          │
//!    └───────────────┴──────────────────────────┴──▶ failed | cancelled
//! ```
//! `publishing` is the point of no return: the index is committed, and the remaining step copies its
//! files to their public names, which is idempotent.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{JobId, OutputId, TaskId, Term};
use crate::keys::Key;
use crate::plan::PlanHash;

/// State of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputState {
    /// Its plan is not sealed yet.
    Created,
    /// The plan is sealed and its tasks are running or waiting.
    Mapping,
    /// Every task is completed; the parts are being assembled.
    Assembling,
    /// The index is committed; its files are being copied to their public names.
    Publishing,
    /// Published.
    Completed,
    /// Ended by a failure.
    Failed,
    /// Cancelled by a user.
    Cancelled,
}

impl OutputState {
    /// Every state.
    pub const ALL: [OutputState; 7] = [
        OutputState::Created,
        OutputState::Mapping,
        OutputState::Assembling,
        OutputState::Publishing,
        OutputState::Completed,
        OutputState::Failed,
        OutputState::Cancelled,
    ];

    /// The name in tables, logs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            OutputState::Created => "created",
            OutputState::Mapping => "mapping",
            OutputState::Assembling => "assembling",
            OutputState::Publishing => "publishing",
            OutputState::Completed => "completed",
            OutputState::Failed => "failed",
            OutputState::Cancelled => "cancelled",
        }
    }

    /// Parses a state from its name.
    pub fn parse(name: &str) -> Option<OutputState> {
        OutputState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether the output has ended and stays so unless a user retries it.
    pub fn is_terminal(self) -> bool {
        matches!(self, OutputState::Completed | OutputState::Failed | OutputState::Cancelled)
    }

    /// Whether the output failed or was cancelled.
    pub fn is_unsuccessful(self) -> bool {
        matches!(self, OutputState::Failed | OutputState::Cancelled)
    }

    /// Whether the transition from here to `next` is allowed.
    ///
    /// A failed or cancelled output can be retried: back to `created`, or to `mapping` when its
    /// plan is sealed.
    pub fn may_become(self, next: OutputState) -> bool {
        use OutputState::{Assembling, Cancelled, Completed, Created, Failed, Mapping, Publishing};
        matches!(
            (self, next),
            (Created, Mapping)
                | (Mapping, Assembling)
                | (Assembling, Publishing)
                | (Publishing, Completed)
                | (Created | Mapping | Assembling, Failed | Cancelled)
                | (Failed | Cancelled, Created | Mapping)
        )
    }
}

impl std::fmt::Display for OutputState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The step that a need blocks until the needed output is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The plan: the output is planned from the needed one.
    Plan,
    /// The assembly: the output is mapped in parallel with the needed one and reads it at the end.
    Assembly,
}

/// A need: an output reads another output of its job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The output that is read.
    pub output: OutputId,
    /// The step that waits for it.
    pub gate: Gate,
}

/// Cause of a failure; it determines the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The request: a recipe, a flag, a model name. Exit code 2.
    Usage,
    /// The source. Exit code 3.
    Source,
    /// The environment: a program, a disk, a permission. Exit code 4.
    Environment,
    /// An internal error (a bug in Segue). Exit code 5.
    Internal,
}

/// Why an output failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its kind.
    pub kind: FaultKind,
    /// One line with cause and remedy.
    pub cause: String,
    /// The task that failed, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The last lines that the failed program wrote to stderr, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr_tail: Vec<String>,
}

/// Maximum size of the texts of a failure, bytes.
pub const FAILURE_MAX: usize = 4096;

/// Digits of a BLAKE3 hash.
const HASH_DIGITS: usize = 64;

/// The first `max` bytes of a text, at the boundary of a character.
fn first(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

impl Failure {
    /// The failure with its texts limited to [`FAILURE_MAX`]: the cause is kept first, then the last lines.
    #[must_use]
    pub fn limited(mut self) -> Failure {
        first(&mut self.cause, FAILURE_MAX / 2);
        let mut left = FAILURE_MAX - self.cause.len();
        let mut tail = Vec::new();
        for mut line in self.stderr_tail.into_iter().rev() {
            first(&mut line, left);
            left -= line.len();
            tail.push(line);
            if left == 0 {
                break;
            }
        }
        tail.reverse();
        Failure { stderr_tail: tail, ..self }
    }

    /// A failure with only a kind and a cause.
    pub fn new(kind: FaultKind, cause: impl Into<String>) -> Failure {
        Failure { kind, cause: cause.into(), task: None, stderr_tail: Vec::new() }
    }
}

/// The sealed plan of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedPlan {
    /// Hash of the document.
    pub hash: PlanHash,
    /// Key of the document.
    pub key: String,
    /// Number of its tasks; may be 0.
    pub tasks: u64,
}

/// The committed index of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommittedIndex {
    /// Key of the document among the attempt's files.
    pub key: String,
    /// BLAKE3 of its bytes, hex.
    pub hash: String,
}

/// Request for a new output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOutput {
    /// Its name.
    pub id: OutputId,
    /// Kind of the output: `transcript`, `video`, …
    pub kind: String,
    /// Outputs of the job that it reads.
    pub needs: Vec<Need>,
    /// Whether its failure fails the job.
    pub required: bool,
    /// Outputs of higher priority are planned and sent first; 0 by default.
    pub priority: i32,
    /// BLAKE3 of its specification, hex: the same name with another specification is a conflict.
    pub spec: String,
}

/// An output as stored in the job document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// The request.
    pub asked: NewOutput,
    /// Its state.
    pub state: OutputState,
    /// Number of manual retries; failures are counted per retry.
    pub retries: u32,
    /// The sealed plan, from `mapping` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<SealedPlan>,
    /// The committed index, from `publishing` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<CommittedIndex>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When its state last changed, milliseconds since 1970 by the ledger's clock.
    pub updated_at_ms: i64,
}

impl OutputRecord {
    /// A new output.
    pub fn new(asked: NewOutput, now_ms: i64) -> OutputRecord {
        OutputRecord {
            asked,
            state: OutputState::Created,
            retries: 0,
            plan: None,
            index: None,
            failure: None,
            updated_at_ms: now_ms,
        }
    }

    /// Its name.
    pub fn id(&self) -> &OutputId {
        &self.asked.id
    }

    /// Gives it the longest plan and index that it can have.
    pub(crate) fn grow(&mut self, job: &JobId) {
        let hash = "f".repeat(HASH_DIGITS);
        let term = Term(u64::MAX);
        let plan = Key::segment(job, self.id(), term, "plan.json");
        let index = Key::work(job, self.id(), &TaskId::assembly(), term, "index.json");
        let text = |key: Result<Key, DomainError>| key.expect("a plain name").to_string();
        self.plan = Some(SealedPlan { hash: PlanHash(hash.clone()), key: text(plan), tasks: u64::MAX });
        self.index = Some(CommittedIndex { key: text(index), hash });
        (self.state, self.retries) = (OutputState::Publishing, u32::MAX);
        self.updated_at_ms = i64::MAX;
    }

    /// Whether the plan is sealed and `completed` is the number of its tasks.
    pub fn is_mapped(&self, completed: u64) -> bool {
        self.plan.as_ref().is_some_and(|plan| completed >= plan.tasks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_a_failure_are_limited() {
        let short =
            Failure { stderr_tail: vec!["a".into(), "b".into()], ..Failure::new(FaultKind::Source, "why") };
        assert_eq!(short.clone().limited(), short);
        let tail = (0..10).map(|n| format!("{n}{}", "\u{e9}".repeat(1000))).collect();
        let long = Failure { stderr_tail: tail, ..Failure::new(FaultKind::Source, "x\u{e9}".repeat(9000)) };
        let limited = long.limited();
        let bytes = limited.cause.len() + limited.stderr_tail.iter().map(String::len).sum::<usize>();
        assert!((FAILURE_MAX - 10..=FAILURE_MAX).contains(&bytes), "{bytes}");
        assert!(limited.stderr_tail.last().unwrap().starts_with('9'), "the last lines are kept");
    }

    #[test]
    fn an_open_output_can_end_and_a_published_one_cannot_fail() {
        for state in OutputState::ALL {
            assert_eq!(OutputState::parse(state.as_str()), Some(state));
            let can_fail = state.may_become(OutputState::Failed);
            assert_eq!(
                can_fail,
                matches!(state, OutputState::Created | OutputState::Mapping | OutputState::Assembling)
            );
            assert!(!state.may_become(state), "{state} to itself");
        }
        assert!(!OutputState::Completed.may_become(OutputState::Created));
        assert!(!OutputState::Publishing.may_become(OutputState::Cancelled));
        assert!(!OutputState::Created.may_become(OutputState::Assembling));
    }
}
