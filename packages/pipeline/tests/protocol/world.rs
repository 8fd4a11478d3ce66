//! A world to run roles in, and the invariants that hold in it afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::{HolderId, JobId, JobRecord, JobState, Key, Manifest, Recipe};
use segue_pipeline::ingest::Intake;
use segue_pipeline::{Deps, RoleConfig, chunker, reassembler, submit, sweeper, worker};
use segue_ports::memory::{MemoryLedger, MemoryQueue, MemoryStore, TokioClock};
use segue_ports::{
    ArrivalNotice, CompletionLedger, JobLedger, Ledger, MapEngine, MediaStore, NewJob, NoReport, PutOptions,
    QueueName, ReadArrivals, WorkQueue,
};
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
}

impl World {
    pub fn new(script: Script) -> World {
        World {
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
        Deps { ledger, queue, store: Arc::clone(&self.store) as _, reporter: Arc::new(NoReport) }
    }

    pub fn config(&self, holder: &str) -> RoleConfig {
        let holder: HolderId = holder.parse().unwrap();
        RoleConfig::new(holder, self.scratch.path().to_owned())
    }

    pub async fn submit(&self) -> JobRecord {
        let key = Key::source(&self.job, "mp4");
        self.store.put_bytes(&key, Bytes::from_static(b"source"), &PutOptions::default()).await.unwrap();
        let recipe = serde_json::to_string(&Recipe::built_in("rejoin").unwrap()).unwrap();
        let job = NewJob { id: self.job.clone(), source_key: key.to_string(), recipe };
        submit(&self.deps(), job).await.unwrap()
    }

    pub fn start_chunker(&self, deps: Deps, holder: &str) -> Running {
        let (config, engine) = (self.config(holder), Scripted(Arc::clone(&self.script)));
        Running::start(|stop| chunker::run(deps, Arc::new(engine), config, stop))
    }

    /// A chunker that also takes in sources: `arrived KEY` is a notice, `odd` one that is for a
    /// person, `newer` one of a newer version.
    pub fn start_intake(&self, deps: Deps, holder: &str) -> Running {
        let (config, engine) = (self.config(holder), Scripted(Arc::clone(&self.script)));
        let recipe = serde_json::to_string(&Recipe::built_in("rejoin").unwrap()).unwrap();
        let intake = Intake { reader: Arc::new(Words), recipe };
        Running::start(|stop| chunker::run_with_intake(deps, Arc::new(engine), intake, config, stop))
    }

    pub fn start_worker(&self, deps: Deps, holder: &str) -> Running {
        let engine: Arc<dyn MapEngine> = Arc::new(Scripted(Arc::clone(&self.script)));
        let config = self.config(holder);
        Running::start(|stop| worker::run(deps, vec![engine], config, stop))
    }

    pub fn start_reassembler(&self, deps: Deps, holder: &str) -> Running {
        let (config, engine) = (self.config(holder), Scripted(Arc::clone(&self.script)));
        Running::start(|stop| reassembler::run(deps, Arc::new(engine), config, stop))
    }

    pub fn start_sweeper(&self) -> Running {
        let (deps, config) = (self.deps(), self.config("sweeper"));
        Running::start(|stop| sweeper::run(deps, Arc::new(TokioClock::new()), config, stop))
    }

    /// One of each role, two workers.
    pub fn start_all(&self) -> Vec<Running> {
        vec![
            self.start_chunker(self.deps(), "chunker"),
            self.start_worker(self.deps(), "worker-a"),
            self.start_worker(self.deps(), "worker-b"),
            self.start_reassembler(self.deps(), "reassembler"),
            self.start_sweeper(),
        ]
    }

    pub async fn record(&self) -> JobRecord {
        self.ledger.job(&self.job).await.unwrap().unwrap()
    }

    /// Waits, for at most a day of the paused clock, until the job has ended.
    pub async fn ended(&self) -> JobRecord {
        for _ in 0..86_400 {
            let record = self.record().await;
            if record.state.is_terminal() {
                return record;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("the job did not end: {:?}", self.record().await);
    }

    /// Everything that is true of a published job once all is quiet.
    pub async fn check_published(&self, segments: u32) {
        let record = self.record().await;
        assert_eq!(record.state, JobState::Completed, "{:?}", record.failure);
        let key = Key::published(&self.job, "manifest.json").unwrap();
        let manifest = Manifest::decode(&self.store.get_bytes(&key, 1 << 20).await.unwrap()).unwrap();
        assert_eq!(manifest.segments, segments);
        assert_eq!(manifest.plan, record.plan.as_ref().unwrap().hash);
        let key = Key::published(&self.job, "final.txt").unwrap();
        let text = String::from_utf8(self.store.get_bytes(&key, 1 << 20).await.unwrap().to_vec()).unwrap();
        let expected: String = (0..segments).map(|i| format!("carry-{i:05}\n")).collect();
        assert_eq!(text, expected, "every segment once, in order");
        let published = self.store.head(&key).await.unwrap().unwrap();
        let output = manifest.outputs.iter().find(|output| output.name == "final.txt").unwrap();
        assert_eq!(published.media_type.as_ref(), Some(&output.media_type), "as the reducer said");
        assert_eq!(record.completed_tasks, u64::from(segments), "counted once each");
        let completions = self.ledger.completions(&self.job, None, 10_000).await.unwrap();
        assert_eq!(completions.len(), segments as usize);
    }

    /// What must not be left once all is quiet.
    pub async fn check_nothing_left(&self) {
        for queue in QueueName::ALL {
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

/// Notices in plain words.
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

/// A role that runs.
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

    /// Asks it to stop and waits.
    pub async fn drain(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it where it is, as a lost process ends.
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
