//! Simulated engines: they take time, fail, hang and kill as the history has it. What they make names
//! its job, output, task and attempt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::plan::PLAN_VERSION;
use segue_domain::{
    FaultKind as Fault, FileKind, JobId, OutputId, Plan, Segment, Task, TaskId, TaskKind, TickRange, Timebase,
};
use segue_ports::{
    AssembleRequest, Assembled, AssembledFile, Assembler, EngineError, LeaseName, MapEngine, PlanRequest,
    Planned, PlannedOutput, Planner, ProducedFile, TaskRequest, TaskResult, WorkContext,
};

use crate::fault::{FaultId, FaultKind};
use crate::life::Life;
use crate::rng::Rng;
use crate::world::World;

/// Most outputs of a job of a history.
const MOST_OUTPUTS: u32 = 8;

/// All engines of one life of one process.
#[derive(Clone)]
pub struct Engine {
    world: Arc<World>,
    life: Arc<Life>,
}

/// Deregisters work when it is over, also when it is dropped.
struct AtWork {
    world: Arc<World>,
    id: u64,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.world.work_ends(self.id);
    }
}

fn flaw(what: &str) -> EngineError {
    EngineError::new(Fault::Environment, format!("injected: {what}"))
}

fn flaw_once(what: &str) -> EngineError {
    EngineError { retryable: true, ..flaw(what) }
}

impl Engine {
    /// The engines of a life.
    pub fn new(world: &Arc<World>, life: &Arc<Life>) -> Engine {
        Engine { world: Arc::clone(world), life: Arc::clone(life) }
    }

    fn begin(&self, run: &WorkContext, output: Option<&OutputId>, lease: LeaseName) -> AtWork {
        let id = self.world.work_begins(&self.life, &run.job, output, lease, &run.cancel);
        AtWork { world: Arc::clone(&self.world), id }
    }

    /// Whether something has a faulty property; it counts as having occurred.
    fn is(&self, kind: FaultKind, number: u32, per_mille: u64) -> bool {
        let is = self.world.params.has_trait(kind, number, per_mille);
        if is {
            self.world.lock().hit(FaultId::Trait(kind, number), kind, None);
        }
        is
    }

    /// Runs for so long, or until it is cancelled, unless it ignores that.
    async fn take_time(&self, run: &WorkContext, ms: u64, number: u32) -> Result<(), EngineError> {
        let stubborn = self.world.params.has_trait(FaultKind::Stubborn, number, 400);
        let time = tokio::time::sleep(Duration::from_millis(ms));
        if stubborn {
            time.await;
            if run.cancel.is_cancelled() {
                self.world.lock().hit(FaultId::Trait(FaultKind::Stubborn, number), FaultKind::Stubborn, None);
            }
            return Ok(());
        }
        tokio::select! {
            biased;
            () = run.cancel.cancelled() => Err(EngineError::cancelled()),
            () = time => Ok(()),
        }
    }

    fn job_number(&self, job: &JobId) -> u32 {
        let place = self.world.params.jobs.iter().position(|params| params.id == job.as_str());
        place.expect("a job of this history") as u32
    }

    /// The number of an output in this history.
    fn output_number(&self, job: &JobId, output: &OutputId) -> u32 {
        let number = self.job_number(job);
        let outputs = &self.world.params.jobs[number as usize].outputs;
        let place = outputs.iter().position(|params| params.name == output.as_str());
        number * MOST_OUTPUTS + place.expect("an output of this history") as u32
    }

    /// A faulty worker takes the task and hangs or fails.
    async fn fall_in(&self, run: &WorkContext) -> Result<(), EngineError> {
        let index = self.life.process as u32;
        let process = &self.world.params.processes[self.life.process];
        if self.world.calm.is_cancelled() {
            return Ok(());
        }
        if process.fails && self.is(FaultKind::BlackHoleFail, index, 1000) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Err(flaw_once("this worker is broken"));
        }
        if process.hangs && self.is(FaultKind::BlackHoleHang, index, 1000) {
            tokio::select! {
                biased;
                () = run.cancel.cancelled() => return Err(EngineError::cancelled()),
                () = self.world.calm.cancelled() => return Err(flaw_once("this worker hung")),
            }
        }
        Ok(())
    }

    /// How often work under that lease was started in this history, this time included.
    fn tries(&self, lease: &LeaseName) -> u32 {
        self.world.lock().oracle.tries(lease)
    }
}

