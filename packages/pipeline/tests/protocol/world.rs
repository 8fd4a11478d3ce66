//! A test world that runs roles, and the invariants that hold afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::{HolderId, JobId, JobRecord, JobState, Key, Manifest, OutputId, OutputRef, Recipe};
use segue_pipeline::ingester::Intake;
use segue_pipeline::{Deps, RoleConfig, assembler, new_job, planner, submit, sweeper, worker};
use segue_ports::{
    ArrivalNotice, CompletionLedger, JobLedger, Lane, Ledger, MapEngine, MediaStore, NoReport, PutOptions,
    ReadArrivals, WorkQueue,
};
use segue_ports_testkit::memory::{MemoryLedger, MemoryQueue, MemoryStore, TokioClock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::engines::{Script, Scripted};

pub struct World {
    pub ledger: Arc<MemoryLedger>,
    pub queue: Arc<MemoryQueue>,
    pub store: Arc<MemoryStore>,
    pub script: Arc<Script>,
    pub scratch: tempfile::TempDir,
    pub job: JobId,
    pub recipe: Recipe,
}

impl World {
    pub fn new(script: Script) -> World {
        World::with_recipe(script, Recipe::built_in("rejoin").unwrap())
    }

    pub fn with_recipe(script: Script, recipe: Recipe) -> World {
        World {
            recipe,
            ledger: Arc::new(MemoryLedger::new()),
            queue: Arc::new(MemoryQueue::new()),
            store: Arc::new(MemoryStore::new()),
            script: Arc::new(script),
            scratch: tempfile::tempdir().unwrap(),
            job: "job-1".parse().unwrap(),
        }
    }

    pub fn deps(&self) -> Deps {
        self.deps_with(Arc::clone(&self.ledger) as _, Arc::clone(&self.queue) as _)
    }

    pub fn deps_with(&self, ledger: Arc<dyn Ledger>, queue: Arc<dyn WorkQueue>) -> Deps {
        Deps {
            ledger,
            queue,
            store: Arc::clone(&self.store) as _,
            documents: Arc::clone(&self.store) as _,
            reporter: Arc::new(NoReport),
            gpu_tasks: Arc::new([]),
        }
    }

    pub fn config(&self, holder: &str) -> RoleConfig {
        let holder: HolderId = holder.parse().unwrap();
        RoleConfig::new(holder, self.scratch.path().to_owned())
    }

    pub async fn submit(&self) -> JobRecord {
        let key = Key::source(&self.job, "mp4");
        self.store.put_bytes(&key, Bytes::from_static(b"source"), &PutOptions::default()).await.unwrap();
        submit(&self.deps(), new_job(&self.job, key.to_string(), &self.recipe)).await.unwrap()
    }

    /// An output in the current epoch of the job.
    pub async fn output(&self, name: &str) -> OutputRef {
        self.record().await.output_ref(&name.parse().unwrap())
    }

    pub fn start_planner(&self, deps: Deps, holder: &str) -> Running {
        let (config, engine) = (self.config(holder), Scripted(Arc::clone(&self.script)));
        Running::start(|stop| planner::run(deps, Arc::new(engine), config, stop))
    }

    /// A planner that also creates jobs for sources: `arrived KEY` is a notice, `odd` one that is to be
    /// dead-lettered, `newer` one of a newer version.
    pub fn start_intake(&self, deps: Deps, holder: &str) -> Running {
        let (config, engine) = (self.config(holder), Scripted(Arc::clone(&self.script)));
        let intake = Intake { reader: Arc::new(Words), recipe: self.recipe.clone() };
        Running::start(|stop| planner::run_with_intake(deps, Arc::new(engine), intake, config, stop))
    }

    pub fn start_worker(&self, deps: Deps, holder: &str) -> Running {
        let engine: Arc<dyn MapEngine> = Arc::new(Scripted(Arc::clone(&self.script)));
        let config = self.config(holder);
        Running::start(|stop| worker::run(deps, vec![engine], config, stop))
    }

    pub fn start_assembler(&self, deps: Deps, holder: &str) -> Running {
        let (config, engine) = (self.config(holder), Scripted(Arc::clone(&self.script)));
        Running::start(|stop| assembler::run(deps, Arc::new(engine), config, stop))
    }

    pub fn start_sweeper(&self) -> Running {
        let (deps, config) = (self.deps(), self.config("sweeper"));
        Running::start(|stop| sweeper::run(deps, Arc::new(TokioClock::new()), config, stop))
    }

    /// One of each role, two workers.
    pub fn start_all(&self) -> Vec<Running> {
        vec![
            self.start_planner(self.deps(), "planner"),
            self.start_worker(self.deps(), "worker-a"),
            self.start_worker(self.deps(), "worker-b"),
            self.start_assembler(self.deps(), "assembler"),
            self.start_sweeper(),
        ]
    }

    pub async fn record(&self) -> JobRecord {
        self.ledger.job(&self.job).await.unwrap().unwrap()
    }

    /// Waits, for at most a day of the paused clock, until no output of the job is open.
    pub async fn ended(&self) -> JobRecord {
        for _ in 0..86_400 {
            let record = self.record().await;
            if !record.is_open_job() {
                return record;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("the job did not end: {:?}", self.record().await);
    }

    /// All invariants of a completed job, once no role is working.
    pub async fn check_published(&self, segments: u32) {
        let record = self.record().await;
        assert_eq!(record.state(), JobState::Completed, "{:?}", record.failure());
        assert!(record.completed_at_ms.is_some());
        for output in record.outputs.iter().filter(|output| output.asked.required) {
            self.check_output(output.id(), segments).await;
        }
    }

    /// Invariants of a published output.
    pub async fn check_output(&self, output: &OutputId, segments: u32) {
        let record = self.record().await;
        let found = record.output(output).unwrap();
        assert_eq!(found.state, segue_domain::OutputState::Completed, "{output}: {:?}", found.failure);
        let manifest = self.store.get_bytes(&Key::manifest(&self.job), 1 << 20).await.unwrap();
        let manifest = Manifest::decode(&manifest).unwrap();
        assert_eq!(manifest.epoch, record.epoch);
        let listed =
            manifest.outputs.get(output).unwrap_or_else(|| panic!("{output} is not in the manifest"));
        assert_eq!(listed.segments, segments);
        assert_eq!(listed.plan, found.plan.as_ref().unwrap().hash);
        assert_eq!(listed.index_hash, found.index.as_ref().unwrap().hash);
        let index = self.store.get_bytes(&Key::index(&self.job, output), 1 << 20).await.unwrap();
        assert_eq!(segue_domain::OutputIndex::hash_of(&index), listed.index_hash);
        if segments > 0 {
            let name = if output.as_str() == "video" { "final".to_owned() } else { output.to_string() };
            let key = Key::published(&self.job, &format!("{name}.txt")).unwrap();
            let text = self.store.get_bytes(&key, 1 << 20).await.unwrap().to_vec();
            let text = String::from_utf8(text).unwrap();
            let text: String = text
                .lines()
                .filter(|line| !line.starts_with("needs "))
                .fold(String::new(), |all, line| all + line.rsplit('/').next().unwrap() + "\n");
            let expected: String = (0..segments).map(|i| format!("digest-{i:05}\n")).collect();
            assert_eq!(text, expected, "every segment once, in order");
        }
        let name = record.output_ref(output);
        let counted = self.ledger.completed(&name).await.unwrap();
        assert_eq!(counted, u64::from(segments), "counted once each");
        let completions = self.ledger.completions(&name, None, 10_000).await.unwrap();
        assert_eq!(completions.len(), segments as usize);
    }

    /// What must not be left once no role is working.
    pub async fn check_nothing_left(&self) {
        for queue in Lane::ALL {
            let depth = self.queue.depth(queue).await.unwrap();
            assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 0, 0), "{queue} queue");
        }
        for prefix in [Key::work_prefix(&self.job), Key::segment_prefix(&self.job)] {
            let left = self.store.list(&prefix, None, 100).await.unwrap().objects;
            assert!(left.is_empty(), "{left:?}");
        }
        assert!(self.ledger.held_leases().is_empty(), "{:?}", self.ledger.held_leases());
        let scratch: Vec<_> = std::fs::read_dir(self.scratch.path()).unwrap().collect();
        assert!(scratch.is_empty(), "{scratch:?}");
    }
}

/// Notices in a plain-text format.
struct Words;

impl ReadArrivals for Words {
    fn read(&self, text: &str) -> ArrivalNotice {
        let mut words = text.split(' ');
        match words.next() {
            Some("arrived") => {
                let (keys, odd): (Vec<_>, Vec<_>) = words.map(str::parse::<Key>).partition(Result::is_ok);
                ArrivalNotice::Sources {
                    sources: keys.into_iter().flatten().collect(),
                    odd: odd.into_iter().filter_map(Result::err).map(|e| e.to_string()).collect(),
                }
            }
            Some("newer") => ArrivalNotice::Newer("of a newer version".into()),
            _ => ArrivalNotice::Unreadable(format!("no notice: {text}")),
        }
    }
}

/// A running role.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn start<F>(role: impl FnOnce(CancellationToken) -> F) -> Running
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(role(stop.clone())), stop }
    }

    /// Shuts it down and waits.
    pub async fn drain(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Aborts it, as a killed process ends.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub async fn drain(all: Vec<Running>) {
    for role in all {
        role.drain().await;
    }
}
