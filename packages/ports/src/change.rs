//! The rules that every ledger applies inside its own atomic step: what a change makes of
//! a job, and which lease a completion needs.

use std::iter::successors;

use segue_domain::{Completion, JobRecord, JobState, TaskId};

use crate::error::{PortError, PortErrorKind};
use crate::ledger::{JobChange, Lease, LeaseName};
use crate::mutant;

impl Lease {
    /// Whether a completion may be recorded under this lease at all: that of its task, or that
    /// of a spare attempt at it.
    ///
    /// # Errors
    /// [`PortErrorKind::Misuse`] when it is the lease of something else or the completion
    /// names another term.
    pub fn check_is_for(&self, completion: &Completion) -> Result<(), PortError> {
        let mut names = successors(Some(completion.task.clone()), TaskId::spare);
        if names.any(|name| self.name == LeaseName::task(&completion.job, &name))
            && self.term == completion.term
        {
            return Ok(());
        }
        let (task, term) = (&completion.task, completion.term);
        let lease = self.name.as_str();
        let message = format!("task {task} of term {term} is recorded under lease {lease} of {}", self.term);
        Err(PortError::new(PortErrorKind::Misuse, message))
    }
}

impl JobChange {
    /// The job after this change, or `None` when its state refuses it. A ledger calls
    /// this on the row that it has locked (or makes the write conditional on that row's
    /// state and count), after it has looked at the fence.
    pub fn applied_to(&self, job: &JobRecord, now_ms: i64) -> Option<JobRecord> {
        let next = self.next_state(job);
        let allowed = job.state.may_become(next) || mutant!("change-in-any-state");
        if !allowed || self.comes_too_early(job) {
            return None;
        }
        let mut after = job.clone();
        after.state = next;
        // a clock that was set back does not take a job back
        after.updated_at_ms = now_ms.max(job.updated_at_ms);
        match self {
            JobChange::Seal(plan) => after.plan = Some(plan.clone()),
            JobChange::Commit { manifest_key } => after.manifest_key = Some(manifest_key.clone()),
            JobChange::Fail(failure) => after.failure = Some(failure.clone()),
            JobChange::Retry => after.failure = None,
            JobChange::Reassemble | JobChange::Complete | JobChange::Cancel => {}
        }
        Some(after)
    }

    fn next_state(&self, job: &JobRecord) -> JobState {
        match self {
            JobChange::Seal(_) => JobState::Mapping,
            JobChange::Reassemble => JobState::Reassembling,
            JobChange::Commit { .. } => JobState::Publishing,
            JobChange::Complete => JobState::Completed,
            JobChange::Fail(_) => JobState::Failed,
            JobChange::Cancel => JobState::Cancelled,
            JobChange::Retry if job.plan.is_some() => JobState::Mapping,
            JobChange::Retry => JobState::Created,
        }
    }

    /// What the two states alone do not tell: `mapping` is reached by a seal and by a
    /// retry, and nothing is joined before all of it is there.
    fn comes_too_early(&self, job: &JobRecord) -> bool {
        match self {
            JobChange::Seal(_) => job.state != JobState::Created && !mutant!("seal-revives"),
            JobChange::Retry => !matches!(job.state, JobState::Failed | JobState::Cancelled),
            JobChange::Reassemble => !job.all_tasks_in() && !mutant!("reassemble-before-all-in"),
            _ => false,
        }
    }
}
