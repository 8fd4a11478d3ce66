//! How the protocol goes with many workers: a model of discrete events in virtual time.
//!
//! The simulator proper runs the production roles; a hundred million calls of a thousand
//! workers are too many for that. Here a worker is a few numbers. What is decided is decided
//! by production code: when an attempt is late ([`LateRule`], [`Pace`](segue_pipeline::Pace)), how long leases and
//! messages last and how often they are renewed ([`RoleConfig`]). What each step asks of the
//! ledger and the queue is counted as the roles ask it.

mod fleet;
pub mod plot;

use segue_pipeline::{LateRule, RoleConfig};

pub use fleet::Fleet;

/// CPU milliseconds of 2 s segments: x264 `medium`, crf 20, one thread, 47 segments of two
/// talks of 320x180, each by ffmpeg's own `-benchmark` (user time).
const MEASURED_MS: &str = include_str!("measured_ms.txt");

/// What is modelled.
#[derive(Debug, Clone)]
pub struct Fleets {
    /// Workers.
    pub workers: u32,
    /// Jobs, all submitted at once.
    pub jobs: u32,
    /// Segments of all jobs together.
    pub segments: u32,
    /// How many 2 s segments of the measurement a segment here is long.
    pub length: u32,
    /// Attempts in a thousand that take ten times as long.
    pub stragglers_per_mille: u32,
    /// Interruptions of a worker in an hour, in thousandths.
    pub interruptions_per_mille: u32,
    /// Whether a worker hears of its interruption beforehand, as spot machines do (two minutes;
    /// a container's SIGTERM), and gives back what it holds.
    pub is_warned: bool,
    /// When an attempt is late; absent where nothing is done about it.
    pub late: Option<LateRule>,
    /// The seed.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ran {
    /// Seconds until all segments were in.
    pub makespan_s: f64,
    /// The work of all segments, each done once by an attempt that is no straggler and is not
    /// interrupted, shared evenly: no order of work is faster.
    pub ideal_s: f64,
    /// Calls of the ledger.
    pub ledger_calls: u64,
    /// Calls of the queue.
    pub queue_calls: u64,
    /// Calls of the ledger in the busiest ten seconds, a second.
    pub ledger_peak: f64,
    /// Seconds of workers that were paid for: all of them until the end.
    pub worker_s: f64,
    /// Attempts that were begun.
    pub attempts: u64,
    /// Those that were given back because they were late.
    pub given_back: u64,
    /// Spare attempts.
    pub spares: u64,
    /// Those of them that were the second of their task.
    pub second_spares: u64,
    /// Attempts that an interruption ended.
    pub interrupted: u64,
}

impl Ran {
    /// The ideal in parts of what it took.
    pub fn efficiency(&self) -> f64 {
        self.ideal_s / self.makespan_s
    }
}

impl Fleets {
    /// A thousand workers and a hundred thousand segments of the default length in one job, with
    /// 5% interruptions an hour, 1% stragglers of ten times, and the rule for late attempts of a
    /// fleet.
    pub fn new() -> Fleets {
        Fleets {
            workers: 1_000,
            jobs: 1,
            segments: 100_000,
            length: 150,
            stragglers_per_mille: 10,
            interruptions_per_mille: 50,
            is_warned: true,
            late: Some(LateRule::OF_FLEET),
            seed: 1,
        }
    }

    /// The lengths of time of the roles.
    fn config() -> RoleConfig {
        RoleConfig::new("w".parse().expect("a plain id"), std::path::PathBuf::new())
    }

    /// Runs it.
    pub fn run(&self) -> Ran {
        Fleet::new(self).run()
    }
}

impl Default for Fleets {
    fn default() -> Fleets {
        Fleets::new()
    }
}

fn measured() -> Vec<f64> {
    MEASURED_MS.lines().map(|line| line.trim().parse().expect("milliseconds")).collect()
}
