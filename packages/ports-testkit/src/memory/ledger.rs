//! In-memory ledger; one mutex serves as the transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{
    Completion, Epoch, HolderId, JobId, JobRecord, OutboxEntry, OutputId, OutputRef, TaskId, Term, Tombstone,
};

use crate::memory::TokioClock;
use segue_ports::clock::Clock;
use segue_ports::error::{PortError, PortErrorKind};
use segue_ports::ledger::{
    Acquired, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, LeaseLedger,
    LeaseName, NewJob, OutboxLedger, OutputChange, Recorded, TombstonePage, is_tombstone_old,
};
use segue_ports::notices;

/// A ledger with the lifetime of the process.
pub struct MemoryLedger {
    clock: Arc<dyn Clock>,
    records_notices: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of jobs created so far.
    made: u64,
    jobs: BTreeMap<JobId, JobRecord>,
    tombstones: BTreeMap<JobId, Tombstone>,
    completions: BTreeMap<(OutputRef, TaskId), Completion>,
    counts: HashMap<OutputRef, u64>,
    failures: HashMap<(OutputRef, TaskId), u32>,
    leases: HashMap<LeaseName, HeldLease>,
    outbox: BTreeMap<String, OutboxEntry>,
}

/// The last lease of a name; it is kept after its end, for its term.
#[derive(Debug)]
struct HeldLease {
    term: Term,
    /// Absent when it was released.
    holder: Option<HolderId>,
    until_ms: i64,
}

/// Expires after `ttl` from `now_ms`.
fn later(now_ms: i64, ttl: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

impl State {
    fn has_its_term(&self, lease: &Lease) -> bool {
        self.leases
            .get(&lease.name)
            .is_some_and(|held| held.term == lease.term && held.holder.as_ref() == Some(&lease.holder))
    }

    fn create(&mut self, new: NewJob, now_ms: i64) -> Result<CreatedJob, PortError> {
        if let Some(job) = self.jobs.get(&new.id) {
            return Ok(CreatedJob { created: false, job: job.clone() });
        }
        self.made += 1;
        let before = self.tombstones.get(&new.id).map(|tombstone| &tombstone.epoch);
        let epoch = Epoch::following(before, now_ms, self.made);
        let job = new.into_record(epoch, now_ms)?;
        self.tombstones.remove(&job.id);
        self.jobs.insert(job.id.clone(), job.clone());
        Ok(CreatedJob { created: true, job })
    }

    /// Whether the output exists in that epoch of its job.
    fn has(&self, output: &OutputRef) -> bool {
        let job = self.jobs.get(&output.job).filter(|job| job.epoch == output.epoch);
        job.is_some_and(|job| job.output(&output.output).is_some())
    }

    fn record(&mut self, completion: &Completion, lease: &Lease) -> Recorded {
        let name = (completion.output.clone(), completion.task.clone());
        if self.completions.contains_key(&name) {
            return Recorded::Existed;
        }
        if !self.has_its_term(lease) {
            return Recorded::Stale;
        }
        if !self.has(&completion.output) {
            return Recorded::Stale;
        }
        *self.counts.entry(completion.output.clone()).or_default() += 1;
        self.completions.insert(name, completion.clone());
        Recorded::Created
    }

    fn end_leases(&mut self, job: &JobId) {
        for (_, held) in self.leases.iter_mut().filter(|(name, _)| name.belongs_to(job)) {
            held.holder = None;
        }
    }

    fn page(&self, from: Option<&str>, max: usize, wanted: impl Fn(&JobRecord) -> bool) -> JobPage {
        let wanted = |job: &&JobRecord| from.is_none_or(|from| job.id.as_str() > from) && wanted(job);
        let mut jobs: Vec<JobRecord> = self.jobs.values().filter(wanted).take(max + 1).cloned().collect();
        let more = jobs.len() > max;
        jobs.truncate(max);
        let next = jobs.last().filter(|_| more).map(|job| job.id.to_string());
        JobPage { jobs, next }
    }
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> MemoryLedger {
        MemoryLedger::with_clock(Arc::new(TokioClock::new()))
    }

    /// An empty ledger whose timestamps and lease expiry follow `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> MemoryLedger {
        MemoryLedger { clock, records_notices: false, state: Mutex::default() }
    }

    /// The same ledger, which records the notices of its changes: for a deployment that delivers them.
    #[must_use]
    pub fn recording_notices(self) -> MemoryLedger {
        MemoryLedger { records_notices: true, ..self }
    }

    /// Names of the leases that are held now, for tests that require none.
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
        self.locked().create(job, self.clock.now_ms())
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        Ok(self.locked().jobs.get(id).cloned())
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        let wanted = |job: &JobRecord| {
            filter.state.is_none_or(|state| job.state() == state)
                && filter.updated_before_ms.is_none_or(|before| job.updated_at_ms < before)
        };
        Ok(self.locked().page(from, max, wanted))
    }

    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        let wanted = |job: &JobRecord| job.is_open_job() && job.updated_at_ms < updated_before_ms;
        Ok(self.locked().page(from, max, wanted))
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        let mut state = self.locked();
        if fence.is_some_and(|lease| !state.has_its_term(lease)) {
            return Ok(None);
        }
        let now_ms = self.clock.now_ms();
        let Some(job) = state.jobs.get(id) else { return Ok(None) };
        let completed = change.counted_output().map(|output| job.output_ref(output));
        let completed = completed.and_then(|output| state.counts.get(&output)).copied().unwrap_or(0);
        let Some(after) = change.applied_to(job, completed, now_ms) else { return Ok(None) };
        let notices = if self.records_notices { notices(job, &after) } else { Vec::new() };
        state.outbox.extend(notices.into_iter().map(|entry| (entry.id.clone(), entry)));
        match change {
            JobChange::Output { output, change: OutputChange::Retry } => {
                let output = after.output_ref(&output);
                state.failures.retain(|(of, _), _| *of != output);
            }
            JobChange::Delete { .. } => state.end_leases(id),
            _ => {}
        }
        state.jobs.insert(id.clone(), after.clone());
        Ok(Some(after))
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        let mut state = self.locked();
        let id = &read.id;
        let Some(now) = state.jobs.get(id) else { return Ok(true) };
        if now.epoch != read.epoch || !now.deleting {
            return Ok(false);
        }
        let tombstone = Tombstone::new(id.clone(), now.epoch.clone(), self.clock.now_ms());
        state.jobs.remove(id);
        state.tombstones.insert(id.clone(), tombstone);
        state.completions.retain(|(output, _), _| output.job != *id);
        state.failures.retain(|(output, _), _| output.job != *id);
        state.counts.retain(|output, _| output.job != *id);
        state.end_leases(id);
        Ok(true)
    }

    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError> {
        let state = self.locked();
        let later =
            state.tombstones.values().filter(|found| from.is_none_or(|from| found.job.as_str() > from));
        let mut tombstones: Vec<Tombstone> = later.take(max.saturating_add(1)).cloned().collect();
        let more = tombstones.len() > max;
        tombstones.truncate(max);
        let next = tombstones.last().filter(|_| more).map(|last| last.job.to_string());
        Ok(TombstonePage { tombstones, next })
    }

    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError> {
        let mut state = self.locked();
        if state.jobs.contains_key(&read.job) {
            return Ok(false);
        }
        let Some(found) = state.tombstones.get(&read.job) else { return Ok(true) };
        if found != read || !is_tombstone_old(found, self.clock.now_ms()) {
            return Ok(false);
        }
        state.tombstones.remove(&read.job);
        Ok(true)
    }
}

