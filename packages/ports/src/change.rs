//! The rules that every ledger applies inside its own atomic step: the result of a change of a
//! job, and which lease a completion requires.

use std::iter::successors;

use segue_domain::job::{JOB_VERSION, expired};
use segue_domain::{
    Completion, Epoch, Gate, JobRecord, JobState, NewOutput, OutputId, OutputRecord, OutputState, TaskId,
};

use crate::error::{PortError, PortErrorKind};
use crate::ledger::{JobChange, Lease, LeaseName, NewJob, OutputChange};

impl Lease {
    /// Whether a completion may be recorded under this lease: that of its task, or that
    /// of a spare attempt at it.
    ///
    /// # Errors
    /// [`PortErrorKind::Misuse`] when the lease is for another task or the completion
    /// names another term.
    pub fn check_is_for(&self, completion: &Completion) -> Result<(), PortError> {
        let output = &completion.output;
        let mut names = successors(Some(completion.task.clone()), TaskId::spare);
        if names.any(|name| self.name == LeaseName::task(&output.job, &output.output, &name))
            && self.term == completion.term
        {
            return Ok(());
        }
        let (task, term) = (&completion.task, completion.term);
        let lease = self.name.as_str();
        let message = format!(
            "task {task} of {output} and term {term} is recorded under lease {lease} of {}",
            self.term
        );
        Err(PortError::new(PortErrorKind::Misuse, message))
    }
}

impl NewJob {
    /// The document of the job.
    ///
    /// # Errors
    /// [`PortErrorKind::Misuse`] for an invalid set of outputs, and for a document that could grow too large
    /// ([`JobRecord::check_size`]).
    pub fn into_record(self, epoch: Epoch, now_ms: i64) -> Result<JobRecord, PortError> {
        JobRecord::check_outputs(self.outputs.iter())
            .map_err(|e| PortError::with(PortErrorKind::Misuse, format!("job {}", self.id), e))?;
        let awaiting = |wait: std::time::Duration| {
            now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
        };
        let job = JobRecord {
            version: JOB_VERSION,
            id: self.id,
            epoch,
            revision: 1,
            asset: self.asset,
            source_key: self.source_key,
            recipe: self.recipe,
            awaiting_until_ms: self.awaiting.map(awaiting),
            deleting: false,
            outputs: self.outputs.into_iter().map(|asked| OutputRecord::new(asked, now_ms)).collect(),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            completed_at_ms: None,
        };
        job.check_size().map_err(|e| PortError::with(PortErrorKind::Misuse, format!("job {}", job.id), e))?;
        Ok(job)
    }
}

impl JobChange {
    /// The job after this change, or `None` when it is refused. A ledger calls this on the
    /// document that it has locked (or makes the write conditional on that document's revision), after
    /// it has compared the fence. `completed` is the number of completions of the output that is
    /// changed; it never decreases, so it may have been read before. Only [`OutputChange::Assemble`]
    /// reads it.
    pub fn applied_to(&self, job: &JobRecord, completed: u64, now_ms: i64) -> Option<JobRecord> {
        if job.deleting {
            return None;
        }
        let mut after = job.clone();
        after.revision += 1;
        // a clock that was set back does not set the time of the job back
        let now_ms = now_ms.max(job.updated_at_ms);
        after.updated_at_ms = now_ms;
        match self {
            JobChange::Seal(plans) => {
                if plans.is_empty() || job.awaiting_until_ms.is_some() {
                    return None;
                }
                for (output, plan) in plans {
                    after.seal(job, output, plan, now_ms)?;
                }
            }
            JobChange::Output { output, change, .. } => {
                if job.awaiting_until_ms.is_some() {
                    return None;
                }
                change.apply(job, &mut after, output, completed, now_ms)?;
            }
            JobChange::Add { outputs, recipe, revision } => {
                if *revision != job.revision {
                    return None;
                }
                after.add(outputs, now_ms)?;
                after.recipe.clone_from(recipe);
                after.check_size().ok()?;
            }
            JobChange::Cancel => after.end_all(OutputState::Cancelled, now_ms)?,
            JobChange::Confirm => {
                job.awaiting_until_ms?;
                after.awaiting_until_ms = None;
            }
            JobChange::Expire => {
                if job.awaiting_until_ms.is_none_or(|until_ms| now_ms < until_ms) {
                    return None;
                }
                after.awaiting_until_ms = None;
                // outputs that were cancelled before stay so, and do not keep the job waiting
                let _ = after.end_all(OutputState::Failed, now_ms);
                for output in &mut after.outputs {
                    output.failure = (output.state == OutputState::Failed).then(expired);
                }
            }
            JobChange::Delete { epoch } => {
                // a late request of an earlier job's deletion
                if *epoch != job.epoch {
                    return None;
                }
                after.deleting = true;
            }
        }
        if after.completed_at_ms.is_none() && after.state() == JobState::Completed {
            after.completed_at_ms = Some(now_ms);
        }
        Some(after)
    }

