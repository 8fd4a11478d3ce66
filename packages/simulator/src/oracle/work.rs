//! Judging what engines do: who works on what, how often, and for whom.

use std::sync::Arc;

use segue_domain::{JobId, TaskId};
use segue_ports::{Clock, LeaseName};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::life::Life;
use crate::op::Op;
use crate::oracle::Invariant;
use crate::world::{State, World};

/// How long work may go on for a job that has ended.
const NOTICE: Duration = Duration::from_secs(90);

/// For how long after a jump of the ledger's clock leases may overlap.
const UNSURE: Duration = Duration::from_secs(150);

/// An engine at work.
#[derive(Debug)]
pub struct Working {
    id: u64,
    lease: LeaseName,
    job: JobId,
    life: Arc<Life>,
    cancel: CancellationToken,
    since: Instant,
    /// Since when it stood still or could not tell the time.
    thawed_at: Option<Instant>,
}

/// Whether a worker trusts its lease and nothing excuses it: neither a clock that jumped nor
/// a job that was moved from outside, which ends its leases before its workers hear of it.
fn is_sure(state: &State, working: &Working) -> bool {
    let now = Instant::now();
    let lately = |at: Option<Instant>, span: Duration| at.is_some_and(|at| now < at + span);
    // being made for the first time moves nobody's ground
    let again = state.oracle.stories.get(&working.job).filter(|story| story.moves > 1);
    let moved = again.and_then(|story| story.moved_at);
    !working.cancel.is_cancelled()
        && !working.life.is_dead()
        && !working.life.is_frozen()
        && !lately(working.thawed_at, Duration::from_secs(10))
        && !lately(state.oracle.ledger_clock_jumped_at, UNSURE)
        && !lately(moved, UNSURE)
}

impl World {
    /// An engine begins; the number is for [`World::work_ends`].
    pub fn work_begins(
        &self,
        life: &Arc<Life>,
        job: &JobId,
        lease: LeaseName,
        cancel: &CancellationToken,
    ) -> u64 {
        let state = &mut *self.lock();
        state.line(life.holder.as_str(), format_args!("works on {}", lease.as_str()));
        let (faults, name) = (state.fired.len() as u32, lease.as_str().to_owned());
        let story = state.oracle.story(job);
        let count = story.attempts.entry(name).or_default();
        *count += 1;
        let (count, moves) = (*count, story.moves);
        // each lease that cannot be renewed is one try more
        let unrenewed = state.coverage.at_call(Op::Renew) as u32;
        if count > 12 * (moves + 1) + unrenewed {
            let what = format!("{} was tried {count} times after {faults} faults", lease.as_str());
            self.violate(state, Invariant::Bounded, what);
        }
        let oracle = &mut state.oracle;
        oracle.last_working += 1;
        let id = oracle.last_working;
        let (job, life, cancel) = (job.clone(), Arc::clone(life), cancel.clone());
        oracle.working.push(Working { id, lease, job, life, cancel, since: Instant::now(), thawed_at: None });
        id
    }

    /// Judges that an attempt was counted as failed, or as begun again, for the `count`-th time.
    pub fn judge_failures(&self, state: &mut State, job: &JobId, task: &TaskId, count: u32) {
        let counts = |what: &str| task.as_str().starts_with(what);
        let (most, what) = match () {
            () if counts("begun_") => (10, "was begun again"),
            () if counts("lived_") => (10, "was left by a worker that lives"),
            () => (3, "failed"),
        };
        // so many are the rule; a fault can keep the role from failing the job then
        if count > most + state.fired.len() as u32 {
            let what = format!("{task} of {job} {what} {count} times and is tried again");
            self.violate(state, Invariant::Bounded, what);
        }
    }

    /// An engine ends, in whatever way.
    pub fn work_ends(&self, id: u64) {
        self.lock().oracle.working.retain(|working| working.id != id);
    }

    /// A process goes on after it stood still.
    pub fn work_thaws(&self, state: &mut State, life: &Life) {
        for working in &mut state.oracle.working {
            if std::ptr::eq(&raw const *working.life, life) {
                working.thawed_at = Some(Instant::now());
            }
        }
    }

    /// Judges that a lease was given to somebody: nobody else may still trust it.
    pub fn judge_grant(&self, state: &mut State, name: &LeaseName) {
        let trusted = |working: &&Working| working.lease == *name && is_sure(state, working);
        if let Some(working) = state.oracle.working.iter().find(trusted) {
            let what =
                format!("{} was taken over while {} works under it", name.as_str(), working.life.holder);
            self.violate(state, Invariant::Trust, what);
        }
    }

    /// Judges the world after an effect.
    pub fn look(&self, state: &mut State) {
        let now = Instant::now();
        let now_ms = self.clock.now_ms();
        let anothers = state.oracle.working.iter().find(|working| {
            let lease = state.model.leases.get(working.lease.as_str());
            let holder =
                lease.filter(|lease| lease.until_ms > now_ms).and_then(|lease| lease.holder.as_ref());
            holder.is_some_and(|holder| *holder != working.life.holder)
                && now > working.since + Duration::from_secs(1)
                && is_sure(state, working)
        });
        if let Some(working) = anothers {
            let what =
                format!("{} works under {}, which is another's", working.life.holder, working.lease.as_str());
            self.violate(state, Invariant::Trust, what);
        }
        let unwanted = state.oracle.working.iter().find(|working| {
            let ended = state.oracle.stories.get(&working.job).and_then(|story| story.ended_at);
            ended.is_some_and(|at| now > at.max(working.since) + NOTICE)
                && !working.cancel.is_cancelled()
                && !working.life.is_dead()
                && !working.life.is_frozen()
                && working.thawed_at.is_none_or(|at| now > at + NOTICE)
        });
        if let Some(working) = unwanted {
            let what = format!("{} still works on {}", working.life.holder, working.lease.as_str());
            self.violate(state, Invariant::Unwanted, what);
        }
    }
}

impl crate::oracle::Oracle {
    /// Whether any engine is at work.
    pub fn is_anybody_working(&self) -> bool {
        !self.working.is_empty()
    }

    /// How often work under a lease was begun since its job was last moved from outside.
    pub fn tries(&self, lease: &LeaseName) -> u32 {
        let job = lease.job().and_then(|job| job.parse().ok());
        let story = job.and_then(|job: JobId| self.stories.get(&job));
        story.and_then(|story| story.attempts.get(lease.as_str())).copied().unwrap_or(0)
    }
}
