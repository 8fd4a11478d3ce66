//! Judging changes of jobs and completions at the moment they take effect.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use segue_domain::{Completion, JobId, JobRecord, JobState, Key, Manifest, Plan, SealedPlan};
use segue_ports::{JobChange, JobLedger, LeaseName};
use tokio::time::Instant;

use crate::fault::FaultKind;
use crate::op::Op;
use crate::oracle::{Committed, Invariant};
use crate::port::By;
use crate::world::{State, World};

impl World {
    /// Judges a change that was made.
    pub fn judge_change(&self, state: &mut State, by: &By, change: &JobChange, after: &JobRecord) {
        let job = &after.id;
        match change {
            JobChange::Seal(sealed) => {
                self.judge_holder(state, by, &[LeaseName::chunk(job)], "sealed");
                self.judge_seal(state, job, sealed);
            }
            JobChange::Reassemble => {
                self.judge_holder(state, by, &[LeaseName::reassemble(job)], "taken to be joined");
                let done = state.model.completions_of(job).count();
                let plan = state.oracle.story(job).plan.clone();
                if plan.is_none_or(|plan| plan.tasks.len() != done) {
                    let what = format!("{job} is joined with {done} completions");
                    self.violate(state, Invariant::SegmentsOnce, what);
                }
            }
            JobChange::Commit { manifest_key } => {
                self.judge_holder(state, by, &[LeaseName::reassemble(job)], "committed");
                if let Err(what) = self.judge_commit(state, after, manifest_key) {
                    self.violate(state, Invariant::SegmentsOnce, format!("{job}: {what}"));
                }
            }
            JobChange::Complete => self.judge_complete(state, job),
            JobChange::Fail(failure) => {
                let of_job = state.model.leases.iter().filter(|(name, lease)| {
                    name.split('/').nth(1) == Some(job.as_str()) && lease.holder.as_ref() == Some(&by.holder)
                });
                if of_job.count() == 0 {
                    let what = format!("{} failed {job} and holds nothing of it", by.holder);
                    self.violate(state, Invariant::StaleTerm, what);
                }
                let killer = failure.cause.contains("workers without a result");
                // who only could not renew a lease lives, and says so
                let deadly = state.coverage.of_world() - state.coverage.at_call(Op::Renew);
                let killed = state.coverage.of(FaultKind::Killer) > 0 || deadly >= 4;
                // a user who deletes a job can take the source of the next away late, and a
                // late request can make the job again without one
                let deleted = state.coverage.of(FaultKind::DeleteJob) > 0;
                let gone = deleted && failure.cause.contains("is not there any more");
                if !(failure.cause.contains("injected") || killer && killed || gone) {
                    let what = format!("{job} failed because: {}", failure.cause);
                    self.violate(state, Invariant::Cause, what);
                }
            }
            JobChange::Retry => {
                state.oracle.moved(job);
            }
            JobChange::Cancel => {}
        }
        if after.state.is_terminal() {
            state.oracle.story(job).ended_at = Some(Instant::now());
        }
    }

    fn judge_holder(&self, state: &mut State, by: &By, names: &[LeaseName], what: &str) {
        let holds = |name: &LeaseName| {
            let lease = state.model.leases.get(name.as_str());
            lease.is_some_and(|lease| lease.holder.as_ref() == Some(&by.holder))
        };
        if !names.iter().any(holds) {
            let what = format!("{what} by {}, who does not hold {}", by.holder, names[0].as_str());
            self.violate(state, Invariant::StaleTerm, what);
        }
    }

    fn judge_seal(&self, state: &mut State, job: &JobId, sealed: &SealedPlan) {
        let plan = match state.objects.get(&sealed.key) {
            None => Err("it is not in the store".to_owned()),
            Some(bytes) => Plan::decode(bytes, &sealed.hash).map_err(|e| e.to_string()),
        };
        match plan {
            Ok(plan) if plan.tasks.len() as u64 == sealed.tasks => {
                let story = state.oracle.story(job);
                (story.plan, story.sealed_at) = (Some(Arc::new(plan)), Some(Instant::now()));
            }
            Ok(_) => self.violate(state, Invariant::Durable, format!("{job} was sealed with a wrong count")),
            Err(why) => self.violate(state, Invariant::Durable, format!("the sealed plan of {job}: {why}")),
        }
    }

