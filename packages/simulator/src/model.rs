//! Reference model of the ledger: every result of the ledger under test is compared with it. It calls
//! no code of the ledger, of its rules, or of the state functions of the domain.

use std::collections::BTreeMap;
use std::time::Duration;

use segue_domain::job::JOB_VERSION;
use segue_domain::{
    Completion, Epoch, Gate, HolderId, JobId, JobRecord, JobState, NewOutput, OutputId, OutputRecord,
    OutputRef, OutputState, TaskId,
};
use segue_ports::{Acquired, CreatedJob, JobChange, Lease, LeaseName, NewJob, OutputChange, Recorded};

/// The last lease of a name.
#[derive(Debug, Clone)]
pub struct LastLease {
    /// Its term.
    pub term: u64,
    /// Its holder; absent when it was released.
    pub holder: Option<HolderId>,
    /// When it expires.
    pub until_ms: i64,
}

/// Everything that a ledger stores.
#[derive(Debug, Default)]
pub struct Model {
    /// Jobs that were created so far.
    pub created: u64,
    /// The jobs.
    pub jobs: BTreeMap<JobId, JobRecord>,
    /// Epochs of deleted jobs whose tombstones are there.
    pub gone: BTreeMap<JobId, Epoch>,
    /// The completions.
    pub completions: BTreeMap<(OutputRef, TaskId), Completion>,
    /// Failed attempts.
    pub failures: BTreeMap<(OutputRef, TaskId), u32>,
    /// The leases by name.
    pub leases: BTreeMap<String, LastLease>,
}

/// The state of a job.
pub fn state_of(job: &JobRecord) -> JobState {
    let required: Vec<OutputState> =
        job.outputs.iter().filter(|output| output.asked.required).map(|output| output.state).collect();
    let any = |state| required.contains(&state);
    match () {
        () if job.deleting => JobState::Deleting,
        () if job.awaiting_until_ms.is_some() => JobState::Awaiting,
        () if any(OutputState::Failed) => JobState::Failed,
        () if any(OutputState::Cancelled) => JobState::Cancelled,
        () if any(OutputState::Created) => JobState::Created,
        () if any(OutputState::Mapping) => JobState::Mapping,
        () if any(OutputState::Assembling) => JobState::Assembling,
        () if any(OutputState::Publishing) => JobState::Publishing,
        () => JobState::Completed,
    }
}

/// The output of that name.
pub fn output_of<'a>(job: &'a JobRecord, output: &OutputId) -> Option<&'a OutputRecord> {
    job.outputs.iter().find(|found| found.asked.id == *output)
}

fn state_of_output(job: &JobRecord, output: &OutputId) -> Option<OutputState> {
    output_of(job, output).map(|output| output.state)
}

/// Whether every need that gates the plan, or every need at all, is completed.
pub fn are_needs_met(job: &JobRecord, output: &OutputRecord, planning: bool) -> bool {
    let gating = output.asked.needs.iter().filter(|need| !planning || need.gate == Gate::Plan);
    gating.map(|need| state_of_output(job, &need.output)).all(|state| state == Some(OutputState::Completed))
}

/// Whether something that the output needs failed or was cancelled, also indirectly.
fn is_blocked(job: &JobRecord, output: &OutputRecord) -> bool {
    output.asked.needs.iter().filter_map(|need| output_of(job, &need.output)).any(|needed| {
        matches!(needed.state, OutputState::Failed | OutputState::Cancelled) || is_blocked(job, needed)
    })
}

/// Whether work on an output can continue without a user.
pub fn is_open_output(job: &JobRecord, output: &OutputRecord) -> bool {
    use OutputState::{Assembling, Created, Mapping, Publishing};
    !job.deleting
        && job.awaiting_until_ms.is_none()
        && matches!(output.state, Created | Mapping | Assembling | Publishing)
        && !is_blocked(job, output)
}

/// Whether the sweeper has to inspect a job.
pub fn is_open(job: &JobRecord) -> bool {
    job.deleting || job.awaiting_until_ms.is_some() || job.outputs.iter().any(|o| is_open_output(job, o))
}

