//! What one history is like, drawn from its seed.

use std::collections::HashSet;

use crate::event::Event;
use crate::fault::{FaultId, FaultKind};
use crate::op::{Op, Service};
use crate::rng::Rng;
use crate::scenario::Scenario;

/// Which role a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Plans.
    Chunker,
    /// Does tasks.
    Worker,
    /// Joins.
    Reassembler,
    /// Drives on.
    Sweeper,
    /// Submits, cancels, retries, deletes: not a role of the product.
    User,
}

/// A process: a role that is started again when it dies.
#[derive(Debug, Clone)]
pub struct ProcessParams {
    /// What it runs.
    pub role: Role,
    /// Its name in leases and logs.
    pub name: String,
    /// How fast its clock runs, in thousandths of the true speed.
    pub rate: u64,
    /// The message version that its build writes.
    pub version: u32,
    /// Whether it takes tasks and hangs.
    pub hangs: bool,
    /// Whether it takes tasks and fails them at once.
    pub fails: bool,
}

/// A job and what its user does with it.
#[derive(Debug, Clone)]
pub struct JobParams {
    /// Its id.
    pub id: String,
    /// Segments of its plan, at least 1.
    pub segments: u32,
    /// Whether it has a task on its whole length as well.
    pub whole: bool,
    /// When it is submitted, milliseconds after the start.
    pub at_ms: u64,
    /// When it is cancelled, likewise.
    pub cancel_ms: Option<u64>,
    /// How often it is driven on after it ended badly.
    pub retries: u32,
    /// Whether it is deleted after it ended.
    pub delete: bool,
    /// How often it is submitted again after that, and deleted before each time.
    pub remakes: u32,
    /// Times at which it is submitted again.
    pub again_ms: Vec<u64>,
}

/// Everything that a history is drawn with.
#[derive(Debug, Clone)]
pub struct Params {
    /// The seed.
    pub seed: u64,
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The kinds that this history may use.
    pub enabled: HashSet<FaultKind>,
    /// Faults that are left out.
    pub without: HashSet<FaultId>,
    /// Faults in a thousand calls.
    pub call_faults: u64,
    /// One fault that is certain, so that rare pairs of kind and call are met as well: the
    /// n-th call of that name.
    pub directed: Option<(FaultKind, Op, u32)>,
    /// When the faults end, milliseconds after the start.
    pub chaos_ms: u64,
    /// The processes.
    pub processes: Vec<ProcessParams>,
    /// The jobs.
    pub jobs: Vec<JobParams>,
    /// What befalls the world, by time.
    pub events: Vec<(u64, Event)>,
    /// Whether late attempts give their tasks back or ask for spare ones.
    pub spares: bool,
    /// Longest page that an adapter gives, whatever it was asked for.
    pub page: usize,
}

/// Pairs of kind and call that a fault can befall, and that a sweep has to hit; but for a call that is
/// made only when a task was begun again ten times, which is too rare to be waited for.
pub fn call_faults(scenario: &Scenario) -> Vec<(FaultKind, Op)> {
    let kinds = FaultKind::OF_CALLS.iter().filter(|kind| scenario.kinds.contains(kind));
    let calls = scenario.focus.calls;
    let calls = if calls.is_empty() { Op::ALL } else { calls };
    let fits = |kind: FaultKind, op: Op| op != Op::Failures && kind.fits(op);
    kinds.flat_map(|kind| calls.iter().filter(|op| fits(*kind, **op)).map(|op| (*kind, *op))).collect()
}

impl Params {
    /// The history of `seed`, without the faults in `without`.
    pub fn draw(seed: u64, scenario: &'static Scenario, without: HashSet<FaultId>) -> Params {
        let mut rng = Rng::of(seed, &[1]);
        let mut enabled: HashSet<FaultKind> =
            scenario.kinds.iter().copied().filter(|_| rng.chance(450)).collect();
        let cells = call_faults(scenario);
        let directed = (!cells.is_empty()).then(|| {
            let (kind, op) = cells[(seed % cells.len() as u64) as usize];
            (kind, op, if rng.chance(600) { 0 } else { rng.below(6) as u32 })
        });
        // a call that only users make is not hit in a history without such users
        if let Some((_, op, _)) = directed {
            let needs: &[FaultKind] = match op {
                Op::Cancel => &[FaultKind::CancelJob],
                Op::Retry => &[FaultKind::RetryJob, FaultKind::Broken],
                Op::DeleteJob => &[FaultKind::DeleteJob],
                Op::CountFailure => &[FaultKind::Flaky],
                Op::Fail => &[FaultKind::Broken],
                Op::DeadLetter => &[FaultKind::Foreign, FaultKind::Poison],
                _ => &[],
            };
            enabled.extend(needs.iter().filter(|kind| scenario.kinds.contains(kind)));
        }
        let call_faults = match scenario.focus.calls {
            [] => rng.pick(&[0, 0, 2, 5, 10, 25]),
            _ => rng.pick(&[50, 150, 300, 500]),
        };
        let chaos_ms = rng.within(20_000, 240_000);
        let mut params = Params {
            seed,
            scenario,
            enabled,
            without,
            call_faults,
            directed,
            chaos_ms,
            processes: Vec::new(),
            jobs: Vec::new(),
            events: Vec::new(),
            spares: Rng::of(seed, &[12]).chance(600),
            page: rng.pick(&[1, 2, 3, 100]),
        };
        params.draw_processes(&mut Rng::of(seed, &[2]));
        params.draw_jobs(&mut Rng::of(seed, &[3]));
        params.draw_events(&mut Rng::of(seed, &[4]));
        params
    }

    /// Whether this history may use a kind of fault.
    pub fn may(&self, kind: FaultKind) -> bool {
        self.enabled.contains(&kind)
    }

