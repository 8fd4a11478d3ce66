//! The ledger where it is DynamoDB's: pages, sizes, and what a segment costs.

use std::time::Duration;

use crate::support::{Fault, over};
use futures::StreamExt;
use segue_adapter_aws::testing::{emulator, provision};
use segue_domain::{Completion, JobId, JobState, PlanHash, SealedPlan, TaskId, TaskKind};
use segue_ports::{
    Acquired, CompletionLedger, JobChange, JobFilter, JobLedger, Lease, LeaseLedger, LeaseName, Ledger,
    NewJob, PortErrorKind, Recorded,
};

const HOUR: Duration = Duration::from_secs(3600);

fn job(id: &str) -> NewJob {
    let id: JobId = id.parse().unwrap();
    NewJob { source_key: format!("input/{id}/source.mp4"), id, recipe: "{}".into() }
}

fn task(n: u32) -> TaskId {
    TaskId::of(TaskKind::Carry, n)
}

async fn hold(ledger: &impl Ledger, name: &LeaseName) -> Lease {
    match ledger.acquire(name, &"a".parse().unwrap(), HOUR).await.unwrap() {
        Acquired::Held(lease) => lease,
        Acquired::Busy(left) => panic!("{} is busy for {left:?}", name.as_str()),
    }
}

async fn finish(ledger: &impl Ledger, id: &JobId, n: u32, facts: &str) {
    let lease = hold(ledger, &LeaseName::task(id, &task(n))).await;
    let done =
        Completion { job: id.clone(), task: task(n), term: lease.term, files: vec![], facts: facts.into() };
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    ledger.release(&lease).await.unwrap();
}

/// DynamoDB ends a page at 1 MB, whatever is asked for.
#[tokio::test]
async fn completions_of_more_than_one_page_are_all_found() {
    let ledger = provision(emulator().endpoint()).await.connect().await.ledger;
    let id: JobId = "j".parse().unwrap();
    ledger.create_job(job("j")).await.unwrap();
    let facts = "x".repeat(60_000);
    for n in 0..45 {
        finish(&*ledger, &id, n, &facts).await;
    }
    let found = ledger.completions(&id, None, 1000).await.unwrap();
    assert_eq!(
        found.iter().map(|c| c.task.clone()).collect::<Vec<_>>(),
        (0..45).map(task).collect::<Vec<_>>()
    );
    assert_eq!(ledger.completions(&id, Some(&task(40)), 1000).await.unwrap().len(), 4);

    // and all of them go, with the leases
    let kept = hold(&*ledger, &LeaseName::task(&id, &task(99))).await;
    let read = ledger.job(&id).await.unwrap().unwrap();
    assert!(ledger.delete_job(&read).await.unwrap());
    ledger.create_job(job("j")).await.unwrap();
    assert_eq!(ledger.completions(&id, None, 1000).await.unwrap(), []);
    assert!(!ledger.renew(&kept, HOUR).await.unwrap());
}

/// More jobs than one batch of rows holds.
#[tokio::test]
async fn jobs_of_more_than_one_batch_are_all_listed() {
    let ledger = provision(emulator().endpoint()).await.connect().await.ledger;
    for n in 0..230 {
        ledger.create_job(job(&format!("j{n}"))).await.unwrap();
    }
    let cancelled: JobId = "j7".parse().unwrap();
    ledger.change(&cancelled, JobChange::Cancel, None).await.unwrap().expect("it is cancelled");
    let filter = JobFilter { state: Some(JobState::Created), ..JobFilter::default() };
    let one_page = ledger.jobs(filter.clone(), None, 1000).await.unwrap();
    assert_eq!((one_page.jobs.len(), one_page.next), (229, None));
    let page = ledger.jobs(filter.clone(), None, 150).await.unwrap();
    let next = page.next.expect("there is more");
    let rest = ledger.jobs(filter, Some(&next), 150).await.unwrap();
    assert_eq!((page.jobs.len(), rest.jobs.len(), rest.next), (150, 79, None));
    let foreign = ledger.jobs(JobFilter::default(), Some("not a page"), 10).await.unwrap_err();
    assert_eq!(foreign.kind, PortErrorKind::Misuse, "{foreign}");
}

