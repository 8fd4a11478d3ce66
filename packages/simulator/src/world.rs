//! The world of one history: services, clocks, faults, the log and the oracle.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use segue_ports::Clock;
use segue_ports_testkit::memory::MemoryLedger;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::fault::{Coverage, FaultId, FaultKind};
use crate::life::Life;
use crate::model::Model;
use crate::op::{Op, Service};
use crate::oracle::{Invariant, Oracle, Violation};
use crate::params::{Params, Role};
use crate::queue::Lanes;
use crate::rng::Rng;
use crate::store::Objects;

/// Time at which every history begins, milliseconds since 1970.
pub const EPOCH_MS: i64 = 1_800_000_000_000;

/// The ledger's own clock, which can jump.
#[derive(Debug)]
pub struct LedgerClock {
    started: Instant,
    offset_ms: AtomicI64,
}

impl LedgerClock {
    /// How far it is off, milliseconds.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Relaxed)
    }
}

impl Clock for LedgerClock {
    fn now_ms(&self) -> i64 {
        EPOCH_MS + self.started.elapsed().as_millis() as i64 + self.offset_ms.load(Relaxed)
    }
}

/// The state of one process.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Its present life.
    pub life: Option<Arc<Life>>,
    /// How far its wall clock is off, milliseconds.
    pub wall_offset_ms: i64,
    /// Until when it cannot reach each service.
    pub cut_until: [Option<Instant>; 3],
    /// Whether it is not restarted after a crash.
    pub stays_dead: bool,
}

/// Everything that changes.
pub struct State {
    /// The readable log of the history.
    pub log: String,
    /// The first violation.
    pub violation: Option<Violation>,
    /// Faults that occurred.
    pub coverage: Coverage,
    /// Their names.
    pub fired: Vec<FaultId>,
    /// Number of calls that a service refused while it refused everybody.
    pub refused: u32,
    /// Those of single calls, with their kinds.
    pub of_calls: BTreeMap<(Op, u32), FaultKind>,
    /// Whether the faults are over.
    pub healed: bool,
    /// The lanes of the queue.
    pub lanes: Lanes,
    /// The store.
    pub objects: Objects,
    /// The reference ledger.
    pub model: Model,
    /// The processes.
    pub desks: Vec<Desk>,
    /// Until when each service refuses every call.
    pub throttled_until: [Option<Instant>; 3],
    /// Checks every effect.
    pub oracle: Oracle,
    /// Requests whose callers gave up and that have not arrived yet.
    pub late: u32,
    /// Calls so far, by name.
    calls: Vec<u32>,
    started: Instant,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy)]
pub struct Fate {
    /// Its own seed.
    pub seed: u64,
    /// Why the service cannot be reached, and how long it takes until the call fails.
    pub refused: Option<(FaultKind, u64)>,
    /// Milliseconds before the effect.
    pub before_ms: u64,
    /// Milliseconds after it.
    pub after_ms: u64,
    /// Its fault.
    pub fault: Option<FaultKind>,
    /// Whether the request continues when the caller gives up or crashes.
    pub detached: bool,
}

/// The world of one history.
pub struct World {
    /// Its parameters.
    pub params: Params,
    /// The ledger under test.
    pub ledger: MemoryLedger,
    /// Its clock.
    pub clock: Arc<LedgerClock>,
    /// Notified when a message may have become visible, for each lane.
    pub bells: [Notify; 3],
    /// Set at the first violation.
    pub broken: CancellationToken,
    /// Set when the faults end.
    pub calm: CancellationToken,
    /// Set when the roles are asked to stop.
    pub stop: CancellationToken,
    /// Folder of the real machine in which workers get their scratch folders.
    pub scratch_root: PathBuf,
    state: Mutex<State>,
}

