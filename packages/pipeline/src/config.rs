//! What a role is given: its ports, and how it behaves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::{HolderId, TaskKind};
use segue_ports::{Lane, Ledger, MediaStore, Reporter, Resource, StoreDocuments, WorkQueue};

/// The ports of a role.
#[derive(Clone)]
pub struct Deps {
    /// Jobs, completions and leases.
    pub ledger: Arc<dyn Ledger>,
    /// Messages between roles.
    pub queue: Arc<dyn WorkQueue>,
    /// Sources, results of attempts, and what is published.
    pub store: Arc<dyn MediaStore>,
    /// Compare-and-swap of small documents in the same store.
    pub documents: Arc<dyn StoreDocuments>,
    /// Takes progress.
    pub reporter: Arc<dyn Reporter>,
    /// Kinds of tasks that go to the lane of workers with a GPU.
    pub gpu_tasks: Arc<[TaskKind]>,
}

impl Deps {
    /// The lane of tasks of a kind.
    pub fn lane_of(&self, kind: TaskKind) -> Lane {
        Lane::Task(if self.gpu_tasks.contains(&kind) { Resource::Gpu } else { Resource::Cpu })
    }
}

/// When an attempt is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRule {
    /// Hundredths of the usual time of such tasks.
    pub percent: u32,
    /// Shortest time after which an attempt can be late.
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
    /// The name under which it holds leases.
    pub holder: HolderId,
    /// How long a lease lasts without renewal. It is renewed each fifth of it and
    /// trusted for four fifths.
    pub lease_ttl: Duration,
    /// How long a message is hidden without a heartbeat.
    pub visibility: Duration,
    /// How long one receive waits for a message.
    pub poll_wait: Duration,
    /// How long a receive that has begun is waited for when the role ends, so that its message is
    /// returned to the queue; zero where dropping it loses nothing.
    pub poll_grace: Duration,
    /// Folder in which each piece of work gets a folder of its own.
    pub scratch_root: PathBuf,
    /// Threads for one piece of work.
    pub threads: usize,
    /// Which tasks a worker takes.
    pub resource: Resource,
    /// Failed attempts after which a task is dead-lettered and its output fails.
    pub max_attempts: u32,
    /// Killed attempts (started − survived) after which a task is taken to kill its workers, and its
    /// output fails.
    pub max_begun: u32,
    /// First wait after a failed attempt; doubles with each.
    pub backoff: Duration,
    /// When a worker's attempt is late and returns its task or asks for a spare attempt; absent for
    /// never: workers that share one machine would only slow each other down.
    pub late: Option<LateRule>,
    /// How often the sweeper runs, and how long an output is unchanged before it is resumed.
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
            resource: Resource::Cpu,
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