/// The calls for a segment do not grow with their number, and no table is scanned.
#[tokio::test]
async fn a_segment_costs_the_same_whatever_their_number() {
    let (_, backend, line) = over(Box::new(|_, _| Fault::None)).await;
    let ledger = &*backend.ledger;
    let id: JobId = "j".parse().unwrap();
    ledger.create_job(job("j")).await.unwrap();
    let plan = SealedPlan { hash: PlanHash("h".into()), key: "segments/j/1/plan.json".into(), tasks: 60 };
    ledger.change(&id, JobChange::Seal(plan), None).await.unwrap().expect("it is sealed");
    let mut costs = Vec::new();
    for n in 0..60 {
        let before = line.count();
        finish(ledger, &id, n, "").await;
        costs.push(line.count() - before);
    }
    // acquire, read the row, the transaction, release
    assert!(costs.iter().all(|cost| *cost == 4), "calls for each segment: {costs:?}");
    assert!(ledger.change(&id, JobChange::Reassemble, None).await.unwrap().is_some(), "all are in");
    assert!(!line.seen().contains_key("Scan"), "a table was scanned");
}

/// Ten thousand tasks of one job, recorded by sixteen workers at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes some minutes; run it by hand"]
async fn ten_thousand_segments_are_counted() {
    const TASKS: u32 = 10_000;
    let ledger = provision(emulator().endpoint()).await.connect().await.ledger;
    let id: JobId = "j".parse().unwrap();
    ledger.create_job(job("j")).await.unwrap();
    let plan =
        SealedPlan { hash: PlanHash("h".into()), key: "segments/j/1/plan.json".into(), tasks: TASKS.into() };
    ledger.change(&id, JobChange::Seal(plan), None).await.unwrap().expect("it is sealed");
    futures::stream::iter(0..TASKS).for_each_concurrent(16, |n| finish(&*ledger, &id, n, "")).await;
    assert_eq!(ledger.job(&id).await.unwrap().unwrap().completed_tasks, u64::from(TASKS));
    assert!(ledger.change(&id, JobChange::Reassemble, None).await.unwrap().is_some(), "all are in");
    let found = ledger.completions(&id, None, usize::MAX).await.unwrap();
    assert!(found.into_iter().map(|done| done.task).eq((0..TASKS).map(task)), "one is missing");
    let read = ledger.job(&id).await.unwrap().unwrap();
    assert!(ledger.delete_job(&read).await.unwrap());
    assert_eq!(ledger.job(&id).await.unwrap(), None);
}

#[tokio::test]
async fn what_an_item_cannot_hold_is_refused_by_name() {
    let ledger = provision(emulator().endpoint()).await.connect().await.ledger;
    let mut large = job("large");
    large.recipe = "x".repeat(500_000);
    let refused = ledger.create_job(large).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Misuse, "{refused}");

    let id: JobId = "j".parse().unwrap();
    ledger.create_job(job("j")).await.unwrap();
    let lease = hold(&*ledger, &LeaseName::task(&id, &task(0))).await;
    let facts = "x".repeat(500_000).into();
    let done = Completion { job: id.clone(), task: task(0), term: lease.term, files: vec![], facts };
    let refused = ledger.record(&done, &lease).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Misuse, "{refused}");
    assert!(refused.message.contains("carry-00000"), "{refused}");
}

/// What goes wrong with a deployment is said in words that help.
#[tokio::test]
async fn a_table_that_is_not_there_is_named() {
    let mut deployment = provision(emulator().endpoint()).await;
    deployment.settings.tables.jobs = "nowhere".to_owned();
    let ledger = deployment.connect().await.ledger;
    let missing = ledger.job(&"j".parse().unwrap()).await.unwrap_err();
    assert_eq!(missing.kind, PortErrorKind::Environment, "{missing}");
    assert!(missing.message.contains("nowhere"), "{missing}");
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_tried_again_later() {
    let mut deployment = provision(emulator().endpoint()).await;
    deployment.settings.endpoint_url = Some("http://127.0.0.1:9".to_owned());
    let ledger = deployment.connect().await.ledger;
    let nobody = ledger.job(&"j".parse().unwrap()).await.unwrap_err();
    assert!(nobody.is_retryable(), "{nobody}");
}
