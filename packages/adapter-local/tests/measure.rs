//! Cost of the embedded ledger: jobs of three outputs through every state.

use std::time::{Duration, Instant};

use segue_adapter_local::LocalBackend;
use segue_domain::completion::COMPLETION_VERSION;
use segue_domain::{CommittedIndex, Completion, JobState, NewOutput, OutputId, PlanHash, SealedPlan, TaskId};
use segue_ports::{
    Acquired, CompletionLedger, JobChange, JobLedger, Lease, LeaseLedger, LeaseName, NewJob, OutputChange,
    Recorded,
};

const JOBS: usize = 100;
const OUTPUTS: [&str; 3] = ["transcript", "video", "study"];
const TASKS: u64 = 4;
const TTL: Duration = Duration::from_secs(600);

/// Number of calls, and their total time.
#[derive(Default)]
struct Cost {
    calls: u32,
    took: Duration,
}

impl Cost {
    async fn of<T>(&mut self, call: impl Future<Output = Result<T, segue_ports::PortError>>) -> T {
        let started = Instant::now();
        let result = call.await.unwrap();
        self.calls += 1;
        self.took += started.elapsed();
        result
    }
}

fn output(id: &str) -> NewOutput {
    NewOutput {
        id: id.parse().unwrap(),
        kind: id.into(),
        needs: vec![],
        required: id != "study",
        priority: 0,
        spec: "s".into(),
    }
}

fn plan() -> SealedPlan {
    SealedPlan { hash: PlanHash("hash".into()), key: "segments/j/plan.json".into(), tasks: TASKS }
}

async fn acquire(backend: &LocalBackend, cost: &mut Cost, name: &LeaseName) -> Lease {
    match cost.of(backend.ledger.acquire(name, backend.holder(), TTL)).await {
        Acquired::Held(lease) => lease,
        Acquired::Busy(left) => panic!("{} is busy for {left:?}", name.as_str()),
    }
}

/// The tasks of one output, its assembly and publication, as the roles do them.
async fn drive(backend: &LocalBackend, cost: &mut Cost, job: &segue_domain::JobRecord, id: &OutputId) {
    let (ledger, output) = (&backend.ledger, job.output_ref(id));
    for n in 0..TASKS {
        let task: TaskId = format!("digest-{n:05}").parse().unwrap();
        let lease = acquire(backend, cost, &LeaseName::task(&job.id, id, &task)).await;
        let done = Completion {
            version: COMPLETION_VERSION,
            output: output.clone(),
            task,
            term: lease.term,
            files: vec![],
            facts: 7.into(),
        };
        assert_eq!(cost.of(ledger.record(&done, &lease)).await, Recorded::Created);
        cost.of(ledger.completed(&output)).await;
        cost.of(ledger.release(&lease)).await;
    }
    let lease = acquire(backend, cost, &LeaseName::assemble(&job.id, id)).await;
    let index = CommittedIndex { key: "work/index.json".into(), hash: "af13".into() };
    for change in [OutputChange::Assemble, OutputChange::Commit(index), OutputChange::Complete] {
        let change = JobChange::output(id, change);
        assert!(cost.of(ledger.change(&job.id, change, Some(&lease))).await.is_some());
    }
    cost.of(ledger.release(&lease)).await;
}

#[tokio::test]
#[ignore = "a measurement: run it with --no-capture"]
async fn a_hundred_jobs_of_three_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::open(folder.path()).unwrap();
    let (ledger, mut cost) = (&backend.ledger, Cost::default());
    let mut reads = Cost::default();
    for n in 0..JOBS {
        let new = NewJob {
            id: format!("j{n}").parse().unwrap(),
            asset: "a".parse().unwrap(),
            source_key: "input/a/source.mp4".into(),
            recipe: "{}".into(),
            outputs: OUTPUTS.map(output).to_vec(),
            awaiting: None,
        };
        let job = cost.of(ledger.create_job(new)).await.job;
        let lease = acquire(&backend, &mut cost, &LeaseName::plan(&job.id)).await;
        let plans = job.outputs.iter().map(|output| (output.id().clone(), plan())).collect();
        assert!(cost.of(ledger.change(&job.id, JobChange::Seal(plans), Some(&lease))).await.is_some());
        cost.of(ledger.release(&lease)).await;
        for output in &job.outputs {
            drive(&backend, &mut cost, &job, output.id()).await;
        }
        let read = reads.of(ledger.job(&job.id)).await.expect("the job");
        assert_eq!(read.state(), JobState::Completed);
    }
    assert_eq!(reads.of(ledger.open_jobs(i64::MAX, None, 10)).await.jobs, []);
    for (what, Cost { calls, took }) in [("changes", cost), ("reads", reads)] {
        println!("{what}: {calls} calls in {took:?}, {:?} each", took / calls);
    }
}