/// An output before its plan.
fn new_output(asked: &NewOutput, required: bool, now_ms: i64) -> OutputRecord {
    OutputRecord {
        asked: NewOutput { required, ..asked.clone() },
        state: OutputState::Created,
        plan: None,
        index: None,
        failure: None,
        retries: 0,
        updated_at_ms: now_ms,
    }
}

impl Model {
    /// Whether the term of the lease is the present one of its name.
    pub fn is_current(&self, lease: &Lease) -> bool {
        match self.leases.get(lease.name.as_str()) {
            Some(last) => last.term == lease.term.0 && last.holder.as_ref() == Some(&lease.holder),
            None => false,
        }
    }

    /// The epoch of a job that is created now: twelve digits of time, greater than those of the job that was
    /// deleted before, and the number of the creation.
    fn next_epoch(&mut self, id: &JobId, now_ms: i64) -> Epoch {
        let time = |epoch: Epoch| i64::from_str_radix(&epoch.as_str()[..12], 16).expect("digits");
        let time = self.gone.remove(id).map_or(now_ms, |gone| now_ms.max(time(gone) + 1));
        format!("{time:012x}{:016x}", self.created).parse().expect("a plain id")
    }

    /// Creates a job.
    pub fn create(&mut self, new: &NewJob, now_ms: i64) -> CreatedJob {
        let created = !self.jobs.contains_key(&new.id);
        if created {
            self.created += 1;
            let job = JobRecord {
                version: JOB_VERSION,
                id: new.id.clone(),
                epoch: self.next_epoch(&new.id, now_ms),
                revision: 1,
                asset: new.asset.clone(),
                source_key: new.source_key.clone(),
                recipe: new.recipe.clone(),
                awaiting_until_ms: new.awaiting.map(|wait| now_ms + wait.as_millis() as i64),
                deleting: false,
                outputs: new.outputs.iter().map(|asked| new_output(asked, asked.required, now_ms)).collect(),
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
                completed_at_ms: None,
            };
            self.jobs.insert(new.id.clone(), job);
        }
        CreatedJob { created, job: self.jobs[&new.id].clone() }
    }

    /// Changes a job, or refuses.
    pub fn change(
        &mut self,
        id: &JobId,
        change: &JobChange,
        fence: Option<&Lease>,
        now_ms: i64,
    ) -> Option<JobRecord> {
        if fence.is_some_and(|lease| !self.is_current(lease)) {
            return None;
        }
        let before = self.jobs.get(id).filter(|job| !job.deleting)?.clone();
        let now_ms = now_ms.max(before.updated_at_ms);
        let mut after = before.clone();
        let allowed = match change {
            JobChange::Seal(plans) => !plans.is_empty() && seal(&before, &mut after, plans),
            JobChange::Output { output, change, .. } => {
                let count = self.completed(&before, output);
                change_output(&before, &mut after, output, change, count)
            }
            JobChange::Add { outputs, recipe, revision } => {
                after.recipe.clone_from(recipe);
                *revision == before.revision && add(&mut after, outputs, now_ms)
            }
            JobChange::Cancel => end_all(&mut after),
            JobChange::Delete { epoch } => *epoch == before.epoch,
            JobChange::Confirm | JobChange::Expire => false,
        };
        if !allowed {
            return None;
        }
        after.deleting = matches!(change, JobChange::Delete { .. });
        after.revision += 1;
        after.updated_at_ms = now_ms;
        for output in &mut after.outputs {
            if output_of(&before, &output.asked.id).is_none_or(|before| before.state != output.state) {
                output.updated_at_ms = now_ms;
            }
        }
        if after.completed_at_ms.is_none() && state_of(&after) == JobState::Completed {
            after.completed_at_ms = Some(now_ms);
        }
        if let JobChange::Output { output, change: OutputChange::Retry, .. } = change {
            self.failures.retain(|(of, _), _| of.job != *id || of.output != *output);
        }
        if after.deleting {
            self.end_leases(id);
        }
        self.jobs.insert(id.clone(), after.clone());
        Some(after)
    }

