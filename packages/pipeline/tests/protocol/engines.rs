//! Scripted engines: they count, fail and wait as configured.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::plan::PLAN_VERSION;
use segue_domain::{
    FaultKind, FileKind, OutputId, Plan, Segment, Task, TaskId, TaskKind, TickRange, Timebase,
};
use segue_ports::{
    AssembleRequest, Assembled, AssembledFile, Assembler, EngineError, MapEngine, PlanRequest, Planned,
    PlannedOutput, Planner, ProducedFile, TaskRequest, TaskResult,
};

/// State shared by the scripted engines.
#[derive(Default)]
pub struct Script {
    /// Segments that the planner makes.
    pub segments: u32,
    /// How long each task takes.
    pub task_takes: Duration,
    /// How long an assembly takes.
    pub join_takes: Duration,
    /// Outputs for which the source has no input.
    pub empty: Vec<&'static str>,
    /// Attempts of a task that fail and may be tried again.
    pub failing: Mutex<HashMap<String, u32>>,
    /// A task that cannot succeed.
    pub broken: Mutex<Option<String>>,
    /// How often each task ran to its end.
    pub finished: Mutex<BTreeMap<String, u32>>,
    /// Assemblies that ran to their end.
    pub joins: AtomicU32,
    /// Probes of the source for plans.
    pub plans: AtomicU32,
    /// Attempts that were cancelled.
    pub cancelled: AtomicU32,
}

/// One engine in all three roles.
#[derive(Clone)]
pub struct Scripted(pub Arc<Script>);

impl Scripted {
    async fn work(
        &self,
        takes: Duration,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> Result<(), EngineError> {
        tokio::select! {
            () = tokio::time::sleep(takes) => Ok(()),
            () = cancel.cancelled() => {
                self.0.cancelled.fetch_add(1, Ordering::Relaxed);
                Err(EngineError::cancelled())
            }
        }
    }
}

/// A task as the script names it: those of `video` by their id alone.
pub fn name_of(output: &OutputId, task: &TaskId) -> String {
    if output.as_str() == "video" { task.to_string() } else { format!("{output}/{task}") }
}

impl Script {
    fn plan(&self, request: &PlanRequest, output: &OutputId) -> Plan {
        let count = if self.empty.contains(&output.as_str()) { 0 } else { self.segments };
        let segments = (0..count).map(|index| Segment {
            index,
            range: TickRange { start: i64::from(index), end: i64::from(index) + 1 },
            frames: 1,
            bytes: 1,
        });
        let tasks = (0..count).map(|index| Task {
            id: TaskId::of(TaskKind::Digest, index),
            kind: TaskKind::Digest,
            segment: Some(index),
            work_ms: 10,
            attempts: None,
        });
        Plan {
            version: PLAN_VERSION,
            job: request.run.job.clone(),
            output: output.clone(),
            recipe: request.recipe.name.clone(),
            spec: request.recipe.outputs[output].clone(),
            source_key: request.source_key.clone(),
            source_bytes: 1,
            duration_ms: None,
            timebase: Timebase { num: 1, den: 1 },
            segments: segments.collect(),
            tasks: tasks.collect(),
            reason: (count == 0).then(|| "nothing there".to_owned()),
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
            tools: BTreeMap::new(),
            engine: serde_json::Value::Null,
        }
    }
}

#[async_trait]
impl Planner for Scripted {
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError> {
        self.0.plans.fetch_add(1, Ordering::Relaxed);
        let mut planned = Planned::default();
        for output in &request.outputs {
            let track = request.run.scratch.join(format!("track-{output}"));
            std::fs::write(&track, b"track").unwrap();
            let files = vec![ProducedFile { name: "track".into(), path: track }];
            let is_broken = self.0.broken.lock().unwrap().as_deref() == Some(&format!("plan/{output}"));
            let plan = match is_broken {
                true => Err(EngineError::new(FaultKind::Source, "it cannot be planned")),
                false => Ok(PlannedOutput { plan: self.0.plan(&request, output), files }),
            };
            planned.outputs.insert(output.clone(), plan);
        }
        Ok(planned)
    }
}

#[async_trait]
impl MapEngine for Scripted {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Digest]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let id = name_of(&request.plan.output, &request.task.id);
        assert_eq!(std::fs::read(request.inputs.files["track"].path()).unwrap(), b"track");
        self.work(self.0.task_takes, &request.run.cancel).await?;
        if self.0.broken.lock().unwrap().as_ref() == Some(&id) {
            return Err(EngineError::new(FaultKind::Source, "the picture is broken"));
        }
        if let Some(left) = self.0.failing.lock().unwrap().get_mut(&id).filter(|left| **left > 0) {
            *left -= 1;
            return Err(EngineError {
                retryable: true,
                ..EngineError::new(FaultKind::Environment, "out of luck")
            });
        }
        *self.0.finished.lock().unwrap().entry(id.clone()).or_default() += 1;
        let path = request.run.scratch.join("part");
        std::fs::write(&path, &id).unwrap();
        Ok(TaskResult {
            files: vec![ProducedFile { name: "part.txt".into(), path }],
            facts: serde_json::Value::Null,
        })
    }
}

#[async_trait]
impl Assembler for Scripted {
    async fn assemble(&self, request: AssembleRequest) -> Result<Assembled, EngineError> {
        self.work(self.0.join_takes, &request.run.cancel).await?;
        let output = request.plan.output.to_string();
        if self.0.broken.lock().unwrap().as_deref() == Some(&format!("assemble/{output}")) {
            return Err(EngineError::new(FaultKind::Source, "it cannot be assembled"));
        }
        let mut all = String::new();
        for (needed, read) in &request.needs {
            assert_eq!(read.index.output, *needed);
            all += &format!("needs {needed} of {} files\n", read.files.len());
        }
        for part in &request.parts {
            all += &std::fs::read_to_string(&part.files["part.txt"]).unwrap();
            all.push('\n');
        }
        self.0.joins.fetch_add(1, Ordering::Relaxed);
        let path = request.run.scratch.join("final");
        std::fs::write(&path, &all).unwrap();
        let file = AssembledFile {
            name: if output == "video" { "final.txt".into() } else { format!("{output}.txt") },
            path,
            kind: FileKind::Media,
            media_type: "text/plain".into(),
            bytes: all.len() as u64,
            sha256: String::new(),
            made: "joined".into(),
        };
        Ok(Assembled { files: vec![file], ..Assembled::default() })
    }
}