    /// The output whose completions the change depends on.
    pub fn counted_output(&self) -> Option<&OutputId> {
        match self {
            JobChange::Output { output, change: OutputChange::Assemble, .. } => Some(output),
            _ => None,
        }
    }
}

/// The steps of a change, applied to the next version of the document.
trait Steps {
    fn seal(
        &mut self,
        before: &JobRecord,
        output: &OutputId,
        plan: &segue_domain::SealedPlan,
        now_ms: i64,
    ) -> Option<()>;
    fn add(&mut self, outputs: &[NewOutput], now_ms: i64) -> Option<()>;
    fn end_all(&mut self, state: OutputState, now_ms: i64) -> Option<()>;
}

impl Steps for JobRecord {
    fn seal(
        &mut self,
        before: &JobRecord,
        output: &OutputId,
        plan: &segue_domain::SealedPlan,
        now_ms: i64,
    ) -> Option<()> {
        let read = before.output(output)?;
        if read.state != OutputState::Created {
            return None;
        }
        if !before.needs_are_met(read, Gate::Plan) {
            return None;
        }
        let sealed = self.output_mut(output)?;
        // the same output twice in one seal
        if sealed.state != read.state {
            return None;
        }
        sealed.state = OutputState::Mapping;
        sealed.plan = Some(plan.clone());
        sealed.updated_at_ms = now_ms;
        Some(())
    }

    fn add(&mut self, outputs: &[NewOutput], now_ms: i64) -> Option<()> {
        let has_ended = self.state().is_terminal();
        for asked in outputs {
            match self.output(&asked.id) {
                Some(there) if there.asked.spec == asked.spec => {}
                Some(_) => return None,
                None => {
                    let required = asked.required && !has_ended;
                    let asked = NewOutput { required, ..asked.clone() };
                    self.outputs.push(OutputRecord::new(asked, now_ms));
                }
            }
        }
        JobRecord::check_outputs(self.outputs.iter().map(|output| &output.asked)).ok()
    }

    /// Applies an end state to every output that allows it; refused when there is none.
    fn end_all(&mut self, state: OutputState, now_ms: i64) -> Option<()> {
        let mut ended = None;
        for output in &mut self.outputs {
            if output.state.may_become(state) {
                output.state = state;
                output.updated_at_ms = now_ms;
                ended = Some(());
            }
        }
        ended
    }
}

impl OutputChange {
    fn apply(
        &self,
        before: &JobRecord,
        after: &mut JobRecord,
        output: &OutputId,
        completed: u64,
        now_ms: i64,
    ) -> Option<()> {
        let read = before.output(output)?;
        let next = self.next_state(read);
        if !read.state.may_become(next) || self.comes_too_early(before, read, completed) {
            return None;
        }
        let changed = after.output_mut(output)?;
        changed.state = next;
        changed.updated_at_ms = now_ms;
        match self {
            OutputChange::Commit(index) => changed.index = Some(index.clone()),
            OutputChange::Fail(failure) => changed.failure = Some(failure.clone().limited()),
            OutputChange::Retry => {
                changed.failure = None;
                changed.retries += 1;
            }
            OutputChange::Assemble | OutputChange::Complete | OutputChange::Cancel => {}
        }
        Some(())
    }

    fn next_state(&self, output: &OutputRecord) -> OutputState {
        match self {
            OutputChange::Assemble => OutputState::Assembling,
            OutputChange::Commit(_) => OutputState::Publishing,
            OutputChange::Complete => OutputState::Completed,
            OutputChange::Fail(_) => OutputState::Failed,
            OutputChange::Cancel => OutputState::Cancelled,
            OutputChange::Retry if output.plan.is_some() => OutputState::Mapping,
            OutputChange::Retry => OutputState::Created,
        }
    }

    /// Conditions beyond the two states: `mapping` follows a seal and a retry, and
    /// an assembly requires that all tasks are completed.
    fn comes_too_early(&self, job: &JobRecord, output: &OutputRecord, completed: u64) -> bool {
        match self {
            OutputChange::Retry => !output.state.is_unsuccessful(),
            OutputChange::Assemble => {
                !output.is_mapped(completed) || !job.needs_are_met(output, Gate::Assembly)
            }
            _ => false,
        }
    }
}
