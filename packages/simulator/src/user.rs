//! The users: they submit, submit again, cancel, retry and delete, over the same bad network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::{JobId, JobState, Key, Recipe};
use segue_pipeline::{Deps, submit};
use segue_ports::{JobChange, JobLedger, MediaStore, NewJob, NoReport, PortError, PutMode};

use crate::fault::{FaultId, FaultKind};
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
        if self.job.delete {
            tokio::time::sleep(Duration::from_millis(rng.pick(&[0, 20, 3_000, 100_000]))).await;
            self.hit(FaultKind::DeleteJob);
            self.delete().await;
            if self.job.recreate {
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
        self.port.put_bytes(&key, Bytes::from_static(b"source"), PutMode::CreateOnce).await?;
        let recipe = Recipe::built_in("rejoin").expect("a built-in recipe");
        let recipe = serde_json::to_string(&recipe).expect("a recipe is a document");
        let port = Arc::new(self.port.clone());
        let deps = Deps {
            ledger: Arc::clone(&port) as _,
            queue: Arc::clone(&port) as _,
            store: port as _,
            reporter: Arc::new(NoReport),
        };
        submit(&deps, NewJob { id, source_key: key.to_string(), recipe }).await?;
        Ok(())
    }

    async fn cancel(&self) -> Result<(), PortError> {
        if self.port.change(&self.id(), JobChange::Cancel, None).await?.is_some() {
            self.hit(FaultKind::CancelJob);
        }
        Ok(())
    }

    /// Takes the job out of the ledger, then everything that is named after it.
    async fn delete(&self) {
        let id = self.id();
        insist!(self.port.delete_job(&id));
        let prefixes = [
            Key::published_prefix(&id),
            Key::work_prefix(&id),
            Key::segment_prefix(&id),
            Key::input_prefix(&id),
        ];
        for prefix in prefixes {
            loop {
                let page = insist!(self.port.list(&prefix, None, 100));
                for object in &page.objects {
                    let key: Key = object.key.parse().expect("roles write only keys of ours");
                    insist!(self.port.delete(&key));
                }
                if page.next.is_none() {
                    break;
                }
            }
        }
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