    /// Whether a thing has a bad trait: drawn by its number, unless it is left out.
    pub fn has_trait(&self, kind: FaultKind, number: u32, per_mille: u64) -> bool {
        self.may(kind)
            && Rng::of(self.seed, &[5, kind as u64, u64::from(number)]).chance(per_mille)
            && !self.without.contains(&FaultId::Trait(kind, number))
    }

    fn draw_processes(&mut self, rng: &mut Rng) {
        let counts = [
            (Role::Chunker, "c", rng.within(1, 2)),
            (Role::Worker, "w", rng.within(2, 4)),
            (Role::Reassembler, "r", rng.within(1, 3)),
            (Role::Sweeper, "s", rng.within(1, 2)),
            (Role::User, "u", 1),
        ];
        for (role, name, count) in counts {
            for number in 0..count {
                let index = self.processes.len() as u32;
                let drifts = role != Role::User && self.has_trait(FaultKind::Drift, index, 500);
                // the last of each role is of the newer build, so that somebody reads all
                let newer = self.may(FaultKind::Skew)
                    && !self.without.contains(&FaultId::Trait(FaultKind::Skew, index))
                    && (number + 1 == count && role != Role::User || rng.chance(300));
                let worker = role == Role::Worker && number > 0;
                self.processes.push(ProcessParams {
                    role,
                    name: format!("{name}{number}"),
                    rate: if drifts { rng.within(920, 1080) } else { 1000 },
                    version: if newer { 2 } else { 1 },
                    hangs: worker && self.has_trait(FaultKind::BlackHoleHang, index, 400),
                    fails: worker && self.has_trait(FaultKind::BlackHoleFail, index, 250),
                });
            }
        }
    }

    fn draw_jobs(&mut self, rng: &mut Rng) {
        let (from, to) = self.scenario.focus.remakes;
        let always = to > 0;
        let count = if always { 1 } else { rng.pick(&[1, 1, 1, 2, 2, 3]) };
        for number in 0..count {
            let mut again_ms = Vec::new();
            if self.has_trait(FaultKind::Resubmit, number, 600) {
                again_ms.extend((0..rng.within(1, 3)).map(|_| rng.below(self.chaos_ms)));
            }
            let delete = self.has_trait(FaultKind::DeleteJob, number, 500) || always;
            let job = JobParams {
                id: format!("j{number}"),
                segments: rng.pick(&[1, 1, 2, 2, 3, 3, 4, 5, 6]),
                whole: rng.chance(300),
                at_ms: rng.below(20_000),
                cancel_ms: (self.has_trait(FaultKind::CancelJob, number, 600)
                    || self.scenario.focus.gives_up)
                    .then(|| rng.below(self.chaos_ms.min(90_000))),
                retries: if self.has_trait(FaultKind::RetryJob, number, 700) {
                    rng.within(1, 3) as u32
                } else {
                    0
                },
                delete,
                remakes: match always {
                    true => rng.within(from, to) as u32,
                    false => u32::from(delete && self.has_trait(FaultKind::Recreate, number, 600)),
                },
                again_ms,
            };
            self.jobs.push(job);
        }
    }

    fn draw_events(&mut self, rng: &mut Rng) {
        use FaultKind as K;
        let kinds: Vec<K> = [
            K::CrashAtTime,
            K::NoRestart,
            K::CrashAtAwait,
            K::Pause,
            K::Partition,
            K::Throttle,
            K::ClockJump,
            K::LedgerClockJump,
            K::Forget,
            K::Duplicate,
            K::EarlyShow,
            K::Foreign,
            K::Stray,
        ]
        .into_iter()
        .filter(|kind| self.may(*kind))
        .collect();
        if kinds.is_empty() {
            return;
        }
        let wanted = self.scenario.focus.roles;
        let befalls = |process: &ProcessParams| match wanted {
            [] => process.role != Role::User,
            roles => roles.contains(&process.role),
        };
        let all = self.processes.iter().enumerate().filter(|(_, process)| befalls(process));
        let places: Vec<usize> = all.map(|(place, _)| place).collect();
        for _ in 0..rng.pick(&[1, 2, 3, 5, 8, 14]) {
            let at = rng.below(self.chaos_ms);
            let who = rng.pick(&places);
            let event = match rng.pick(&kinds) {
                K::CrashAtTime => Event::Crash(who),
                K::NoRestart => Event::CrashForLong(who),
                K::CrashAtAwait => Event::CrashAtAwait(who, rng.below(60) as u32),
                K::Pause => Event::Pause(who, rng.pick(&[2_000, 20_000, 40_000, 90_000, 200_000])),
                K::Partition => Event::Partition(
                    who,
                    rng.pick(&Service::ALL),
                    rng.pick(&[3_000, 20_000, 60_000, 150_000]),
                ),
                K::Throttle => {
                    Event::Throttle(rng.pick(&Service::ALL), rng.pick(&[500, 3_000, 15_000, 60_000]))
                }
                K::ClockJump => Event::ClockJump(who, rng.within(0, 1_200_000) as i64 - 600_000),
                K::LedgerClockJump => {
                    Event::LedgerClockJump(rng.within(0, 240_000) as i64 - 120_000, rng.within(1_000, 60_000))
                }
                K::Forget => Event::Forget(rng.draw()),
                K::Duplicate => Event::Duplicate(rng.draw()),
                K::EarlyShow => Event::EarlyShow(rng.draw()),
                K::Foreign => Event::Foreign(rng.draw()),
                _ => Event::Stray(rng.draw()),
            };
            self.events.push((at, event));
        }
        self.events.sort_by_key(|(at, _)| *at);
    }
}
