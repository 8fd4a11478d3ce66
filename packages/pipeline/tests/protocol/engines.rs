//! Scripted engines: they count, fail and wait as they are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::plan::PLAN_VERSION;
use segue_domain::{FaultKind, OutputKind, Plan, Segment, Task, TaskId, TaskKind, TickRange, Timebase};
use segue_ports::{
    EngineError, MapEngine, PlanRequest, Planned, Planner, ProducedFile, ReduceRequest, Reduced, ReducedFile,
    Reducer, TaskRequest, TaskResult,
};

/// What the scripted engines share.
#[derive(Default)]
pub struct Script {
    /// Segments that the planner makes.
    pub segments: u32,
    /// How long each task takes.
    pub task_takes: Duration,
    /// How long a join takes.
    pub join_takes: Duration,
    /// Attempts of a task that fail and may be tried again.
    pub failing: Mutex<HashMap<String, u32>>,
    /// A task that cannot succeed.
    pub broken: Mutex<Option<String>>,
    /// How often each task ran to its end.
    pub finished: Mutex<BTreeMap<String, u32>>,
    /// Joins that ran to their end.
    pub joins: AtomicU32,
    /// Plans that were made.
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

#[async_trait]
impl Planner for Scripted {
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError> {
        self.0.plans.fetch_add(1, Ordering::Relaxed);
        let segments = (0..self.0.segments).map(|index| Segment {
            index,
            range: TickRange { start: i64::from(index), end: i64::from(index) + 1 },
            frames: 1,
            bytes: 1,
        });
        let tasks = (0..self.0.segments).map(|index| Task {
            id: TaskId::of(TaskKind::Carry, index),
            kind: TaskKind::Carry,
            segment: Some(index),
            work_ms: 10,
            attempts: None,
        });
        let plan = Plan {
            version: PLAN_VERSION,
            job: request.run.job,
            recipe: request.recipe,
            source_key: request.source_key,
            source_bytes: 1,
            timebase: Timebase { num: 1, den: 1 },
            segments: segments.collect(),
            tasks: tasks.collect(),
            files: BTreeMap::new(),
            tools: BTreeMap::new(),
            engine: serde_json::Value::Null,
        };
        let track = request.run.scratch.join("track");
        std::fs::write(&track, b"track").unwrap();
        Ok(Planned {
            plan,
            files: vec![ProducedFile { name: "track".into(), path: track }],
            warnings: vec![],
        })
    }
}

#[async_trait]
impl MapEngine for Scripted {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Carry]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let id = request.task.id.to_string();
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
impl Reducer for Scripted {
    async fn reduce(&self, request: ReduceRequest) -> Result<Reduced, EngineError> {
        self.work(self.0.join_takes, &request.run.cancel).await?;
        let mut all = String::new();
        for part in &request.parts {
            all += &std::fs::read_to_string(&part.files["part.txt"]).unwrap();
            all.push('\n');
        }
        self.0.joins.fetch_add(1, Ordering::Relaxed);
        let path = request.run.scratch.join("final");
        std::fs::write(&path, &all).unwrap();
        let file = ReducedFile {
            name: "final.txt".into(),
            path,
            kind: OutputKind::Media,
            media_type: "text/plain".into(),
            bytes: all.len() as u64,
            sha256: String::new(),
            made: "joined".into(),
        };
        Ok(Reduced { files: vec![file], ..Reduced::default() })
    }
}