#[async_trait]
impl OutboxLedger for MemoryLedger {
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        Ok(self.locked().outbox.values().take(max).cloned().collect())
    }

    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError> {
        self.locked().outbox.remove(id);
        Ok(())
    }
}

#[async_trait]
impl CompletionLedger for MemoryLedger {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        lease.check_is_for(completion)?;
        Ok(self.locked().record(completion, lease))
    }

    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError> {
        Ok(self.locked().counts.get(output).copied().unwrap_or(0))
    }

    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
        Ok(self.locked().completions.get(&(output.clone(), task.clone())).cloned())
    }

    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        let state = self.locked();
        let of_output = state.completions.values().filter(|completion| completion.output == *output);
        Ok(of_output.filter(|c| after.is_none_or(|after| c.task > *after)).take(max).cloned().collect())
    }

    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        let mut state = self.locked();
        if !state.has(output) {
            return Err(PortError::new(PortErrorKind::NotFound, format!("{output} is not in the ledger")));
        }
        let count = state.failures.entry((output.clone(), task.clone())).or_default();
        *count += 1;
        Ok(*count)
    }

    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        Ok(self.locked().failures.get(&(output.clone(), task.clone())).copied().unwrap_or(0))
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
        if let Some(held) = last.filter(|held| held.holder.is_some() && held.until_ms > now_ms) {
            return Ok(Acquired::Busy(Duration::from_millis(held.until_ms.abs_diff(now_ms))));
        }
        let term = Term(last.map_or(0, |held| held.term.0) + 1);
        let held = HeldLease { term, holder: Some(holder.clone()), until_ms: later(now_ms, ttl) };
        state.leases.insert(name.clone(), held);
        Ok(Acquired::Held(Lease { name: name.clone(), holder: holder.clone(), term }))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        let mut state = self.locked();
        if !state.has_its_term(lease) {
            return Ok(false);
        }
        if let Some(held) = state.leases.get_mut(&lease.name) {
            held.until_ms = later(self.clock.now_ms(), ttl);
        }
        Ok(true)
    }

    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        let now_ms = self.clock.now_ms();
        let state = self.locked();
        let held = state.leases.iter().filter(|(_, held)| held.holder.is_some() && held.until_ms > now_ms);
        let mut tasks: Vec<TaskId> = held.filter_map(|(name, _)| name.task_of(job, output)).collect();
        tasks.sort();
        Ok(tasks)
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let mut state = self.locked();
        if state.has_its_term(lease)
            && let Some(held) = state.leases.get_mut(&lease.name)
        {
            held.holder = None;
        }
        Ok(())
    }
}
