//! The users: they submit, submit again, cancel, retry and delete, over the same bad network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::{JobId, JobState, Key, Recipe};
use segue_pipeline::{Deps, delete, submit};
use segue_ports::{JobChange, JobLedger, MediaStore, NewJob, NoReport, PortError, PutOptions};

use crate::fault::{FaultId, FaultKind};
use crate::life::Life;
use crate::params::JobParams;
use crate::port::Port;
use crate::rng::Rng;
use crate::world::World;

/// The user of one job.
pub struct User {
    /// The world.
    pub world: Arc<World>,
    /// The user's way to it.
    pub port: Port,
    /// What the user does.
    pub job: JobParams,
    /// The job's number.
    pub number: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Again,
    Cancel,
}

/// Says again until the answer is no error.
macro_rules! insist {
    ($call:expr) => {
        loop {
            match $call.await {
                Ok(answer) => break answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(1500)).await,
            }
        }
    };
}

impl User {
    /// Lives a user's life.
    pub async fn run(self) {
        let mut rng = Rng::of(self.world.params.seed, &[11, u64::from(self.number)]);
        let started = tokio::time::Instant::now();
        let until = |ms: u64| tokio::time::sleep_until(started + Duration::from_millis(ms));
        until(self.job.at_ms).await;
        insist!(self.submit());
        let mut wishes: Vec<(u64, Wish)> = self.job.again_ms.iter().map(|at| (*at, Wish::Again)).collect();
        wishes.extend(self.job.cancel_ms.map(|at| (at, Wish::Cancel)));
        wishes.sort_unstable();
        for (at, wish) in wishes {
            until(at).await;
            if wish == Wish::Again {
                self.hit(FaultKind::Resubmit);
                insist!(self.submit());
            } else {
                insist!(self.cancel());
            }
        }
        for _ in 0..self.job.retries {
            if self.ended().await == Some(JobState::Completed) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(rng.pick(&[100, 10_000, 100_000, 150_000]))).await;
            self.hit(FaultKind::RetryJob);
            insist!(self.port.change(&self.id(), JobChange::Retry, None));
        }
        self.ended().await;
        for round in 0..self.job.remakes.max(u32::from(self.job.delete)) {
            tokio::time::sleep(Duration::from_millis(rng.pick(&[0, 20, 3_000, 100_000]))).await;
            self.hit(FaultKind::DeleteJob);
            self.delete(round, &mut rng).await;
            if round < self.job.remakes {
                tokio::time::sleep(Duration::from_millis(rng.pick(&[0, 20, 3_000, 40_000]))).await;
                self.hit(FaultKind::Recreate);
                insist!(self.submit());
                self.ended().await;
            }
        }
    }

    fn hit(&self, kind: FaultKind) {
        self.world.lock().hit(FaultId::Trait(kind, self.number), kind, None);
    }

    fn id(&self) -> JobId {
        self.job.id.parse().expect("a plain id")
    }

    async fn submit(&self) -> Result<(), PortError> {
        let id = self.id();
        let key = Key::source(&id, "mp4");
        self.port.put_bytes(&key, Bytes::from_static(b"source"), &PutOptions::default()).await?;
        let recipe = Recipe::built_in("rejoin").expect("a built-in recipe");
        let recipe = serde_json::to_string(&recipe).expect("a recipe is a document");
        submit(&deps(&self.port), NewJob { id, source_key: key.to_string(), recipe }).await?;
        Ok(())
    }

    async fn cancel(&self) -> Result<(), PortError> {
        if self.port.change(&self.id(), JobChange::Cancel, None).await?.is_some() {
            self.hit(FaultKind::CancelJob);
        }
        Ok(())
    }

    /// Takes the job away, with everything that is named after it.
    async fn delete(&self, round: u32, rng: &mut Rng) {
        let (id, deps, focus) = (self.id(), deps(&self.port), &self.world.params.scenario.focus);
        if focus.deleted_twice {
            self.also_delete(round, rng.pick(&[0, 20, 3_000, 30_000]));
        }
        if focus.gives_up && round < self.job.remakes {
            let _ = delete(&deps, &id).await;
            return;
        }
        // somebody else can have driven it on, or it was submitted late: then it ends again
        while !insist!(delete(&deps, &id)) {
            self.ended().await;
        }
    }

    /// Somebody else wishes the same, and leaves alone what lives when they come to it.
    fn also_delete(&self, round: u32, after_ms: u64) {
        let (id, world, process) = (self.id(), Arc::clone(&self.world), self.port.place());
        let life = Life::new(process, &format!("v{}", self.number), round, world.stop.clone());
        let deps = deps(&Port::new(&world, &Arc::new(life)));
        world.lock().late += 1;
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            insist!(delete(&deps, &id));
            world.lock().late -= 1;
        });
    }

    /// Waits until the job has ended; its state then, none when it is not there.
    async fn ended(&self) -> Option<JobState> {
        let id = self.id();
        loop {
            let state = self.world.lock().model.jobs.get(&id).map(|job| job.state);
            if state.is_none_or(JobState::is_terminal) {
                return state;
            }
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    }
}

fn deps(port: &Port) -> Deps {
    let port = Arc::new(port.clone());
    Deps {
        ledger: Arc::clone(&port) as _,
        queue: Arc::clone(&port) as _,
        store: port as _,
        reporter: Arc::new(NoReport),
    }
}
