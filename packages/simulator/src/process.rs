//! Processes: a role that runs, crashes and is restarted.

use std::sync::Arc;
use std::time::Duration;

use segue_pipeline::{Deps, LateRule, RoleConfig, assembler, planner, sweeper, worker};
use segue_ports::NoReport;
use tokio::task::JoinHandle;

use crate::engines::Engine;
use crate::fault::{FaultId, FaultKind};
use crate::life::Life;
use crate::params::Role;
use crate::port::Port;
use crate::rng::Rng;
use crate::world::World;

/// Starts a process and keeps it running until it is asked to stop.
pub fn start(world: &Arc<World>, index: usize) -> JoinHandle<()> {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let mut generation = 0;
        while live_once(&world, index, generation).await.is_none() {
            let mut rng = Rng::of(world.params.seed, &[10, index as u64, u64::from(generation)]);
            let stays_dead = {
                let state = &mut *world.lock();
                state.line(&world.params.processes[index].name, format_args!("CRASHED"));
                if let Some(event) = state.desks[index].life.as_ref().and_then(|life| life.fell_by()) {
                    state.hit(FaultId::Event(event), FaultKind::CrashAtAwait, None);
                }
                state.desks[index].stays_dead
            };
            if stays_dead {
                world.calm.cancelled().await;
            }
            tokio::time::sleep(Duration::from_millis(rng.pick(&[10, 500, 5_000, 30_000]))).await;
            if world.stop.is_cancelled() {
                return;
            }
            generation += 1;
        }
    })
}

async fn live_once(world: &Arc<World>, index: usize, generation: u32) -> Option<anyhow::Result<()>> {
    let process = &world.params.processes[index];
    let life = Arc::new(Life::new(index, &process.name, generation, world.stop.child_token()));
    world.lock().desks[index].life = Some(Arc::clone(&life));
    let port = Arc::new(Port::new(world, &life));
    let engine = Arc::new(Engine::new(world, &life));
    let deps = deps(&port);
    let (config, stop) = (config(world, &life), life.shutdown.clone());
    match process.role {
        Role::Planner => life.live(planner::run(deps, engine, config, stop)).await,
        Role::Worker => life.live(worker::run(deps, vec![engine], config, stop)).await,
        Role::Assembler => life.live(assembler::run(deps, engine, config, stop)).await,
        Role::Sweeper => life.live(sweeper::run(deps, port, config, stop)).await,
        Role::User => Some(Ok(())),
    }
}

/// The ports of a process, all of them simulated.
pub fn deps(port: &Arc<Port>) -> Deps {
    Deps {
        ledger: Arc::clone(port) as _,
        queue: Arc::clone(port) as _,
        store: Arc::clone(port) as _,
        documents: Arc::clone(port) as _,
        reporter: Arc::new(NoReport),
        gpu_tasks: Arc::from([]),
    }
}

/// The configuration of a process. Its durations are measured by its own clock: where
/// that runs fast, they are over sooner.
fn config(world: &World, life: &Life) -> RoleConfig {
    let rate = world.params.processes[life.process].rate as u32;
    let local = |true_seconds: u64| Duration::from_secs(true_seconds) * 1000 / rate;
    let defaults = RoleConfig::new(life.holder.clone(), world.scratch_root.clone());
    RoleConfig {
        lease_ttl: local(30),
        visibility: local(60),
        poll_wait: local(20),
        sweep_every: local(60),
        backoff: local(1),
        max_begun: world.params.scenario.focus.max_begun,
        late: world.params.spares.then(|| LateRule { percent: 200, at_least: local(10) }),
        ..defaults
    }
}
