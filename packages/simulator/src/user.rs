//! Users: they submit, submit again, add outputs, cancel, retry and delete, over the same faulty network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::recipe::{ThumbnailRecipe, TranscriptRecipe, VideoRecipe};
use segue_domain::{JobId, JobState, Key, OutputMake, OutputSpec, Recipe};
use segue_pipeline::control::{self, Source};
use segue_pipeline::{Deps, new_job, submit};
use segue_ports::{MediaStore, PortError, PutOptions};

use crate::fault::{FaultId, FaultKind};
use crate::life::Life;
use crate::model::{is_open, state_of};
use crate::oracle::Invariant;
use crate::params::{JobParams, OutputParams};
use crate::port::Port;
use crate::process;
use crate::rng::Rng;
use crate::world::World;

/// How long a user waits before a failed command is repeated.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The user of one job.
pub struct User {
    /// The world.
    pub world: Arc<World>,
    /// The user's ports.
    pub port: Port,
    /// What the user does.
    pub job: JobParams,
    /// The job's number.
    pub number: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Command {
    Again,
    Cancel,
    CancelOutput(usize),
    Add(usize),
}

/// Repeats a command until it succeeds.
macro_rules! insist {
    ($call:expr) => {
        loop {
            match $call.await {
                Ok(answer) => break answer,
                Err(_) => tokio::time::sleep(PATIENCE).await,
            }
        }
    };
}

/// The recipe of some outputs. Each job of an id has another name in it, so that its plans differ from
/// those of an earlier one.
fn recipe<'a>(job: &JobParams, name: String, outputs: impl Iterator<Item = &'a OutputParams>) -> Recipe {
    let spec = |output: &OutputParams| {
        let make = match output.name.as_str() {
            "video" => OutputMake::Video(VideoRecipe::default()),
            "transcript" => OutputMake::Transcript(TranscriptRecipe::default()),
            _ => OutputMake::Thumbnail(ThumbnailRecipe::default()),
        };
        let needs = output.need.iter().map(|(need, _)| job.outputs[*need].id()).collect();
        OutputSpec { required: output.required, needs, priority: output.priority, make }
    };
    let outputs: BTreeMap<_, _> = outputs.map(|output| (output.id(), spec(output))).collect();
    Recipe { name, outputs, ..Recipe::built_in("rejoin").expect("a built-in recipe") }
}

