//! Checks of changes of jobs and of completions at the moment they take effect.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use segue_domain::{
    CommittedIndex, Completion, Failure, JobId, JobRecord, JobState, Key, OutputId, OutputIndex, OutputState,
    Plan, Recipe, SealedPlan,
};
use segue_ports::{CompletionLedger, JobChange, LeaseName, OutputChange};
use tokio::time::Instant;

use crate::fault::FaultKind;
use crate::model::{are_needs_met, output_of, reference, state_of};
use crate::op::Op;
use crate::oracle::{Committed, Invariant};
use crate::params::Role;
use crate::port::By;
use crate::world::{State, World};

impl World {
    /// Checks a change that was made.
    pub fn judge_change(
        &self,
        state: &mut State,
        by: &By,
        change: &JobChange,
        before: &JobRecord,
        after: &JobRecord,
    ) {
        let job = &after.id;
        if before.deleting {
            let what = format!("{job} was changed by {} while it is being deleted", by.holder);
            self.violate(state, Invariant::Deleting, what);
        }
        match change {
            JobChange::Seal(sealed) => {
                self.judge_holder(state, by, &LeaseName::plan(job), "sealed");
                for (output, sealed) in sealed {
                    self.judge_needs(state, before, output, true, "planned");
                    self.judge_seal(state, before, output, sealed);
                }
            }
            JobChange::Output { output, change, .. } => {
                self.judge_output_change(state, by, output, change, before, after);
            }
            JobChange::Add { .. } => {
                state.oracle.moved(job);
                let kept = after.outputs.get(..before.outputs.len());
                if kept != Some(&before.outputs[..]) {
                    let what = format!("an addition to {job} changed another output");
                    self.violate(state, Invariant::Addition, what);
                }
            }
            JobChange::Delete { .. } => {
                if self.params.processes[by.process].role != Role::User && !before.deleting {
                    let what = format!("{} began to delete {job}", by.holder);
                    self.violate(state, Invariant::Deleting, what);
                }
                state.oracle.moved(job).deleted_at = Some(Instant::now());
            }
            JobChange::Cancel | JobChange::Confirm | JobChange::Expire => {}
        }
        for output in after.outputs.iter().filter(|output| output.state.is_terminal()) {
            let id = &output.asked.id;
            if output_of(before, id).is_some_and(|before| before.state != output.state) {
                state.oracle.output(job, id).ended_at = Some(Instant::now());
            }
        }
        self.judge_state(state, before, after);
    }

    fn judge_output_change(
        &self,
        state: &mut State,
        by: &By,
        output: &OutputId,
        change: &OutputChange,
        before: &JobRecord,
        after: &JobRecord,
    ) {
        let job = &after.id;
        let lease = LeaseName::assemble(job, output);
        match change {
            OutputChange::Assemble => {
                self.judge_holder(state, by, &lease, "assembled");
                self.judge_needs(state, before, output, false, "assembled");
                let done = state.model.completed(after, output);
                let plan = state.oracle.output(job, output).plan.clone();
                if plan.is_none_or(|plan| plan.tasks.len() as u64 != done) {
                    let what = format!("{job}/{output} is assembled with {done} completions");
                    self.violate(state, Invariant::SegmentsOnce, what);
                }
            }
            OutputChange::Commit(index) => {
                self.judge_holder(state, by, &lease, "committed");
                self.judge_needs(state, before, output, false, "committed");
                if let Err(what) = self.judge_commit(state, after, output, index) {
                    self.violate(state, Invariant::SegmentsOnce, format!("{job}/{output}: {what}"));
                }
            }
            OutputChange::Complete => self.judge_complete(state, after, output),
            OutputChange::Fail(failure) => self.judge_fail(state, by, job, output, failure),
            OutputChange::Retry => {
                state.oracle.moved(job);
                state.oracle.output(job, output).ended_at = None;
            }
            OutputChange::Cancel => {}
        }
    }

    /// The state of a job is that of its required outputs, and it is completed for the first time once.
    pub(super) fn judge_state(&self, state: &mut State, before: &JobRecord, after: &JobRecord) {
        let job = &after.id;
        let (found, wanted) = (after.state(), state_of(after));
        if found != wanted {
            let what = format!("{job} is {found} and its outputs make it {wanted}");
            self.violate(state, Invariant::JobState, what);
        }
        let is_completed = !after.deleting && wanted == JobState::Completed;
        let required = after.outputs.iter().filter(|output| output.asked.required);
        let are_published = required.map(|output| output.state).all(|state| state == OutputState::Completed);
        if is_completed && !are_published {
            self.violate(state, Invariant::JobState, format!("{job} is completed without a required output"));
        }
        let completed_now = before.completed_at_ms.is_none() && after.completed_at_ms.is_some();
        let changed = before.completed_at_ms.is_some() && after.completed_at_ms != before.completed_at_ms;
        if changed || completed_now && !are_published || is_completed && after.completed_at_ms.is_none() {
            let (from, to) = (before.completed_at_ms, after.completed_at_ms);
            let what = format!("{job} was completed at {from:?}, now at {to:?}");
            self.violate(state, Invariant::JobState, what);
        }
    }