impl Engine {
    /// The plan of one output. The same for every attempt, except for the build that made it.
    fn plan_of(&self, request: &PlanRequest, output: &OutputId) -> Plan {
        let job = &request.run.job;
        let number = self.output_number(job, output);
        let params = &self.world.params.jobs[self.job_number(job) as usize];
        let params = &params.outputs[(number % MOST_OUTPUTS) as usize];
        let segments: Vec<Segment> = (0..params.segments)
            .map(|index| Segment {
                index,
                range: TickRange { start: i64::from(index), end: i64::from(index) + 1 },
                frames: 1,
                bytes: 1,
            })
            .collect();
        let task = |kind, segment: Option<u32>| Task {
            id: TaskId::of(kind, segment.unwrap_or(0)),
            kind,
            segment,
            work_ms: 10,
            attempts: None,
        };
        // an order that is neither that of the names nor that of arrival
        let mut tasks: Vec<Task> = (0..params.segments).map(|i| task(TaskKind::Digest, Some(i))).collect();
        let mut rng = Rng::of(self.world.params.seed, &[14, u64::from(number)]);
        tasks.rotate_left(rng.below(u64::from(params.segments)) as usize);
        if params.whole {
            tasks.insert(0, task(TaskKind::Sound, None));
        }
        let version = self.world.params.processes[self.life.process].version;
        Plan {
            version: PLAN_VERSION,
            job: job.clone(),
            output: output.clone(),
            recipe: request.recipe.name.clone(),
            spec: request.recipe.outputs[output].clone(),
            source_key: request.source_key.clone(),
            source_bytes: 1,
            duration_ms: None,
            timebase: Timebase { num: 1, den: 1 },
            reason: tasks.is_empty().then(|| "the source has nothing to make it from".to_owned()),
            segments,
            tasks,
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
            tools: BTreeMap::from([("build".to_owned(), version.to_string())]),
            engine: serde_json::Value::Null,
        }
    }

    fn plan_output(&self, request: &PlanRequest, output: &OutputId) -> Result<PlannedOutput, EngineError> {
        let number = self.output_number(&request.run.job, output);
        if self.is(FaultKind::BadPlan, number, 150) {
            return Err(flaw("this output cannot be planned"));
        }
        let is_old = self.world.params.processes[self.life.process].version == 1;
        let lease = LeaseName::plan(&request.run.job);
        let newer = self.world.params.may(FaultKind::Skew) && is_old && self.tries(&lease) <= 4;
        if newer && self.is(FaultKind::NewerPlan, number, 500) {
            return Err(EngineError::newer("a document of a newer build"));
        }
        let path = request.run.scratch.join(format!("track-{output}"));
        self.world.lock().objects.write_file(path.clone(), Bytes::from_static(b"track"));
        let files = vec![ProducedFile { name: "track".into(), path }];
        Ok(PlannedOutput { plan: self.plan_of(request, output), files })
    }
}

#[async_trait]
impl Planner for Engine {
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError> {
        let run = &request.run;
        let _work = self.begin(run, None, LeaseName::plan(&run.job));
        let number = self.job_number(&run.job);
        let mut rng = Rng::of(self.world.params.seed, &[7, u64::from(number)]);
        self.take_time(run, rng.within(10, 15_000), 1000 + number).await?;
        if self.is(FaultKind::BadSource, number, 300) {
            return Err(EngineError::new(Fault::Source, "injected: no media in this source"));
        }
        let outputs = request.outputs.iter();
        let outputs = outputs.map(|output| (output.clone(), self.plan_output(&request, output))).collect();
        Ok(Planned { outputs, warnings: vec![] })
    }
}

