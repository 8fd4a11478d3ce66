//! One history, from its parameters to its outcome.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::JobState;
use tokio::task::JoinHandle;

use crate::chaos;
use crate::fault::{Coverage, FaultId, FaultKind};
use crate::life::Life;
use crate::model::{is_open, state_of};
use crate::op::Op;
use crate::oracle::{Invariant, Violation};
use crate::params::{Params, Role};
use crate::port::Port;
use crate::process;
use crate::user::User;
use crate::world::World;

/// After the faults end every job has to end within this time.
const END_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// After every job has ended the world has to be at rest within this time.
const REST_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// The outcome of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The violated invariant, if any.
    pub violation: Option<Violation>,
    /// The readable log.
    pub log: String,
    /// Faults that occurred.
    pub coverage: Coverage,
    /// Their names, in order.
    pub fired: Vec<FaultId>,
    /// Those of single calls, with their kinds.
    pub of_calls: BTreeMap<(Op, u32), FaultKind>,
    /// Simulated time, milliseconds.
    pub virtual_ms: u64,
    /// Calls of ports.
    pub calls: u64,
    /// Jobs that were completed, failed, cancelled, deleted.
    pub ends: [u32; 4],
}

impl Outcome {
    /// The hash of the log: the same seed, the same history.
    pub fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.log.as_bytes())
    }
}

/// Runs a history on this thread. `scratch_root` is an empty folder on a fast disk.
pub fn run(params: Params, scratch_root: &Path) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without input and output needs nothing");
    runtime.block_on(async {
        let world = Arc::new(World::new(params, scratch_root.to_owned()));
        let quit = tokio::select! {
            biased;
            () = world.broken.cancelled() => false,
            quit = drive(&world) => quit,
        };
        let state = &mut *world.lock();
        if quit {
            world.judge_rest(state);
        }
        Outcome {
            seed: world.params.seed,
            violation: state.violation.clone(),
            log: std::mem::take(&mut state.log),
            coverage: std::mem::take(&mut state.coverage),
            fired: std::mem::take(&mut state.fired),
            of_calls: std::mem::take(&mut state.of_calls),
            virtual_ms: world.true_elapsed_ms() as u64,
            calls: state.total_calls(),
            ends: ends(&world, state),
        }
    })
}

fn ends(world: &World, state: &crate::world::State) -> [u32; 4] {
    let mut ends = [0; 4];
    for job in &world.params.jobs {
        let found = job.id.parse().ok().and_then(|id| state.model.jobs.get(&id)).map(state_of);
        match found {
            Some(JobState::Completed) => ends[0] += 1,
            Some(JobState::Failed) => ends[1] += 1,
            Some(JobState::Cancelled) => ends[2] += 1,
            _ => ends[3] += 1,
        }
    }
    ends
}

/// Whether everything ended.
async fn drive(world: &Arc<World>) -> bool {
    let count = world.params.processes.len();
    let processes: Vec<JoinHandle<()>> = (0..count).map(|index| process::start(world, index)).collect();
    let users = start_users(world);
    let chaos = tokio::spawn(chaos::run(Arc::clone(world)));
    let at_work = async {
        for user in users {
            let _ = user.await;
        }
        all_ended(world).await;
    };
    let chaos_ends = tokio::time::sleep(Duration::from_millis(world.params.chaos_ms));
    tokio::pin!(at_work);
    // a history whose jobs end before the faults do is over sooner
    let early = tokio::select! {
        biased;
        () = &mut at_work => true,
        () = chaos_ends => false,
    };
    chaos.abort();
    chaos::heal(world);
    if !early && tokio::time::timeout(END_LIMIT, at_work).await.is_err() {
        let state = &mut *world.lock();
        let left: Vec<String> =
            state.model.jobs.values().map(|job| format!("{} {}", job.id, state_of(job))).collect();
        world.violate(state, Invariant::Ends, format!("at the end: {}", left.join(", ")));
        return false;
    }
    at_rest(world).await && stopped(world, processes).await
}

fn start_users(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let index = world.params.processes.iter().position(|p| p.role == Role::User).expect("there are users");
    let life = Arc::new(Life::new(index, "u", 0, world.stop.clone()));
    let user = |(number, job): (usize, &crate::params::JobParams)| User {
        world: Arc::clone(world),
        port: Port::new(world, &life),
        job: job.clone(),
        number: number as u32,
    };
    world.params.jobs.iter().enumerate().map(user).map(|user| tokio::spawn(user.run())).collect()
}

async fn all_ended(world: &World) {
    while world.lock().model.jobs.values().any(is_open) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn at_rest(world: &World) -> bool {
    let limit = tokio::time::Instant::now() + REST_LIMIT;
    loop {
        let left = {
            let state = &*world.lock();
            if state.late > 0 || state.oracle.is_anybody_working() {
                Some("an engine or a late request is running".to_owned())
            } else {
                world.left_over(state)
            }
        };
        let Some(left) = left else { return true };
        if tokio::time::Instant::now() > limit {
            world.violate(&mut world.lock(), Invariant::Orphans, left);
            return false;
        }
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
}

/// Asks every role to stop and waits for it.
async fn stopped(world: &World, processes: Vec<JoinHandle<()>>) -> bool {
    world.stop.cancel();
    for (index, process) in processes.into_iter().enumerate() {
        let name = &world.params.processes[index].name;
        let why = match tokio::time::timeout(Duration::from_secs(300), process).await {
            Ok(Ok(())) => continue,
            Ok(Err(_)) => format!("{name} panicked"),
            Err(_) => format!("{name} does not stop"),
        };
        world.violate(&mut world.lock(), Invariant::Stops, why);
        return false;
    }
    let state = &mut *world.lock();
    if let Some(left) = world.held_lease(state) {
        world.violate(state, Invariant::Orphans, format!("after all roles stopped: {left}"));
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::PathBuf;

    use super::*;
    use crate::scenario::Scenario;

    /// What is said of one process that is asked to stop.
    fn said(process: impl Future<Output = ()> + Send + 'static) -> Option<Invariant> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let calm = Params::draw(3, Scenario::named("calm").unwrap(), HashSet::new());
            let world = World::new(calm, PathBuf::new());
            stopped(&world, vec![tokio::spawn(process)]).await;
            world.lock().violation.as_ref().map(|violation| violation.invariant)
        })
    }

    #[test]
    fn a_role_that_does_not_stop_or_panics_is_noticed() {
        assert_eq!(said(std::future::ready(())), None);
        assert_eq!(said(std::future::pending()), Some(Invariant::Stops));
        assert_eq!(said(async { panic!("on purpose") }), Some(Invariant::Stops));
    }
}