impl World {
    /// A world at its beginning. Takes the present moment of tokio's clock as its start.
    pub fn new(params: Params, scratch_root: PathBuf) -> World {
        let started = Instant::now();
        let clock = Arc::new(LedgerClock { started, offset_ms: AtomicI64::new(0) });
        let desk = Desk { life: None, wall_offset_ms: 0, cut_until: [None; 3], stays_dead: false };
        let mut state = State {
            log: String::with_capacity(1 << 15),
            violation: None,
            coverage: Coverage::default(),
            fired: Vec::new(),
            refused: 0,
            of_calls: BTreeMap::new(),
            healed: false,
            lanes: Lanes::default(),
            objects: Objects::default(),
            model: Model::default(),
            desks: vec![desk; params.processes.len()],
            throttled_until: [None; 3],
            oracle: Oracle::default(),
            late: 0,
            calls: vec![0; Op::ALL.len()],
            started,
        };
        for (index, process) in params.processes.iter().enumerate() {
            let traits = [(process.rate != 1000, FaultKind::Drift), (process.version > 1, FaultKind::Skew)];
            for (_, kind) in traits.into_iter().filter(|(has, _)| *has) {
                state.hit(FaultId::Trait(kind, index as u32), kind, None);
            }
        }
        World {
            ledger: MemoryLedger::with_clock(Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
            bells: [Notify::new(), Notify::new(), Notify::new()],
            broken: CancellationToken::new(),
            calm: CancellationToken::new(),
            stop: CancellationToken::new(),
            scratch_root,
            state: Mutex::new(state),
            params,
        }
    }

    /// Everything that changes. Never held over an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the ledger's clock off by so many milliseconds.
    pub fn set_ledger_clock(&self, offset_ms: i64) {
        self.clock.offset_ms.store(offset_ms, Relaxed);
    }

    /// Milliseconds of true time since the start.
    pub fn true_elapsed_ms(&self) -> i64 {
        self.clock.started.elapsed().as_millis() as i64
    }

    /// Records a violation; the first one is kept.
    pub fn violate(&self, state: &mut State, invariant: Invariant, what: String) {
        state.line("!", format_args!("VIOLATED: {}: {what}", invariant.as_str()));
        if state.violation.is_none() {
            state.violation = Some(Violation { invariant, what });
        }
        self.broken.cancel();
    }

    /// Draws what happens to a call of a process.
    pub fn fate(&self, op: Op, process: usize) -> Fate {
        let state = &mut *self.lock();
        let n = state.calls[op as usize];
        state.calls[op as usize] += 1;
        let mut rng = Rng::of(self.params.seed, &[6, op as u64, u64::from(n)]);
        let mut fate = Fate {
            seed: rng.draw(),
            refused: None,
            before_ms: latency(&mut rng),
            after_ms: latency(&mut rng),
            fault: None,
            detached: op.writes() && rng.chance(80),
        };
        if state.healed {
            return fate;
        }
        fate.refused = state.refused(op.service(), process, &mut rng);
        if fate.refused.is_none() {
            fate.fault = self.draw_fault(op, n, process, &mut rng);
        }
        if let Some(kind) = fate.fault {
            state.hit(FaultId::Call(op, n), kind, Some(op));
        }
        fate
    }

    fn draw_fault(&self, op: Op, n: u32, process: usize, rng: &mut Rng) -> Option<FaultKind> {
        let params = &self.params;
        if let Some(recorded) = &params.recorded {
            return recorded.calls.get(&(op, n)).copied();
        }
        let directed = params.directed.filter(|(_, at, nth)| *at == op && *nth == n).map(|(kind, ..)| kind);
        let focus = params.scenario.focus.calls;
        let drawn = if !focus.is_empty() {
            let may: Vec<FaultKind> = FaultKind::OF_CALLS
                .iter()
                .copied()
                .filter(|kind| params.may(*kind) && kind.fits(op))
                .collect();
            let is_hit = focus.contains(&op) && !may.is_empty() && rng.chance(params.call_faults);
            is_hit.then(|| rng.pick(&may))
        } else if rng.chance(params.call_faults) {
            let kind = rng.pick(FaultKind::OF_CALLS);
            (params.may(kind) && kind.fits(op)).then_some(kind)
        } else {
            None
        };
        let kind = directed.or(drawn)?;
        if params.without.contains(&FaultId::Call(op, n)) {
            return None;
        }
        // a user is no process that is restarted: a crash is a lost answer
        Some(match (kind, params.processes[process].role) {
            (FaultKind::CrashBefore, Role::User) => FaultKind::FailBefore,
            (FaultKind::CrashAfter, Role::User) => FaultKind::FailAfter,
            (kind, _) => kind,
        })
    }
}

impl State {
    /// How many calls were made.
    pub fn total_calls(&self) -> u64 {
        self.calls.iter().map(|calls| u64::from(*calls)).sum()
    }
}

/// Milliseconds that a call takes one way: mostly none, sometimes many.
fn latency(rng: &mut Rng) -> u64 {
    match rng.below(100) {
        0..55 => 0,
        55..88 => rng.within(1, 10),
        88..97 => rng.within(10, 200),
        _ => rng.within(200, 3_000),
    }
}

impl State {
    /// Adds a line to the log.
    pub fn line(&mut self, who: &str, what: fmt::Arguments<'_>) {
        let at = self.started.elapsed().as_millis();
        let _ = writeln!(self.log, "{:>6}.{:03} {who:<6} {what}", at / 1000, at % 1000);
    }

    /// Counts a fault that occurred.
    pub fn hit(&mut self, id: FaultId, kind: FaultKind, op: Option<Op>) {
        self.coverage.hit(kind, op);
        if let FaultId::Call(op, n) = id {
            self.of_calls.insert((op, n), kind);
        }
        if !self.fired.contains(&id) {
            self.fired.push(id);
        }
    }

    fn refused(&mut self, service: Service, process: usize, rng: &mut Rng) -> Option<(FaultKind, u64)> {
        let now = Instant::now();
        let open = |until: Option<Instant>| until.is_some_and(|until| until > now);
        if open(self.desks[process].cut_until[service as usize]) {
            return Some((FaultKind::Partition, rng.within(1_000, 8_000)));
        }
        if open(self.throttled_until[service as usize]) {
            self.refused += 1;
            return Some((FaultKind::Throttle, rng.within(1, 50)));
        }
        None
    }
}

/// Waits so many milliseconds; 0 does not yield.
pub async fn wait_ms(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
