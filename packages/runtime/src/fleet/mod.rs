//! Roles as processes: any combination and number of roles, over a shared backend.
//!
//! A process takes its roles from a [`Roster`], works in a scratch folder of its own, and keeps
//! downloaded sources for further tasks. On shutdown it stops its programs, returns its messages
//! to the queue at once and releases its leases. Recorded results stay, so only tasks in progress
//! are repeated.

mod cache;
pub mod health;
mod ranged;
mod roster;
mod scratch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::recipe::Span;
use segue_domain::{Failure, HolderId, Recipe};
use segue_engines::Engines;
use segue_pipeline::ingester::{self, Intake};
use segue_pipeline::{Deps, LateRule, RoleConfig, assembler, planner, sweeper, worker};
use segue_ports::{MediaStore, NoReport, Resource, SystemClock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use cache::SourceCache;
pub use ranged::RangedFile;
pub use roster::{RoleName, Roster};
pub use scratch::Scratch;

use crate::backend::{self, Backend, BackendUrls};
use crate::failure;
use crate::recipe::{Overrides, resolve};
use crate::settings::{AllowMap, Late, Settings};

/// Drain timeout of a process: a spot instance has two minutes, a container 30 s; the remainder
/// is for the last log lines.
const DRAIN: Duration = Duration::from_secs(25);

/// Long-poll wait of one receive from a queue.
const POLL_WAIT: Duration = Duration::from_secs(5);

/// Configuration of a process of a fleet.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// Its roles.
    pub roster: Roster,
    /// The recipe of a source that arrives without one.
    pub recipe: Recipe,
    /// Threads for all roles.
    pub threads: usize,
    /// Folder in which the process creates its scratch folder; absent for the default.
    pub scratch: Option<PathBuf>,
    /// Limit of the source cache, bytes.
    pub source_cache_bytes: u64,
    /// File that is touched while the roles run.
    pub health_file: Option<PathBuf>,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How long a message is hidden without a heartbeat.
    pub visibility: Duration,
    /// Interval of the sweeper.
    pub sweep_every: Duration,
    /// Factor after which a worker's attempt counts as late; absent: never.
    pub late: Option<LateRule>,
}

impl FleetConfig {
    /// From the settings, with the deployment's defaults of recipes.
    ///
    /// # Errors
    /// Roles or a recipe that cannot be parsed or are not valid.
    pub fn of(settings: &Settings) -> Result<FleetConfig, Failure> {
        let of_deployment = settings.of_deployment()?;
        let overrides = Overrides {
            segment_duration: of_deployment.segment_duration,
            model: settings.model.clone(),
            language: settings.language.clone(),
            ..Overrides::default()
        };
        let span = |span: Option<Span>, default_s: u64| {
            Duration::from_millis(span.map_or(default_s * 1000, |span| span.millis()))
        };
        let recipe = resolve(&settings.recipe, &overrides)?;
        settings.allow_map.as_ref().unwrap_or(&AllowMap::None).check(&recipe)?;
        Ok(FleetConfig {
            roster: settings.roles.as_deref().map_or_else(|| Ok(Roster::default()), str::parse)?,
            recipe,
            threads: settings.threads,
            scratch: settings.scratch.clone(),
            source_cache_bytes: settings.source_cache.unwrap_or(20 << 30),
            health_file: settings.health_file.clone(),
            lease: span(settings.lease, 30),
            visibility: span(settings.visibility, 60),
            sweep_every: span(settings.sweep_every, 60),
            late: late(settings),
        })
    }
}

/// The rule for late attempts: off for workers over a folder, which share one machine and would
/// only slow each other down.
fn late(settings: &Settings) -> Option<LateRule> {
    match settings.late {
        Some(Late::Off) => None,
        Some(Late::Percent(percent)) => Some(LateRule { percent, ..LateRule::OF_FLEET }),
        None => settings.backend().ok().filter(BackendUrls::spans_machines).map(|_| LateRule::OF_FLEET),
    }
}

/// Runs until `shutdown`, then releases leases and messages.
///
/// # Errors
/// A role that ends by itself; a scratch folder that cannot be written; a role that this backend
/// does not support; roles that do not end within 25 s.
pub async fn work(
    backend: &Backend,
    engines: &Engines,
    config: &FleetConfig,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let scratch = match &config.scratch {
        Some(folder) => Scratch::open(folder)?,
        None => Scratch::open_default()?,
    };
    let stop = CancellationToken::new();
    let mut roles = start(backend, engines, config, &scratch, &stop)?;
    let beating = config.health_file.clone().map(|path| tokio::spawn(health::beat(path, stop.clone())));
    let early = tokio::select! {
        () = shutdown.cancelled() => None,
        ended = roles.join_next() => Some(match ended {
            Some(Ok(Err(error))) => failure::role(&error),
            Some(Err(panic)) => failure::internal(format!("a role panicked: {panic}")),
            Some(Ok(Ok(()))) | None => failure::internal("a role ended unexpectedly"),
        }),
    };
    tracing::info!("releasing leases and messages");
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, async { while roles.join_next().await.is_some() {} }).await;
    if let Some(beating) = beating {
        let _ = beating.await;
    }
    if drained.is_err() {
        roles.shutdown().await;
        segue_process::kill_all();
    }
    match (early, drained) {
        (Some(failure), _) => Err(failure),
        (None, Err(_)) => Err(failure::environment(format!(
            "roles did not end within {} s and were stopped; their leases and messages expire",
            DRAIN.as_secs()
        ))),
        (None, Ok(())) => Ok(()),
    }
}

