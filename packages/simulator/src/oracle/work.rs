//! Checks of what engines do: under which lease, how often, and for which output.

use std::sync::Arc;

use segue_domain::{JobId, OutputId, OutputRef, TaskId};
use segue_ports::{Clock, LeaseName};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::life::Life;
use crate::op::Op;
use crate::oracle::Invariant;
use crate::world::{State, World};

/// How long work may continue for an output that has ended.
const NOTICE: Duration = Duration::from_secs(90);

/// For how long after a jump of the ledger's clock leases may overlap.
const UNSURE: Duration = Duration::from_secs(150);

/// An engine that runs.
#[derive(Debug)]
pub struct Working {
    id: u64,
    lease: LeaseName,
    job: JobId,
    /// The output; absent for the planning of a job.
    output: Option<OutputId>,
    life: Arc<Life>,
    cancel: CancellationToken,
    since: Instant,
    /// Since when it was paused or could not measure time.
    thawed_at: Option<Instant>,
}

/// Whether a worker trusts its lease without an excuse: a clock that jumped, or a user's change of the
/// job, which ends its leases before its workers notice.
fn is_sure(state: &State, working: &Working) -> bool {
    let now = Instant::now();
    let lately = |at: Option<Instant>, span: Duration| at.is_some_and(|at| now < at + span);
    // the first creation ends no lease
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
    /// An engine starts; the number is for [`World::work_ends`].
    pub fn work_begins(
        &self,
        life: &Arc<Life>,
        job: &JobId,
        output: Option<&OutputId>,
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
        // each lease that cannot be renewed is one more attempt
        let unrenewed = state.coverage.at_call(Op::Renew) as u32;
        // a job is planned once for each of its outputs at most
        let outputs = story_outputs(state, job);
        if count > 12 * (moves + 1) + unrenewed + outputs {
            let what = format!("{} was tried {count} times after {faults} faults", lease.as_str());
            self.violate(state, Invariant::Bounded, what);
        }
        let oracle = &mut state.oracle;
        oracle.last_working += 1;
        let id = oracle.last_working;
        let (job, life, cancel) = (job.clone(), Arc::clone(life), cancel.clone());
        let (output, since) = (output.cloned(), Instant::now());
        oracle.working.push(Working { id, lease, job, output, life, cancel, since, thawed_at: None });
        id
    }

    /// Checks that an attempt was counted as failed, or as started again, for the `count`-th time.
    pub fn judge_failures(&self, state: &mut State, output: &OutputRef, task: &TaskId, count: u32) {
        let counts = |what: &str| task.as_str().starts_with(what);
        let (most, what) = match () {
            () if counts("begun_") => (10, "was started again"),
            () if counts("lived_") => (10, "was given up by a worker that survived"),
            () => (3, "failed"),
        };
        // the rule; a fault can prevent the role from failing the output then, and each call that a service refuses ends
        // an attempt of a worker that survives
        if count > most + state.fired.len() as u32 + state.refused {
            let what = format!("{task} of {output} {what} {count} times and is tried again");
            self.violate(state, Invariant::Bounded, what);
        }
    }

    /// An engine ends, in whatever way.
    pub fn work_ends(&self, id: u64) {
        self.lock().oracle.working.retain(|working| working.id != id);
    }

    /// A process resumes after a pause.
    pub fn work_thaws(&self, state: &mut State, life: &Life) {
        for working in &mut state.oracle.working {
            if std::ptr::eq(&raw const *working.life, life) {
                working.thawed_at = Some(Instant::now());
            }
        }
    }

    /// Checks that a lease was acquired: no other holder may still trust it.
    pub fn judge_grant(&self, state: &mut State, name: &LeaseName) {
        let trusted = |working: &&Working| working.lease == *name && is_sure(state, working);
        if let Some(working) = state.oracle.working.iter().find(trusted) {
            let what =
                format!("{} was taken over while {} works under it", name.as_str(), working.life.holder);
            self.violate(state, Invariant::Trust, what);
        }
    }

    /// Checks the world after an effect.
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
            let what = format!(
                "{} works under {}, which another holds",
                working.life.holder,
                working.lease.as_str()
            );
            self.violate(state, Invariant::Trust, what);
        }
        let unwanted = state.oracle.working.iter().find(|working| {
            let story = state.oracle.stories.get(&working.job);
            let output = working.output.as_ref().and_then(|output| story?.outputs.get(output));
            let ended = story.and_then(|story| story.deleted_at);
            ended
                .or(output.and_then(|output| output.ended_at))
                .is_some_and(|at| now > at.max(working.since) + NOTICE)
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

fn story_outputs(state: &State, job: &JobId) -> u32 {
    state.model.jobs.get(job).map_or(0, |job| job.outputs.len() as u32)
}

impl crate::oracle::Oracle {
    /// Whether any engine runs.
    pub fn is_anybody_working(&self) -> bool {
        !self.working.is_empty()
    }

    /// How often work under a lease was started.
    pub fn tries(&self, lease: &LeaseName) -> u32 {
        let job = lease.job().and_then(|job| job.parse().ok());
        let story = job.and_then(|job: JobId| self.stories.get(&job));
        story.and_then(|story| story.attempts.get(lease.as_str())).copied().unwrap_or(0)
    }
}