impl User {
    /// Executes all commands of a user.
    pub async fn run(self) {
        let mut rng = Rng::of(self.world.params.seed, &[11, u64::from(self.number)]);
        let started = tokio::time::Instant::now();
        let until = |ms: u64| tokio::time::sleep_until(started + Duration::from_millis(ms));
        until(self.job.at_ms).await;
        self.submit(0).await;
        for (at, command) in self.commands() {
            until(at).await;
            match command {
                Command::Again => {
                    self.hit(FaultKind::Resubmit);
                    self.submit(0).await;
                }
                Command::Cancel => insist!(self.cancel(None)),
                Command::CancelOutput(output) => insist!(self.cancel(Some(output))),
                Command::Add(output) => self.add(output).await,
            }
        }
        for _ in 0..self.job.retries {
            if self.ended().await == Some(JobState::Completed) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(rng.pick(&[100, 10_000, 100_000, 150_000]))).await;
            self.retry(&mut rng).await;
        }
        if !self.job.delete_early {
            self.ended().await;
        }
        for round in 0..self.job.remakes.max(u32::from(self.job.delete)) {
            tokio::time::sleep(Duration::from_millis(rng.pick(&[0, 20, 3_000, 100_000]))).await;
            self.hit(FaultKind::DeleteJob);
            self.delete(round, &mut rng).await;
            if round < self.job.remakes {
                tokio::time::sleep(Duration::from_millis(rng.pick(&[0, 20, 3_000, 40_000]))).await;
                self.hit(FaultKind::Recreate);
                self.submit(round + 1).await;
                self.ended().await;
            }
        }
    }

    /// What the user does while the job runs, in order of time.
    fn commands(&self) -> Vec<(u64, Command)> {
        let job = &self.job;
        let mut commands: Vec<(u64, Command)> = job.again_ms.iter().map(|at| (*at, Command::Again)).collect();
        commands.extend(job.cancel_ms.map(|at| (at, Command::Cancel)));
        commands.extend(job.cancel_output.map(|(at, output)| (at, Command::CancelOutput(output))));
        let added = job.outputs.iter().enumerate();
        commands.extend(added.filter_map(|(place, output)| Some((output.add_ms?, Command::Add(place)))));
        commands.sort_unstable();
        commands
    }

    fn hit(&self, kind: FaultKind) {
        self.world.lock().hit(FaultId::Trait(kind, self.number), kind, None);
    }

    fn id(&self) -> JobId {
        self.job.id.parse().expect("a plain id")
    }

    fn deps(&self) -> Deps {
        process::deps(&Arc::new(self.port.clone()))
    }

    /// Submits until there is a job that is not being deleted.
    async fn submit(&self, round: u32) {
        loop {
            if !insist!(self.try_to_submit(round)) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    /// Whether the job that is there is being deleted.
    async fn try_to_submit(&self, round: u32) -> Result<bool, PortError> {
        let id = self.id();
        let key = Key::source(&id, "mp4");
        self.port.put_bytes(&key, Bytes::from_static(b"source"), &PutOptions::default()).await?;
        let first = self.job.outputs.iter().filter(|output| output.add_ms.is_none());
        let mut new = new_job(&id, key.to_string(), &recipe(&self.job, format!("round-{round}"), first));
        for output in &mut new.outputs {
            let params = self.job.outputs.iter().find(|params| params.name == output.id.as_str());
            if let Some((_, gate)) = params.and_then(|params| params.need) {
                output.needs.iter_mut().for_each(|need| need.gate = gate);
            }
        }
        Ok(submit(&self.deps(), new).await?.deleting)
    }

    async fn cancel(&self, output: Option<usize>) -> Result<(), PortError> {
        let name = output.map(|output| self.job.outputs[output].id());
        if control::cancel(&self.deps(), &self.id(), name.as_ref()).await?.is_some() {
            let kind = if output.is_some() { FaultKind::CancelOutput } else { FaultKind::CancelJob };
            self.hit(kind);
        }
        Ok(())
    }

    /// Adds an output, unless the job is gone or being deleted.
    async fn add(&self, output: usize) {
        let added = recipe(&self.job, String::new(), std::iter::once(&self.job.outputs[output]));
        loop {
            let error = match control::add_outputs(&self.deps(), &self.id(), &added).await {
                Ok(_) => return self.hit(FaultKind::AddOutput),
                Err(error) => error,
            };
            let text = error.to_string();
            if text.contains("there is no job") || text.contains("is being deleted") {
                return;
            }
            if error.downcast_ref::<PortError>().is_none() {
                let state = &mut *self.world.lock();
                return self.world.violate(state, Invariant::Addition, format!("refused: {text}"));
            }
            tokio::time::sleep(PATIENCE).await;
        }
    }

    async fn retry(&self, rng: &mut Rng) {
        let id = self.id();
        let failed = |state: &crate::world::State| -> Vec<usize> {
            let job = state.model.jobs.get(&id);
            let is_failed = |output: &OutputParams| {
                let found = job.and_then(|job| crate::model::output_of(job, &output.id()));
                found.is_some_and(|output| output.state.is_unsuccessful())
            };
            (0..self.job.outputs.len()).filter(|place| is_failed(&self.job.outputs[*place])).collect()
        };
        let failed = failed(&self.world.lock());
        if failed.is_empty() {
            return;
        }
        let one = self.job.retries_one.then(|| self.job.outputs[rng.pick(&failed)].id());
        self.hit(if one.is_some() { FaultKind::RetryOutput } else { FaultKind::RetryJob });
        insist!(control::retry(&self.deps(), &id, one.as_ref()));
    }

    /// Deletes the job with everything of it.
    async fn delete(&self, round: u32, rng: &mut Rng) {
        let (id, deps, focus) = (self.id(), self.deps(), &self.world.params.scenario.focus);
        if focus.deleted_twice {
            self.also_delete(round, rng.pick(&[0, 20, 3_000, 30_000]));
        }
        if focus.gives_up && round < self.job.remakes {
            let _ = control::delete(&deps, &id, Source::Delete).await;
            return;
        }
        insist!(control::delete(&deps, &id, Source::Delete));
    }

    /// A second user deletes the same job.
    fn also_delete(&self, round: u32, after_ms: u64) {
        let (id, world, process) = (self.id(), Arc::clone(&self.world), self.port.place());
        let life = Life::new(process, &format!("v{}", self.number), round, world.stop.clone());
        let deps = process::deps(&Arc::new(Port::new(&world, &Arc::new(life))));
        world.lock().late += 1;
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            insist!(control::delete(&deps, &id, Source::Delete));
            world.lock().late -= 1;
        });
    }

    /// Waits until no work on the job can continue without a user; its state then, `None` when it is not
    /// there.
    async fn ended(&self) -> Option<JobState> {
        let id = self.id();
        loop {
            let found = self.world.lock().model.jobs.get(&id).map(|job| (is_open(job), state_of(job)));
            match found {
                None => return None,
                Some((false, state)) => return Some(state),
                Some((true, _)) => tokio::time::sleep(Duration::from_secs(4)).await,
            }
        }
    }
}