    fn end_leases(&mut self, job: &JobId) {
        for (name, lease) in &mut self.leases {
            if name.split('/').nth(1) == Some(job.as_str()) {
                lease.holder = None;
            }
        }
    }

    /// Removes the job that was read, if it is being deleted; whether no job of that id is there now.
    pub fn delete(&mut self, read: &JobRecord) -> bool {
        let id = &read.id;
        let is_it = |job: &JobRecord| job.epoch == read.epoch && job.deleting;
        if !self.jobs.get(id).is_some_and(is_it) {
            return !self.jobs.contains_key(id);
        }
        self.jobs.remove(id);
        self.gone.insert(id.clone(), read.epoch.clone());
        self.completions.retain(|(of, _), _| of.job != *id);
        self.failures.retain(|(of, _), _| of.job != *id);
        self.end_leases(id);
        true
    }

    /// Whether the output is there in that life of its job.
    fn has(&self, output: &OutputRef) -> bool {
        let job = self.jobs.get(&output.job).filter(|job| job.epoch == output.epoch);
        job.is_some_and(|job| output_of(job, &output.output).is_some())
    }

    /// Records a completion.
    pub fn record(&mut self, completion: &Completion, lease: &Lease) -> Recorded {
        let name = (completion.output.clone(), completion.task.clone());
        if self.completions.contains_key(&name) {
            return Recorded::Existed;
        }
        if !self.is_current(lease) || !self.has(&completion.output) {
            return Recorded::Stale;
        }
        self.completions.insert(name, completion.clone());
        Recorded::Created
    }

    /// Counts a failure; `None` where there is no such output.
    pub fn count_failure(&mut self, output: &OutputRef, task: &TaskId) -> Option<u32> {
        if !self.has(output) {
            return None;
        }
        let count = self.failures.entry((output.clone(), task.clone())).or_insert(0);
        *count += 1;
        Some(*count)
    }

    /// How many failures were counted.
    pub fn failures(&self, output: &OutputRef, task: &TaskId) -> u32 {
        self.failures.get(&(output.clone(), task.clone())).copied().unwrap_or(0)
    }

    /// Acquires a lease, or returns how long another holder has it.
    pub fn acquire(&mut self, name: &LeaseName, holder: &HolderId, ttl: Duration, now_ms: i64) -> Acquired {
        let last = self.leases.get(name.as_str());
        if let Some(last) = last
            && last.holder.is_some()
            && last.until_ms > now_ms
        {
            return Acquired::Busy(Duration::from_millis((last.until_ms - now_ms) as u64));
        }
        let term = last.map_or(0, |last| last.term) + 1;
        let until_ms = now_ms + ttl.as_millis() as i64;
        let lease = LastLease { term, holder: Some(holder.clone()), until_ms };
        self.leases.insert(name.as_str().to_owned(), lease);
        Acquired::Held(Lease { name: name.clone(), holder: holder.clone(), term: segue_domain::Term(term) })
    }

    /// Tasks of an output whose leases are held.
    pub fn leased(&self, job: &JobId, output: &OutputId, now_ms: i64) -> Vec<TaskId> {
        let prefix = format!("task/{job}/{output}/");
        let held = self.leases.iter().filter(|(_, lease)| lease.holder.is_some() && lease.until_ms > now_ms);
        held.filter_map(|(name, _)| Some(name.strip_prefix(&prefix)?.parse().expect("a task"))).collect()
    }

    /// Renews a lease; false when its term is over.
    pub fn renew(&mut self, lease: &Lease, ttl: Duration, now_ms: i64) -> bool {
        let current = self.is_current(lease);
        if current && let Some(last) = self.leases.get_mut(lease.name.as_str()) {
            last.until_ms = now_ms + ttl.as_millis() as i64;
        }
        current
    }

