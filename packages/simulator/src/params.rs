//! The parameters of a history, drawn from its seed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use segue_domain::{Gate, OutputId};

use crate::event::Event;
use crate::fault::{FaultId, FaultKind};
use crate::op::{Op, Service};
use crate::rng::Rng;
use crate::scenario::Scenario;

/// Names of the outputs that a job begins with.
const NAMES: [&str; 3] = ["video", "transcript", "thumbnail"];

/// Which role a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Plans outputs.
    Planner,
    /// Runs tasks.
    Worker,
    /// Assembles outputs.
    Assembler,
    /// Resumes outputs and cleans up.
    Sweeper,
    /// Submits, adds, cancels, retries, deletes: not a role of the product.
    User,
}

/// A process: a role that is restarted when it crashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessParams {
    /// Its role.
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

/// An output of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputParams {
    /// Its name.
    pub name: String,
    /// Segments of its plan; 0 for a source that has nothing to make it from.
    pub segments: u32,
    /// Whether it has a task on its whole length as well.
    pub whole: bool,
    /// Whether the job fails with it.
    pub required: bool,
    /// The output of the job that it needs, and what waits for that one.
    pub need: Option<(usize, Gate)>,
    /// Its priority.
    pub priority: i32,
    /// When it is added, milliseconds after the start; absent for one that the job begins with.
    pub add_ms: Option<u64>,
}

impl OutputParams {
    /// Its name as an id.
    pub fn id(&self) -> OutputId {
        self.name.parse().expect("a plain id")
    }
}

/// A job and what its user does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobParams {
    /// Its id.
    pub id: String,
    /// Its outputs, at least 1; the first is required.
    pub outputs: Vec<OutputParams>,
    /// When it is submitted, milliseconds after the start.
    pub at_ms: u64,
    /// When it is cancelled, likewise.
    pub cancel_ms: Option<u64>,
    /// When one of its outputs is cancelled, likewise, and which.
    pub cancel_output: Option<(u64, usize)>,
    /// How often its failed outputs are retried after it ended.
    pub retries: u32,
    /// Whether one of them alone is retried each time.
    pub retries_one: bool,
    /// Whether it is deleted.
    pub delete: bool,
    /// Whether it is deleted without waiting for its end.
    pub delete_early: bool,
    /// How often it is submitted again after that, and deleted before each time.
    pub remakes: u32,
    /// Times at which it is submitted again.
    pub again_ms: Vec<u64>,
}

/// The faults of a recorded history, except its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Faults of single calls.
    pub calls: BTreeMap<(Op, u32), FaultKind>,
    /// Faulty properties of tasks, outputs, jobs and processes.
    pub traits: BTreeSet<(FaultKind, u32)>,
}

/// The parameters of a history.
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
    /// One fault that is certain, so that rare pairs of kind and call occur as well: at the n-th call of
    /// that name.
    pub directed: Option<(FaultKind, Op, u32)>,
    /// When the faults end, milliseconds after the start.
    pub chaos_ms: u64,
    /// The processes.
    pub processes: Vec<ProcessParams>,
    /// The jobs.
    pub jobs: Vec<JobParams>,
    /// Events of the world, by time.
    pub events: Vec<(u64, Event)>,
    /// Whether late attempts return their tasks or ask for spare attempts.
    pub spares: bool,
    /// The faults of a recorded history; no other fault is drawn then.
    pub recorded: Option<Recorded>,
    /// Longest page that an adapter returns, whatever was asked for.
    pub page: usize,
}

