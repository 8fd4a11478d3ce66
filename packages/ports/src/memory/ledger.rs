//! A ledger in memory: one mutex is its transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{Completion, Epoch, HolderId, JobId, JobRecord, JobState, TaskId, Term};

use crate::clock::Clock;
use crate::error::{PortError, PortErrorKind};
use crate::ledger::{
    Acquired, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, LeaseLedger,
    LeaseName, NewJob, Recorded,
};
use crate::memory::TokioClock;
use crate::mutant;

/// A ledger that lives as long as the process.
pub struct MemoryLedger {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Jobs that were made so far.
    made: u64,
    jobs: BTreeMap<JobId, JobRecord>,
    completions: BTreeMap<(JobId, TaskId), Completion>,
    failures: HashMap<(JobId, TaskId), u32>,
    leases: HashMap<LeaseName, HeldLease>,
}

/// The last lease of a name; it stays known when it is over, for its term.
#[derive(Debug)]
struct HeldLease {
    term: Term,
    /// Absent when it was given back.
    holder: Option<HolderId>,
    until_ms: i64,
}

/// `ttl` from `now_ms` on.
fn later(now_ms: i64, ttl: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

impl State {
    fn has_its_term(&self, lease: &Lease) -> bool {
        self.leases
            .get(&lease.name)
            .is_some_and(|held| held.term == lease.term && held.holder.as_ref() == Some(&lease.holder))
    }

    fn create(&mut self, new: NewJob, now_ms: i64) -> CreatedJob {
        if let Some(job) = self.jobs.get(&new.id) {
            return CreatedJob { created: false, job: job.clone() };
        }
        self.made += 1;
        let epoch: Epoch = self.made.to_string().parse().expect("a number is a plain id");
        let job = JobRecord {
            id: new.id,
            epoch,
            state: JobState::Created,
            source_key: new.source_key,
            recipe: new.recipe,
            plan: None,
            completed_tasks: 0,
            manifest_key: None,
            failure: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        self.jobs.insert(job.id.clone(), job.clone());
        CreatedJob { created: true, job }
    }

    fn record(&mut self, completion: &Completion, lease: &Lease, now_ms: i64) -> Recorded {
        let name = (completion.job.clone(), completion.task.clone());
        if self.completions.contains_key(&name) && !mutant!("completion-overwritten") {
            if let Some(job) = self.jobs.get_mut(&completion.job).filter(|_| mutant!("count-apart")) {
                job.completed_tasks += 1;
            }
            return Recorded::Existed;
        }
        if !self.has_its_term(lease) && !mutant!("record-unfenced") {
            return Recorded::Stale;
        }
        let Some(job) = self.jobs.get_mut(&completion.job) else { return Recorded::Stale };
        job.completed_tasks += 1;
        job.updated_at_ms = now_ms.max(job.updated_at_ms);
        self.completions.insert(name, completion.clone());
        Recorded::Created
    }
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> MemoryLedger {
        MemoryLedger::with_clock(Arc::new(TokioClock::new()))
    }

    /// An empty ledger whose records are dated and whose leases run out by `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> MemoryLedger {
        MemoryLedger { clock, state: Mutex::default() }
    }

    /// Names of the leases that are held now, for a test that wants none left over.
    pub fn held_leases(&self) -> Vec<LeaseName> {
        let now_ms = self.clock.now_ms();
        let state = self.locked();
        let held = state.leases.iter().filter(|(_, held)| held.holder.is_some() && held.until_ms > now_ms);
        held.map(|(name, _)| name.clone()).collect()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryLedger {
    fn default() -> MemoryLedger {
        MemoryLedger::new()
    }
}

#[async_trait]
impl JobLedger for MemoryLedger {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        Ok(self.locked().create(job, self.clock.now_ms()))
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        Ok(self.locked().jobs.get(id).cloned())
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        let state = self.locked();
        let wanted = |job: &&JobRecord| {
            from.is_none_or(|from| job.id.as_str() > from)
                && filter.state.is_none_or(|state| job.state == state)
                && filter.updated_before_ms.is_none_or(|before| job.updated_at_ms < before)
        };
        let mut jobs: Vec<JobRecord> = state.jobs.values().filter(wanted).take(max + 1).cloned().collect();
        let more = jobs.len() > max;
        jobs.truncate(max);
        let next = jobs.last().filter(|_| more).map(|job| job.id.to_string());
        Ok(JobPage { jobs, next })
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        let mut state = self.locked();
        let fence = fence.filter(|_| !mutant!("fence-not-compared"));
        if fence.is_some_and(|lease| !state.has_its_term(lease)) {
            return Ok(None);
        }
        let now_ms = self.clock.now_ms();
        let Some(after) = state.jobs.get(id).and_then(|job| change.applied_to(job, now_ms)) else {
            return Ok(None);
        };
        if change == JobChange::Retry && !mutant!("retry-keeps-failures") {
            state.failures.retain(|(job, _), _| job != id);
        }
        state.jobs.insert(id.clone(), after.clone());
        Ok(Some(after))
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        let mut state = self.locked();
        let id = &read.id;
        let Some(stands) = state.jobs.get(id) else { return Ok(true) };
        if (&stands.epoch, stands.state) != (&read.epoch, read.state) && !mutant!("delete-unfenced") {
            return Ok(false);
        }
        state.jobs.remove(id);
        state.completions.retain(|(job, _), _| job != id);
        state.failures.retain(|(job, _), _| job != id);
        for (_, held) in state.leases.iter_mut().filter(|(name, _)| name.is_of(id)) {
            held.holder = None;
        }
        Ok(true)
    }
}

#[async_trait]
impl CompletionLedger for MemoryLedger {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        lease.check_is_for(completion)?;
        Ok(self.locked().record(completion, lease, self.clock.now_ms()))
    }

    async fn completion(&self, job: &JobId, task: &TaskId) -> Result<Option<Completion>, PortError> {
        Ok(self.locked().completions.get(&(job.clone(), task.clone())).cloned())
    }

    async fn completions(
        &self,
        job: &JobId,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        let state = self.locked();
        let of_job = state.completions.values().filter(|completion| completion.job == *job);
        Ok(of_job.filter(|c| after.is_none_or(|after| c.task > *after)).take(max).cloned().collect())
    }

    async fn count_failure(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        let mut state = self.locked();
        if !state.jobs.contains_key(job) {
            return Err(PortError::new(PortErrorKind::NotFound, format!("job {job} is not in the ledger")));
        }
        let count = state.failures.entry((job.clone(), task.clone())).or_default();
        *count += 1;
        Ok(*count)
    }

    async fn failures(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        Ok(self.locked().failures.get(&(job.clone(), task.clone())).copied().unwrap_or(0))
    }
}

#[async_trait]
impl LeaseLedger for MemoryLedger {
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError> {
        let now_ms = self.clock.now_ms();
        let mut state = self.locked();
        let last = state.leases.get(name);
        if let Some(held) = last.filter(|held| {
            held.holder.is_some() && (held.until_ms > now_ms || mutant!("lease-never-expires"))
        }) {
            return Ok(Acquired::Busy(Duration::from_millis(held.until_ms.abs_diff(now_ms))));
        }
        let known = last.filter(|held| held.holder.is_some() || !mutant!("release-forgets-term"));
        let term = Term(known.map_or(0, |held| held.term.0) + 1);
        let held = HeldLease { term, holder: Some(holder.clone()), until_ms: later(now_ms, ttl) };
        state.leases.insert(name.clone(), held);
        Ok(Acquired::Held(Lease { name: name.clone(), holder: holder.clone(), term }))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        let mut state = self.locked();
        if !state.has_its_term(lease) && !mutant!("renew-any-term") {
            return Ok(false);
        }
        if let Some(held) = state.leases.get_mut(&lease.name) {
            held.until_ms = later(self.clock.now_ms(), ttl);
        }
        Ok(true)
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let mut state = self.locked();
        if (state.has_its_term(lease) || mutant!("release-any-term"))
            && let Some(held) = state.leases.get_mut(&lease.name)
        {
            held.holder = None;
        }
        Ok(())
    }
}