fn start(
    backend: &Backend,
    engines: &Engines,
    config: &FleetConfig,
    scratch: &Scratch,
    stop: &CancellationToken,
) -> Result<JoinSet<anyhow::Result<()>>, Failure> {
    let process = uuid::Uuid::new_v4().simple().to_string();
    let store = cached_store(backend, scratch.path().join("sources"), config.source_cache_bytes);
    let over = |deps: Deps| Deps { store: Arc::clone(&store), ..deps };
    let deps = over(backend::deps(backend, Arc::new(NoReport)));
    let intake = |reader| Intake { reader, recipe: config.recipe.clone() };
    let mut tasks = JoinSet::new();
    for (role, count) in config.roster.iter() {
        for number in 0..count {
            let own = role_config(config, role, number, &process, scratch)?;
            let (deps, stop) = (deps.clone(), stop.clone());
            match role {
                RoleName::Planner => {
                    let engine = Arc::clone(&engines.planner);
                    match backend.arrivals.clone() {
                        Some(reader) => {
                            tasks.spawn(planner::run_with_intake(deps, engine, intake(reader), own, stop))
                        }
                        None => tasks.spawn(planner::run(deps, engine, own, stop)),
                    };
                }
                RoleName::Worker => {
                    tasks.spawn(worker::run(deps, engines.map.clone(), own, stop));
                }
                RoleName::GpuWorker => {
                    if backend.gpu_tasks.is_empty() {
                        return Err(failure::usage(
                            "a gpu-worker takes tasks from a queue of their own: aws:// with MAP_GPU_QUEUE_URL",
                        ));
                    }
                    let own = RoleConfig { resource: Resource::Gpu, ..own };
                    tasks.spawn(worker::run(deps, engines.map.clone(), own, stop));
                }
                RoleName::Assembler => {
                    tasks.spawn(assembler::run(deps, Arc::clone(&engines.assembler), own, stop));
                }
                RoleName::Sweeper => {
                    tasks.spawn(sweeper::run(deps, Arc::new(SystemClock), own, stop));
                }
                RoleName::Ingest => {
                    let reader = backend.arrivals.clone().filter(|_| backend.has_ingest_lane);
                    let reader = reader.ok_or_else(|| {
                        failure::usage(
                            "ingest takes notices from a queue of their own: aws:// with INGEST_QUEUE_URL; \
                             without one the planner takes them from its own queue",
                        )
                    })?;
                    let notices = Arc::clone(&deps.queue);
                    tasks.spawn(ingester::run(deps, notices, intake(reader), own, stop));
                }
            }
        }
    }
    Ok(tasks)
}

/// The store with a source cache in `folder` of at most `limit_bytes`; the store itself where a
/// source is a local file already.
fn cached_store(backend: &Backend, folder: PathBuf, limit_bytes: u64) -> Arc<dyn MediaStore> {
    let store = Arc::clone(&backend.store);
    match backend.is_local {
        true => store,
        false => Arc::new(SourceCache::new(store, folder, limit_bytes)),
    }
}

fn role_config(
    config: &FleetConfig,
    role: RoleName,
    number: usize,
    process: &str,
    scratch: &Scratch,
) -> Result<RoleConfig, Failure> {
    let holder: HolderId = format!("{}{number}-{process}", role.as_str())
        .parse()
        .map_err(|error| failure::internal(format!("holder: {error}")))?;
    // instances of one role run concurrently; several roles in one process are rare
    let threads = (config.threads / config.roster.count(role).max(1)).max(1);
    Ok(RoleConfig {
        threads,
        lease_ttl: config.lease,
        visibility: config.visibility,
        poll_wait: POLL_WAIT,
        poll_grace: POLL_WAIT + Duration::from_secs(1),
        sweep_every: config.sweep_every,
        late: config.late,
        ..RoleConfig::new(holder, scratch.path().join("work"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::Sources;

    fn worker(pairs: &[(&str, &str)]) -> Result<RoleConfig, Failure> {
        let environment: BTreeMap<_, _> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = Settings::load(&Sources { environment, ..Sources::default() })?;
        let folder = tempfile::tempdir().expect("a folder");
        let scratch = Scratch::open(folder.path())?;
        role_config(&FleetConfig::of(&settings)?, RoleName::Worker, 0, "p", &scratch)
    }

    #[test]
    fn late_attempts_are_a_matter_of_many_machines_unless_somebody_says_otherwise() {
        let late = |pairs: &[(&str, &str)]| worker(pairs).unwrap().late;
        let so_late = |percent| Some(LateRule { percent, ..LateRule::OF_FLEET });
        assert_eq!(late(&[("SEGUE_BACKEND", "/srv/jobs")]), None);
        assert_eq!(late(&[("SEGUE_BACKEND", "/srv/jobs"), ("SEGUE_LATE", "2")]), so_late(200));
        #[cfg(feature = "aws")]
        {
            assert_eq!(late(&[("SEGUE_BACKEND", "aws://")]), so_late(150));
            assert_eq!(late(&[("SEGUE_BACKEND", "aws://"), ("SEGUE_LATE", "off")]), None);
            assert_eq!(late(&[("SEGUE_BACKEND", "aws://"), ("SEGUE_LATE", "1.25")]), so_late(125));
        }
        for bad in ["1", "0.5", "on", "-3", "NaN", "inf", "1e9"] {
            let cause = worker(&[("SEGUE_LATE", bad)]).unwrap_err().cause;
            assert!(cause.contains("off") && cause.contains("late"), "{cause}");
        }
    }
}