    /// The manifest has the sealed plan's segments, each once, and its files are there.
    fn judge_commit(&self, state: &mut State, job: &JobRecord, manifest_key: &str) -> Result<(), String> {
        let bytes = state.objects.get(manifest_key).ok_or("the manifest is not stored")?;
        let manifest = Manifest::decode(bytes).map_err(|e| e.to_string())?;
        let term = state.model.leases[LeaseName::reassemble(&job.id).as_str()].term;
        if manifest.term.0 != term || !manifest_key.contains(&format!("/{term}/")) {
            let what = format!("the manifest of term {} was committed in term {term}", manifest.term);
            self.violate(state, Invariant::StaleTerm, what);
            return Ok(());
        }
        let plan = state.oracle.story(&job.id).plan.clone().ok_or("no plan is sealed")?;
        let hash = &job.plan.as_ref().ok_or("no plan is sealed")?.hash;
        if manifest.plan != *hash || manifest.segments as usize != plan.segments.len() {
            return Err("the manifest is of another plan".into());
        }
        let mut files = vec![("manifest.json".to_owned(), bytes.clone())];
        for output in &manifest.outputs {
            let bytes = state.objects.get(&output.work_key).ok_or("an output is not stored")?;
            if bytes.len() as u64 != output.bytes {
                return Err(format!("{} is not whole", output.name));
            }
            files.push((output.name.clone(), bytes.clone()));
        }
        let joined = manifest.outputs.first().ok_or("no outputs")?;
        let joined = String::from_utf8_lossy(&state.objects.get(&joined.work_key).expect("seen above")[..]);
        let wanted: Vec<String> = plan.tasks.iter().map(|task| format!("{} {}", job.id, task.id)).collect();
        let found: Vec<&str> =
            joined.lines().map(|line| line.rsplit_once(' ').map_or(line, |(l, _)| l)).collect();
        if found != wanted {
            return Err(format!("joined {found:?}, the plan says {wanted:?}"));
        }
        let recorded: BTreeSet<String> = state.model.completions_of(&job.id).map(content).collect();
        if !joined.lines().all(|line| recorded.contains(line)) {
            return Err("a part is joined that no completion names".into());
        }
        let key = manifest_key.to_owned();
        state.oracle.story(&job.id).manifest = Some(Committed { key, manifest, files, published: 0 });
        Ok(())
    }

    pub(super) fn judge_complete(&self, state: &mut State, job: &JobId) {
        if state.oracle.story(job).manifest.is_none() {
            let what = format!("{job} completed without a manifest");
            self.violate(state, Invariant::OneManifest, what);
        }
        self.judge_public(state, job);
    }

    /// What is public of a completed job is what was committed, byte for byte.
    pub(super) fn judge_public(&self, state: &mut State, job: &JobId) {
        let story = state.oracle.story(job);
        if story.is_robbed {
            // a removal that was under way before it was made: the store cannot tell
            return;
        }
        let Some(committed) = &story.manifest else { return };
        let is_public = |(name, bytes): &&(String, Bytes)| {
            let key = Key::published(job, name).expect("a plain name").to_string();
            state.objects.get(&key) == Some(bytes)
        };
        if let Some((name, _)) = committed.files.iter().find(|file| !is_public(file)) {
            let what = format!("{job} is completed and the public {name} is not the committed one");
            self.violate(state, Invariant::OneManifest, what);
        }
    }

    /// Judges a completion that was created.
    pub fn judge_completion(&self, state: &mut State, completion: &Completion) {
        for file in &completion.files {
            if state.objects.get(&file.key).is_none_or(|bytes| bytes.len() as u64 != file.bytes) {
                let what = format!("{} was recorded without {}", completion.task, file.key);
                self.violate(state, Invariant::Durable, what);
            }
        }
        let counted = self.ledger.job(&completion.job).now_or_never().and_then(Result::ok).flatten();
        let recorded = state.model.completions_of(&completion.job).count() as u64;
        if let Some(job) = counted
            && job.completed_tasks != recorded
        {
            let what = format!("{} counts {} of {recorded} completions", job.id, job.completed_tasks);
            self.violate(state, Invariant::CountedOnce, what);
        }
        let plan = state.oracle.story(&completion.job).plan.clone();
        if plan.is_none_or(|plan| plan.task(&completion.task).is_none()) {
            let what = format!("{} is in no sealed plan", completion.task);
            self.violate(state, Invariant::SegmentsOnce, what);
        }
    }

    /// Whether the job is being published or was.
    pub(super) fn is_public(&self, state: &State, job: &JobId) -> bool {
        let found = state.model.jobs.get(job).map(|job| job.state);
        matches!(found, Some(JobState::Publishing | JobState::Completed))
    }
}

/// What the simulated engines make of a task: it stands in the facts.
pub fn content(completion: &Completion) -> String {
    completion.facts.as_str().unwrap_or_default().to_owned()
}