#[async_trait]
impl MapEngine for Engine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Digest, TaskKind::Sound]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let TaskRequest { run, task, .. } = &request;
        let output = &request.plan.output;
        let own = LeaseName::task(&run.job, output, &task.id);
        let lease = self.life.last_lease().unwrap_or_else(|| own.clone());
        let spares = match lease.as_str() {
            name if name == own.as_str() => 0,
            name if name.contains("/spare_") => 1,
            _ => 2,
        };
        let work = self.begin(run, Some(output), lease.clone());
        let place = task.segment.map_or(15, |segment| segment);
        let number = self.output_number(&run.job, output) * 16 + place;
        let mut rng = Rng::of(self.world.params.seed, &[8, u64::from(number)]);
        self.fall_in(run).await?;
        let mut ms = rng.pick(&[20, 500, 4_000, 12_000, 25_000]) + rng.below(3_000);
        // a spare attempt can be slow as well, independently
        let per_mille = if spares == 0 { 200 } else { 400 };
        if self.is(FaultKind::Straggler, number + 10_000 * spares, per_mille) {
            ms = rng.within(60_000, 200_000);
        }
        if self.is(FaultKind::Killer, number, 120) {
            self.take_time(run, ms.min(5_000) / 2, number).await?;
            self.life.kill();
            self.life.ready().await;
        }
        self.take_time(run, ms, number).await?;
        if self.is(FaultKind::Broken, number, 150) {
            return Err(EngineError::new(Fault::Source, "injected: the picture is broken"));
        }
        if self.is(FaultKind::Poison, number, 150) {
            return Err(flaw_once("it fails every time"));
        }
        if self.tries(&lease) <= rng.within(1, 2) as u32 && self.is(FaultKind::Flaky, number, 400) {
            return Err(flaw_once("it fails sometimes"));
        }
        let content = format!("{} {output} {} {}", run.job, task.id, work.id);
        let mut files = Vec::new();
        if place % 2 == 0 {
            let path = run.scratch.join("part");
            std::fs::write(&path, &content)
                .map_err(|e| EngineError::new(Fault::Environment, e.to_string()))?;
            files.push(ProducedFile { name: "part.txt".into(), path });
        }
        Ok(TaskResult { files, facts: serde_json::Value::String(content) })
    }
}

impl Engine {
    /// The parts in one text, each as its completion describes it.
    fn join(&self, request: &AssembleRequest) -> Result<String, EngineError> {
        let mut joined = String::new();
        let state = self.world.lock();
        for part in &request.parts {
            let content = part.facts.as_str().unwrap_or_default();
            for path in part.files.values() {
                let file = state.objects.read_file(path).cloned().unwrap_or_default();
                if file[..] != *content.as_bytes() {
                    let what = format!("{} is {file:?}, its completion is {content}", part.task.id);
                    return Err(EngineError::new(Fault::Internal, what));
                }
            }
            joined.push_str(content);
            joined.push('\n');
        }
        Ok(joined)
    }
}

#[async_trait]
impl Assembler for Engine {
    async fn assemble(&self, request: AssembleRequest) -> Result<Assembled, EngineError> {
        let (run, output) = (&request.run, &request.plan.output);
        let lease = LeaseName::assemble(&run.job, output);
        let _work = self.begin(run, Some(output), lease.clone());
        let number = self.output_number(&run.job, output);
        let mut rng = Rng::of(self.world.params.seed, &[9, u64::from(number)]);
        let ms = rng.pick(&[50, 2_000, 9_000, 40_000]) + rng.below(2_000);
        self.take_time(run, ms, 2000 + number).await?;
        if self.is(FaultKind::BrokenAssembly, number, 100) {
            return Err(flaw("it cannot be assembled"));
        }
        if self.tries(&lease) <= rng.pick(&[1, 2, 2, 9]) && self.is(FaultKind::FailedAssembly, number, 300) {
            return Err(flaw_once("the certificate does not hold"));
        }
        let joined = self.join(&request)?;
        let mut files = Vec::new();
        for (name, kind, bytes) in [
            (format!("{output}.txt"), FileKind::Media, joined),
            (format!("{output}-certificate.json"), FileKind::Certificate, "{}".into()),
        ] {
            let path = run.scratch.join(&name);
            let size = bytes.len() as u64;
            self.world.lock().objects.write_file(path.clone(), Bytes::from(bytes));
            files.push(AssembledFile {
                name,
                path,
                kind,
                media_type: "text/plain".into(),
                bytes: size,
                sha256: String::new(),
                made: String::new(),
            });
        }
        Ok(Assembled { files, ..Assembled::default() })
    }
}
