//! What a ledger is, in the plainest words: the reference that every call of the ledger
//! under test is compared with. Nothing in here calls the code that it judges.

use std::collections::BTreeMap;
use std::time::Duration;

use segue_domain::{Completion, HolderId, JobId, JobRecord, JobState, TaskId};
use segue_ports::{Acquired, CreatedJob, JobChange, Lease, LeaseName, NewJob, Recorded};

/// The last lease of a name.
#[derive(Debug, Clone)]
pub struct LastLease {
    /// Its term.
    pub term: u64,
    /// Who has it; absent when it was given back.
    pub holder: Option<HolderId>,
    /// When it runs out.
    pub until_ms: i64,
}

/// Everything that a ledger knows.
#[derive(Debug, Default)]
pub struct Model {
    /// Jobs that were made so far.
    pub made: u64,
    /// The jobs.
    pub jobs: BTreeMap<JobId, JobRecord>,
    /// The completions.
    pub completions: BTreeMap<(JobId, TaskId), Completion>,
    /// Failed attempts.
    pub failures: BTreeMap<(JobId, TaskId), u32>,
    /// The leases by name.
    pub leases: BTreeMap<String, LastLease>,
}

impl Model {
    /// Whether somebody has the lease now, by its term.
    pub fn is_current(&self, lease: &Lease) -> bool {
        match self.leases.get(lease.name.as_str()) {
            Some(last) => last.term == lease.term.0 && last.holder.as_ref() == Some(&lease.holder),
            None => false,
        }
    }

    /// Creates a job.
    pub fn create(&mut self, new: &NewJob, now_ms: i64) -> CreatedJob {
        let created = !self.jobs.contains_key(&new.id);
        if created {
            self.made += 1;
            let job = JobRecord {
                id: new.id.clone(),
                epoch: self.made.to_string().parse().expect("a plain id"),
                state: JobState::Created,
                source_key: new.source_key.clone(),
                recipe: new.recipe.clone(),
                plan: None,
                completed_tasks: 0,
                manifest_key: None,
                failure: None,
                created_at_ms: now_ms,
                updated_at_ms: now_ms,
            };
            self.jobs.insert(new.id.clone(), job);
        }
        CreatedJob { created, job: self.jobs[&new.id].clone() }
    }

    /// Changes a job, or not.
    pub fn change(
        &mut self,
        id: &JobId,
        change: &JobChange,
        fence: Option<&Lease>,
        now_ms: i64,
    ) -> Option<JobRecord> {
        use JobState::{Cancelled, Completed, Created, Failed, Mapping, Publishing, Reassembling};
        if fence.is_some_and(|lease| !self.is_current(lease)) {
            return None;
        }
        let job = self.jobs.get_mut(id)?;
        let all_in = job.plan.as_ref().is_some_and(|plan| job.completed_tasks >= plan.tasks);
        job.state = match (change, job.state) {
            (JobChange::Seal(plan), Created) => {
                job.plan = Some(plan.clone());
                Mapping
            }
            (JobChange::Reassemble, Mapping) if all_in => Reassembling,
            (JobChange::Commit { manifest_key }, Reassembling) => {
                job.manifest_key = Some(manifest_key.clone());
                Publishing
            }
            (JobChange::Complete, Publishing) => Completed,
            (JobChange::Fail(failure), Created | Mapping | Reassembling) => {
                job.failure = Some(failure.clone());
                Failed
            }
            (JobChange::Cancel, Created | Mapping | Reassembling) => Cancelled,
            (JobChange::Retry, Failed | Cancelled) => {
                job.failure = None;
                self.failures.retain(|(of, _), _| of != id);
                if job.plan.is_some() { Mapping } else { Created }
            }
            _ => return None,
        };
        job.updated_at_ms = job.updated_at_ms.max(now_ms);
        Some(job.clone())
    }

    /// Forgets the job that was read, and says whether none is there now.
    pub fn delete(&mut self, read: &JobRecord) -> bool {
        let id = &read.id;
        let is_it = |job: &JobRecord| job.epoch == read.epoch && job.state == read.state;
        if !self.jobs.get(id).is_some_and(is_it) {
            return !self.jobs.contains_key(id);
        }
        self.jobs.remove(id);
        self.completions.retain(|(of, _), _| of != id);
        self.failures.retain(|(of, _), _| of != id);
        for (name, lease) in &mut self.leases {
            if name.split('/').nth(1) == Some(id.as_str()) {
                lease.holder = None;
            }
        }
        true
    }

    /// Records a completion.
    pub fn record(&mut self, completion: &Completion, lease: &Lease, now_ms: i64) -> Recorded {
        let name = (completion.job.clone(), completion.task.clone());
        if self.completions.contains_key(&name) {
            return Recorded::Existed;
        }
        if !self.is_current(lease) {
            return Recorded::Stale;
        }
        let Some(job) = self.jobs.get_mut(&completion.job) else { return Recorded::Stale };
        self.completions.insert(name, completion.clone());
        job.completed_tasks = self.completions.keys().filter(|(of, _)| *of == completion.job).count() as u64;
        job.updated_at_ms = job.updated_at_ms.max(now_ms);
        Recorded::Created
    }

    /// Counts a failure; `None` where there is no such job.
    pub fn count_failure(&mut self, job: &JobId, task: &TaskId) -> Option<u32> {
        self.jobs.get(job)?;
        let count = self.failures.entry((job.clone(), task.clone())).or_insert(0);
        *count += 1;
        Some(*count)
    }

    /// How many failures were counted.
    pub fn failures(&self, job: &JobId, task: &TaskId) -> u32 {
        self.failures.get(&(job.clone(), task.clone())).copied().unwrap_or(0)
    }

    /// Takes a lease, or says how long it is another's.
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

    /// Renews a lease; false when its term is over.
    pub fn renew(&mut self, lease: &Lease, ttl: Duration, now_ms: i64) -> bool {
        let current = self.is_current(lease);
        if current && let Some(last) = self.leases.get_mut(lease.name.as_str()) {
            last.until_ms = now_ms + ttl.as_millis() as i64;
        }
        current
    }

    /// Gives a lease back.
    pub fn release(&mut self, lease: &Lease) {
        if self.is_current(lease)
            && let Some(last) = self.leases.get_mut(lease.name.as_str())
        {
            last.holder = None;
        }
    }

    /// Completions of a job in order.
    pub fn completions_of(&self, job: &JobId) -> impl Iterator<Item = &Completion> {
        self.completions.values().filter(move |completion| completion.job == *job)
    }
}