/// Pairs of a kind of fault and a call at which it can occur; a sweep has to reach each of them. A call
/// that is made only when a task was started ten times is left out: it is too rare.
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
        // a call that only users make does not occur in a history without such users
        if let Some((_, op, _)) = directed {
            let needs: &[FaultKind] = match op {
                Op::Cancel => &[FaultKind::CancelJob],
                Op::CancelOutput => &[FaultKind::CancelOutput],
                Op::Add => &[FaultKind::AddOutput],
                Op::Retry => &[FaultKind::RetryJob, FaultKind::Broken],
                Op::MarkDeleting | Op::DeleteJob => &[FaultKind::DeleteJob],
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
            recorded: None,
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

    /// Whether something has a faulty property: drawn by its number, unless it is left out.
    pub fn has_trait(&self, kind: FaultKind, number: u32, per_mille: u64) -> bool {
        if let Some(recorded) = &self.recorded {
            return recorded.traits.contains(&(kind, number));
        }
        self.may(kind)
            && Rng::of(self.seed, &[5, kind as u64, u64::from(number)]).chance(per_mille)
            && !self.without.contains(&FaultId::Trait(kind, number))
    }

    fn draw_processes(&mut self, rng: &mut Rng) {
        let counts = [
            (Role::Planner, "p", rng.within(1, 2)),
            (Role::Worker, "w", rng.within(2, 4)),
            (Role::Assembler, "a", rng.within(1, 3)),
            (Role::Sweeper, "s", rng.within(1, 2)),
            (Role::User, "u", 1),
        ];
        for (role, name, count) in counts {
            for number in 0..count {
                let index = self.processes.len() as u32;
                let drifts = role != Role::User && self.has_trait(FaultKind::Drift, index, 500);
                // the last process of each role is of the newer build, so that every message is read
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
            let at_ms = rng.below(20_000);
            let cancels = self.has_trait(FaultKind::CancelJob, number, 600) || self.scenario.focus.gives_up;
            let cancel_ms = cancels.then(|| rng.below(self.chaos_ms.min(90_000)));
            let retries = match self.has_trait(FaultKind::RetryJob, number, 700) {
                true => rng.within(1, 3) as u32,
                false => 0,
            };
            let remakes = match always {
                true => rng.within(from, to) as u32,
                false => u32::from(delete && self.has_trait(FaultKind::Recreate, number, 600)),
            };
            let mut of_outputs = Rng::of(self.seed, &[13, u64::from(number)]);
            let outputs = self.draw_outputs(number, at_ms, rng, &mut of_outputs);
            let cancel_output = self.has_trait(FaultKind::CancelOutput, number, 700).then(|| {
                let at = of_outputs.below(self.chaos_ms.min(90_000));
                (at, of_outputs.below(outputs.len() as u64) as usize)
            });
            let retries_one = self.has_trait(FaultKind::RetryOutput, number, 600);
            let job = JobParams {
                id: format!("j{number}"),
                outputs,
                at_ms,
                cancel_ms,
                cancel_output,
                retries: if retries_one { retries.max(1) } else { retries },
                retries_one,
                delete,
                delete_early: of_outputs.chance(300),
                remakes,
                again_ms,
            };
            self.jobs.push(job);
        }
    }

    /// The outputs of a job. `rng` draws what a job of one output is like, `more` everything else.
    fn draw_outputs(&self, job: u32, at_ms: u64, rng: &mut Rng, more: &mut Rng) -> Vec<OutputParams> {
        let least = self.scenario.focus.outputs;
        let count = more.pick(&[1, 1, 1, 1, 2, 2, 3]).max(least);
        let mut outputs: Vec<OutputParams> = Vec::new();
        for (place, name) in NAMES.iter().enumerate().take(count) {
            let (segments, whole) = (rng.pick(&[1, 1, 2, 2, 3, 3, 4, 5, 6]), rng.chance(300));
            let later = count - place - 1;
            let need = (later > 0 && more.chance(600)).then(|| {
                let gate = if more.chance(300) { Gate::Plan } else { Gate::Assembly };
                (place + 1 + more.below(later as u64) as usize, gate)
            });
            let is_empty = more.chance(if place == 0 { 30 } else { 120 });
            outputs.push(OutputParams {
                name: (*name).to_owned(),
                segments: match (is_empty, count) {
                    (true, _) => 0,
                    (_, 1) => segments,
                    // several outputs have about as many tasks together as one has
                    _ => segments.min(3),
                },
                whole: whole && !is_empty,
                required: place == 0 || more.chance(500),
                need,
                priority: more.below(3) as i32,
                add_ms: None,
            });
        }
        for place in 0..count {
            if outputs[place].required
                && let Some((need, _)) = outputs[place].need
            {
                outputs[need].required = true;
            }
        }
        if self.has_trait(FaultKind::AddOutput, job, 700) {
            for number in 0..more.within(1, 2) {
                outputs.push(OutputParams {
                    name: format!("extra{number}"),
                    segments: more.pick(&[0, 1, 2, 3]),
                    whole: false,
                    required: more.chance(500),
                    need: more.chance(500).then_some((0, Gate::Assembly)),
                    priority: more.below(3) as i32,
                    add_ms: Some(at_ms + more.below(self.chaos_ms)),
                });
            }
        }
        outputs
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
        let is_hit = |process: &ProcessParams| match wanted {
            [] => process.role != Role::User,
            roles => roles.contains(&process.role),
        };
        let all = self.processes.iter().enumerate().filter(|(_, process)| is_hit(process));
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