    fn judge_holder(&self, state: &mut State, by: &By, name: &LeaseName, what: &str) {
        let lease = state.model.leases.get(name.as_str());
        if lease.is_none_or(|lease| lease.holder.as_ref() != Some(&by.holder)) {
            let what = format!("{what} by {}, which does not hold {}", by.holder, name.as_str());
            self.violate(state, Invariant::StaleTerm, what);
        }
    }

    /// Every output that this one needs for a step is published.
    fn judge_needs(&self, state: &mut State, job: &JobRecord, output: &OutputId, plan: bool, what: &str) {
        let Some(found) = output_of(job, output) else { return };
        if !are_needs_met(job, found, plan) {
            let what = format!("{}/{output} was {what} before an output that it needs was published", job.id);
            self.violate(state, Invariant::Needs, what);
        }
    }

    fn judge_fail(&self, state: &mut State, by: &By, job: &JobId, output: &OutputId, failure: &Failure) {
        let of_job = state.model.leases.iter().filter(|(name, lease)| {
            name.split('/').nth(1) == Some(job.as_str()) && lease.holder.as_ref() == Some(&by.holder)
        });
        if of_job.count() == 0 {
            let what = format!("{} failed {job}/{output} and holds no lease of the job", by.holder);
            self.violate(state, Invariant::StaleTerm, what);
        }
        let killer = failure.cause.contains("workers without a result");
        // a worker that only could not renew a lease survives, and counts that
        let deadly = state.coverage.of_world() - state.coverage.at_call(Op::Renew);
        let killed = state.coverage.of(FaultKind::Killer) > 0 || deadly >= 4;
        // a deletion can remove a file of the next job late, and a late request can create a job without
        // a source
        let deleted = state.coverage.of(FaultKind::DeleteJob) > 0;
        let robbed = state.oracle.story(job).is_robbed && failure.cause.contains("not in the store");
        let gone = deleted && failure.cause.contains("is not there any more") || robbed;
        if !(failure.cause.contains("injected") || killer && killed || gone) {
            let what = format!("{job}/{output} failed because: {}", failure.cause);
            self.violate(state, Invariant::Cause, what);
        }
    }

    fn judge_seal(&self, state: &mut State, record: &JobRecord, output: &OutputId, sealed: &SealedPlan) {
        let (job, recipe) = (&record.id, Recipe::from_json(&record.recipe).ok());
        let plan = match state.objects.get(&sealed.key) {
            None => Err("it is not in the store".to_owned()),
            Some(bytes) => Plan::decode(bytes, &sealed.hash).map_err(|e| e.to_string()),
        };
        match plan {
            Ok(plan) if recipe.is_some_and(|recipe| recipe.name != plan.recipe) => {
                let what = format!("{job}/{output} was sealed with a plan of recipe {}", plan.recipe);
                self.violate(state, Invariant::SegmentsOnce, what);
            }
            Ok(plan) if plan.tasks.len() as u64 == sealed.tasks && plan.output == *output => {
                let story = state.oracle.output(job, output);
                (story.plan, story.sealed_at) = (Some(Arc::new(plan)), Some(Instant::now()));
            }
            Ok(_) => {
                let what = format!("{job}/{output} was sealed with a wrong plan");
                self.violate(state, Invariant::Durable, what);
            }
            Err(why) => {
                self.violate(state, Invariant::Durable, format!("the sealed plan of {job}/{output}: {why}"));
            }
        }
    }

    /// The index has the sealed plan's segments, each once, its needs are the published ones, and its
    /// files are stored.
    fn judge_commit(
        &self,
        state: &mut State,
        job: &JobRecord,
        output: &OutputId,
        committed: &CommittedIndex,
    ) -> Result<(), String> {
        let bytes = state.objects.get(&committed.key).ok_or("the index is not stored")?.clone();
        let index = OutputIndex::decode(&bytes).map_err(|e| e.to_string())?;
        let term = state.model.leases[LeaseName::assemble(&job.id, output).as_str()].term;
        if index.term.0 != term || !committed.key.contains(&format!("/{term}/")) {
            let what = format!("the index of term {} was committed in term {term}", index.term);
            self.violate(state, Invariant::StaleTerm, what);
            return Ok(());
        }
        if OutputIndex::hash_of(&bytes) != committed.hash
            || index.epoch != job.epoch
            || index.output != *output
        {
            return Err("the committed index is another".into());
        }
        let plan = state.oracle.output(&job.id, output).plan.clone().ok_or("no plan is sealed")?;
        let found = output_of(job, output).ok_or("there is no such output")?;
        let hash = &found.plan.as_ref().ok_or("no plan is sealed")?.hash;
        if index.plan != *hash || index.segments as usize != plan.segments.len() {
            return Err("the index is of another plan".into());
        }
        for need in &found.asked.needs {
            let needed = output_of(job, &need.output).and_then(|needed| needed.index.as_ref());
            if needed.map(|needed| &needed.hash) != index.needs.get(&need.output) {
                return Err(format!("it was made from another {}", need.output));
            }
        }
        let mut files = vec![(format!("outputs/{output}.json"), bytes)];
        for file in &index.files {
            let bytes = state.objects.get(&file.work_key).ok_or("a file is not stored")?;
            if bytes.len() as u64 != file.bytes {
                return Err(format!("{} is not complete", file.name));
            }
            files.push((file.name.clone(), bytes.clone()));
        }
        judge_content(state, job, output, &plan, &index)?;
        let story = state.oracle.output(&job.id, output);
        if story.committed.is_some() {
            let what = format!("a second index of {}/{output} was committed", job.id);
            self.violate(state, Invariant::PublishedOnce, what);
        }
        let (key, hash) = (committed.key.clone(), committed.hash.clone());
        state.oracle.output(&job.id, output).committed =
            Some(Committed { key, hash, index, files, published: 0 });
        Ok(())
    }