    /// Releases a lease.
    pub fn release(&mut self, lease: &Lease) {
        if self.is_current(lease)
            && let Some(last) = self.leases.get_mut(lease.name.as_str())
        {
            last.holder = None;
        }
    }

    /// Completions of an output in order.
    pub fn completions_of(&self, output: &OutputRef) -> impl Iterator<Item = &Completion> {
        self.completions.iter().filter(move |((of, _), _)| of == output).map(|(_, completion)| completion)
    }

    /// Number of completions of an output of a job.
    pub fn completed(&self, job: &JobRecord, output: &OutputId) -> u64 {
        self.completions_of(&reference(job, output)).count() as u64
    }

    /// Whether the plan of an output is sealed and all its tasks are completed.
    pub fn is_mapped(&self, job: &JobRecord, output: &OutputRecord) -> bool {
        let completed = self.completed(job, &output.asked.id);
        output.plan.as_ref().is_some_and(|plan| completed >= plan.tasks)
    }

    /// The state of an output now.
    pub fn output_state(&self, job: &JobId, output: &OutputId) -> Option<OutputState> {
        state_of_output(self.jobs.get(job)?, output)
    }
}

/// An output in this life of its job.
pub fn reference(job: &JobRecord, output: &OutputId) -> OutputRef {
    OutputRef { job: job.id.clone(), epoch: job.epoch.clone(), output: output.clone() }
}

fn seal(before: &JobRecord, after: &mut JobRecord, plans: &[(OutputId, segue_domain::SealedPlan)]) -> bool {
    plans.iter().all(|(id, plan)| {
        let ready = output_of(before, id).is_some_and(|output| are_needs_met(before, output, true));
        let Some(output) = after.outputs.iter_mut().find(|output| output.asked.id == *id) else {
            return false;
        };
        let allowed = ready && output.state == OutputState::Created;
        output.state = OutputState::Mapping;
        output.plan = Some(plan.clone());
        allowed
    })
}

fn change_output(
    before: &JobRecord,
    after: &mut JobRecord,
    id: &OutputId,
    change: &OutputChange,
    completed: u64,
) -> bool {
    use OutputState::{Assembling, Cancelled, Completed, Created, Failed, Mapping, Publishing};
    let Some(output) = after.outputs.iter_mut().find(|output| output.asked.id == *id) else { return false };
    let mapped = output.plan.as_ref().is_some_and(|plan| completed >= plan.tasks);
    output.state = match (change, output.state) {
        (OutputChange::Assemble, Mapping) if mapped && are_needs_met(before, output, false) => Assembling,
        (OutputChange::Commit(index), Assembling) => {
            output.index = Some(index.clone());
            Publishing
        }
        (OutputChange::Complete, Publishing) => Completed,
        (OutputChange::Fail(failure), Created | Mapping | Assembling) => {
            output.failure = Some(failure.clone());
            Failed
        }
        (OutputChange::Cancel, Created | Mapping | Assembling) => Cancelled,
        (OutputChange::Retry, Failed | Cancelled) => {
            output.failure = None;
            output.retries += 1;
            if output.plan.is_some() { Mapping } else { Created }
        }
        _ => return false,
    };
    true
}

/// Appends outputs. Whether they may stand together is not modelled: users here ask for no others.
fn add(after: &mut JobRecord, outputs: &[NewOutput], now_ms: i64) -> bool {
    use JobState::{Cancelled, Completed, Deleting, Failed};
    let has_ended = matches!(state_of(after), Completed | Failed | Cancelled | Deleting);
    outputs.iter().all(|asked| match output_of(after, &asked.id) {
        Some(there) => there.asked.spec == asked.spec,
        None => {
            after.outputs.push(new_output(asked, asked.required && !has_ended, now_ms));
            true
        }
    })
}

fn end_all(after: &mut JobRecord) -> bool {
    use OutputState::{Assembling, Cancelled, Created, Mapping};
    let ending = after.outputs.iter_mut().filter(|o| matches!(o.state, Created | Mapping | Assembling));
    ending.map(|output| output.state = Cancelled).count() > 0
}
