//! What every role is given.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::HolderId;
use segue_ports::{Ledger, MediaStore, Reporter, WorkQueue};

/// The world of a role.
#[derive(Clone)]
pub struct Deps {
    /// What is true.
    pub ledger: Arc<dyn Ledger>,
    /// What may be to do.
    pub queue: Arc<dyn WorkQueue>,
    /// The bytes.
    pub store: Arc<dyn MediaStore>,
    /// Takes progress.
    pub reporter: Arc<dyn Reporter>,
}

/// When an attempt is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRule {
    /// So many hundredths of what such tasks usually take.
    pub percent: u32,
    /// And not before this.
    pub at_least: Duration,
}

impl LateRule {
    /// That of a fleet: half as long again as usual. An attempt that is given back then has cost
    /// one and a half tasks' time, and tasks whose work was predicted well seldom differ by that
    /// much. Below 5 s another attempt gains nothing over what it costs to begin one.
    pub const OF_FLEET: LateRule = LateRule { percent: 150, at_least: Duration::from_secs(5) };
}

/// How a role behaves.
#[derive(Debug, Clone)]
pub struct RoleConfig {
    /// Who it is in leases.
    pub holder: HolderId,
    /// How long a lease lasts without renewal. It is renewed each fifth of it and
    /// trusted for four fifths.
    pub lease_ttl: Duration,
    /// How long a message is hidden without a heartbeat.
    pub visibility: Duration,
    /// How long one look at a queue waits.
    pub poll_wait: Duration,
    /// How long a look at a queue that has begun is waited for when the role ends, so that what
    /// it brings is given back; zero where leaving it loses nothing.
    pub poll_grace: Duration,
    /// Folder in which each piece of work gets a folder of its own.
    pub scratch_root: PathBuf,
    /// Threads for one piece of work.
    pub threads: usize,
    /// Failed attempts after which a task is poison and its job fails.
    pub max_attempts: u32,
    /// Attempts at a task of a job from which no worker came back after which it is taken to kill
    /// its workers, and its job fails.
    pub max_begun: u32,
    /// First wait after a failed attempt; doubles with each.
    pub backoff: Duration,
    /// When a worker's attempt is late and gives its task back or asks for a spare attempt;
    /// never, where it is absent: workers that share one machine would only slow each other.
    pub late: Option<LateRule>,
    /// How often the sweeper looks, and how long a job stands still before it is driven on.
    pub sweep_every: Duration,
}

impl RoleConfig {
    /// The defaults for `holder`, with scratch folders in `scratch_root`.
    pub fn new(holder: HolderId, scratch_root: PathBuf) -> RoleConfig {
        RoleConfig {
            holder,
            lease_ttl: Duration::from_secs(30),
            visibility: Duration::from_secs(60),
            poll_wait: Duration::from_secs(5),
            poll_grace: Duration::ZERO,
            scratch_root,
            threads: 1,
            max_attempts: 3,
            max_begun: 10,
            backoff: Duration::from_secs(1),
            late: None,
            sweep_every: Duration::from_secs(60),
        }
    }

    /// How long to wait after `failures` failed attempts: doubling, at most a minute, with
    /// up to a quarter added that depends on `seed` so that neighbours do not come back
    /// together.
    pub fn backoff_after(&self, failures: u32, seed: &str) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << failures.saturating_sub(1).min(10));
        let base = doubled.min(Duration::from_secs(60));
        let spread =
            seed.bytes().fold(u32::from(failures as u8), |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        base + base.mul_f64(f64::from(spread % 256) / 1024.0)
    }
}
