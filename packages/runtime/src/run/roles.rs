//! The roles of one process: started together, stopped together, every one joined.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::{Failure, HolderId};
use segue_engines::Engines;
use segue_pipeline::{Deps, RoleConfig, assembler, planner, sweeper, worker};
use segue_ports::{MediaStore, SystemClock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::failure;

/// Lease of an embedded job. The embedded ledger releases a dead process's leases at once, so this
/// applies only to a process that hangs; no other process works on an embedded job.
const LEASE_TTL: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_secs(1);
/// Drain timeout of the roles.
const DRAIN: Duration = Duration::from_secs(60);

/// Number of roles and the resources they share.
#[derive(Debug, Clone)]
pub struct Crew {
    /// Number of concurrent workers, at least 1.
    pub workers: usize,
    /// Threads for all workers, at least 1.
    pub threads: usize,
    /// Folder in which each task gets a folder of its own.
    pub scratch: PathBuf,
}

/// Running roles.
pub struct Roles {
    tasks: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Roles {
    /// Starts a planner, the workers, an assembler, which stores in `results`, and a sweeper.
    ///
    /// # Errors
    /// None in practice: the holder names are valid by construction.
    pub fn start(
        deps: &Deps,
        results: Arc<dyn MediaStore>,
        engines: &Engines,
        crew: &Crew,
    ) -> Result<Roles, Failure> {
        let mut tasks = JoinSet::new();
        let stop = CancellationToken::new();
        let process = uuid::Uuid::new_v4().simple();
        let config = |role: &str, threads: usize| -> Result<RoleConfig, Failure> {
            let holder: HolderId = format!("{role}-{process}")
                .parse()
                .map_err(|error| failure::internal(format!("holder: {error}")))?;
            Ok(RoleConfig {
                threads,
                lease_ttl: LEASE_TTL,
                visibility: LEASE_TTL,
                poll_wait: POLL_WAIT,
                sweep_every: SWEEP_EVERY,
                ..RoleConfig::new(holder, crew.scratch.clone())
            })
        };
        let all = crew.threads.max(1);
        let engine = Arc::clone(&engines.planner);
        tasks.spawn(planner::run(deps.clone(), engine, config("planner", all)?, stop.clone()));
        for number in 0..crew.workers.max(1) {
            let share = (all / crew.workers.max(1)).max(1);
            let config = config(&format!("worker{number}"), share)?;
            tasks.spawn(worker::run(deps.clone(), engines.map.clone(), config, stop.clone()));
        }
        let engine = Arc::clone(&engines.assembler);
        let assembling = Deps { store: results, ..deps.clone() };
        tasks.spawn(assembler::run(assembling, engine, config("assembler", all)?, stop.clone()));
        tasks.spawn(sweeper::run(deps.clone(), Arc::new(SystemClock), config("sweeper", 1)?, stop.clone()));
        Ok(Roles { tasks, stop })
    }

    /// Waits for a role that ends before shutdown, which is always a failure.
    pub async fn ended_early(&mut self) -> Failure {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => failure::role(&error),
            Some(Err(panic)) => failure::internal(format!("a role panicked: {panic}")),
            Some(Ok(Ok(()))) | None => failure::internal("a role ended unexpectedly"),
        }
    }

    /// Shuts the roles down and waits until all have released their leases and messages.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(ended) = self.tasks.join_next().await {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(error = format!("{error:#}"), "a role failed during shutdown")
                    }
                    Err(panic) => tracing::error!(%panic, "a role panicked"),
                }
            }
        });
        if drained.await.is_err() {
            tracing::error!(seconds = DRAIN.as_secs(), "roles did not end in time and were aborted");
            self.tasks.shutdown().await;
        }
    }
}
