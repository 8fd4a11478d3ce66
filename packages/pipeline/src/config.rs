//! Ports and configuration of a role.

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
    /// Sources, results of attempts, and published files.
    pub store: Arc<dyn MediaStore>,
    /// Compare-and-swap of small documents in the same store.
    pub documents: Arc<dyn StoreDocuments>,
    /// Receives progress events.
    pub reporter: Arc<dyn Reporter>,
    /// Kinds of tasks that use the lane of workers with a GPU.
    pub gpu_tasks: Arc<[TaskKind]>,
}

impl Deps {
    /// The lane of tasks of a kind.
    pub fn lane_of(&self, kind: TaskKind) -> Lane {
        Lane::Task(if self.gpu_tasks.contains(&kind) { Resource::Gpu } else { Resource::Cpu })
    }
}

/// Rule for late attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRule {
    /// Factor of the usual time of such tasks, in hundredths.
    pub percent: u32,
    /// Shortest time after which an attempt can be late.
    pub at_least: Duration,
}

impl LateRule {
    /// Default of a fleet: 1.5 times the usual time. An attempt that is returned then has cost
    /// one and a half tasks' time, and tasks with a good prediction rarely deviate by that
    /// much. Below 5 s the overhead of another attempt exceeds its gain.
    pub const OF_FLEET: LateRule = LateRule { percent: 150, at_least: Duration::from_secs(5) };
}

/// Configuration of a role.
#[derive(Debug, Clone)]
pub struct RoleConfig {
    /// Holder name of its leases.
    pub holder: HolderId,
    /// Lease ttl. The lease is renewed each fifth of it and
    /// trusted for four fifths.
    pub lease_ttl: Duration,
    /// Visibility: how long a message is hidden without a heartbeat.
    pub visibility: Duration,
    /// Long-poll wait of one receive.
    pub poll_wait: Duration,
    /// How long shutdown waits for a receive in progress, so that its message is
    /// returned to the queue; zero where dropping the call loses nothing.
    pub poll_grace: Duration,
    /// Folder in which each task gets a folder of its own.
    pub scratch_root: PathBuf,
    /// Threads of one task.
    pub threads: usize,
    /// Kinds of tasks that a worker takes.
    pub resource: Resource,
    /// Failed attempts after which a task is dead-lettered and its output fails.
    pub max_attempts: u32,
    /// Killed attempts (started − survived) after which a task counts as the cause, and its
    /// output fails.
    pub max_begun: u32,
    /// Initial backoff after a failed attempt; doubles with each.
    pub backoff: Duration,
    /// When a worker's attempt is late and returns its task or requests a spare attempt; absent for
    /// never: workers that share one machine would only slow each other down.
    pub late: Option<LateRule>,
    /// Interval of the sweeper, and the time without change after which an output is resumed.
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

    /// Backoff after `failures` failed attempts: doubling, at most a minute, with
    /// a jitter of up to a quarter that depends on `seed`, so that retries do not
    /// coincide.
    pub fn backoff_after(&self, failures: u32, seed: &str) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << failures.saturating_sub(1).min(10));
        let base = doubled.min(Duration::from_secs(60));
        let spread =
            seed.bytes().fold(u32::from(failures as u8), |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        base + base.mul_f64(f64::from(spread % 256) / 1024.0)
    }
}