    pub(super) fn judge_complete(&self, state: &mut State, job: &JobRecord, output: &OutputId) {
        let id = &job.id;
        if state.oracle.output(id, output).committed.is_none() {
            let what = format!("{id}/{output} completed without an index");
            self.violate(state, Invariant::PublishedOnce, what);
        }
        self.judge_public(state, id, output);
        self.judge_listed(state, id, output);
    }

    /// What is public of a completed output is what was committed, byte for byte.
    fn judge_public(&self, state: &mut State, job: &JobId, output: &OutputId) {
        if state.oracle.story(job).is_robbed {
            // a removal that was sent before the job was created: the store cannot distinguish its files
            return;
        }
        let Some(committed) = &state.oracle.output(job, output).committed else { return };
        let is_public = |(name, bytes): &&(String, Bytes)| {
            let key = Key::published(job, name).expect("a plain name").to_string();
            state.objects.get(&key) == Some(bytes)
        };
        let files = committed.files.clone();
        if let Some((name, _)) = files.iter().find(|file| !is_public(file)) {
            let what = format!("{job}/{output} is completed and the public {name} is not the committed one");
            self.violate(state, Invariant::PublishedOnce, what);
        }
    }

    /// Checks a completion that was created.
    pub fn judge_completion(&self, state: &mut State, completion: &Completion) {
        let output = &completion.output;
        for file in &completion.files {
            if state.objects.get(&file.key).is_none_or(|bytes| bytes.len() as u64 != file.bytes) {
                let what = format!("{} was recorded without {}", completion.task, file.key);
                self.violate(state, Invariant::Durable, what);
            }
        }
        let counted = self.ledger.completed(output).now_or_never().and_then(Result::ok);
        let recorded = state.model.completions_of(output).count() as u64;
        if counted.is_some_and(|counted| counted != recorded) {
            let what = format!("{output} counts {counted:?} of {recorded} completions");
            self.violate(state, Invariant::CountedOnce, what);
        }
        let plan = state.oracle.output(&output.job, &output.output).plan.clone();
        if plan.is_none_or(|plan| plan.task(&completion.task).is_none()) {
            let what = format!("{} is in no sealed plan", completion.task);
            self.violate(state, Invariant::SegmentsOnce, what);
        }
    }

    /// Whether the output is being published or was.
    pub(super) fn is_public(&self, state: &State, job: &JobId, output: &OutputId) -> bool {
        let found = state.model.output_state(job, output);
        matches!(found, Some(OutputState::Publishing | OutputState::Completed))
    }
}

/// The assembled file has the result of every task, in the plan's order, each as it was recorded.
fn judge_content(
    state: &State,
    job: &JobRecord,
    output: &OutputId,
    plan: &Plan,
    index: &OutputIndex,
) -> Result<(), String> {
    if plan.tasks.is_empty() {
        let is_empty = index.files.is_empty() && index.reason.is_some();
        return if is_empty { Ok(()) } else { Err("an empty output has files or no reason".into()) };
    }
    let joined = index.files.first().ok_or("no files")?;
    let joined = String::from_utf8_lossy(&state.objects.get(&joined.work_key).ok_or("no file")?[..]);
    let name = |task: &segue_domain::Task| format!("{} {output} {}", job.id, task.id);
    let wanted: Vec<String> = plan.tasks.iter().map(name).collect();
    let found: Vec<&str> =
        joined.lines().map(|line| line.rsplit_once(' ').map_or(line, |(l, _)| l)).collect();
    if found != wanted {
        return Err(format!("joined {found:?}, the plan has {wanted:?}"));
    }
    let recorded: BTreeSet<String> =
        state.model.completions_of(&reference(job, output)).map(content).collect();
    if !joined.lines().all(|line| recorded.contains(line)) {
        return Err("a part is joined that no completion names".into());
    }
    Ok(())
}

/// What the simulated engines make of a task: it is in the facts.
pub fn content(completion: &Completion) -> String {
    completion.facts.as_str().unwrap_or_default().to_owned()
}
