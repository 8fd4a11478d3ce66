//! Cases specific to the ledger in DynamoDB: pages, sizes, attributes for other programs, and the cost of
//! a segment.

use std::time::Duration;

use crate::support::{Fault, acquire, acquire_task, completion, job, over, sealed, task, video};
use aws_sdk_dynamodb::types::AttributeValue;
use futures::StreamExt;
use segue_adapter_aws::testing::{Provisioned, emulator, provision};
use segue_domain::{JobState, OutputRef};
use segue_ports::{
    CompletionLedger, JobChange, JobFilter, JobLedger, LeaseLedger, LeaseName, Ledger, OutputChange,
    PortErrorKind, Recorded,
};

const HOUR: Duration = Duration::from_secs(3600);

async fn finish(ledger: &impl Ledger, output: &OutputRef, n: u32, facts: &str) {
    let lease = acquire_task(ledger, output, n).await;
    let done = completion(output, n, &lease, facts);
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    ledger.release(&lease).await.unwrap();
}

/// Total number of items in the completions table.
async fn items(deployment: &Provisioned) -> usize {
    let client = aws_sdk_dynamodb::Client::new(&deployment.sdk().await);
    let all = client.scan().table_name(&deployment.settings.tables.completions).into_paginator().items();
    all.send().try_collect().await.unwrap().len()
}

/// DynamoDB ends a page at 1 MB, whatever limit is given.
#[tokio::test]
async fn completions_of_more_than_one_page_are_all_found() {
    let deployment = provision(emulator().endpoint()).await;
    let ledger = deployment.connect().await.ledger;
    let job = sealed(&*ledger, "j", 45).await;
    let output = job.output_ref(&video());
    let facts = "x".repeat(60_000);
    for n in 0..45 {
        finish(&*ledger, &output, n, &facts).await;
    }
    let found = ledger.completions(&output, None, 1000).await.unwrap();
    assert_eq!(
        found.iter().map(|c| c.task.clone()).collect::<Vec<_>>(),
        (0..45).map(task).collect::<Vec<_>>()
    );
    assert_eq!(ledger.completions(&output, Some(&task(40)), 1000).await.unwrap().len(), 4);

    // all of them are deleted, with counters and counts of failures, and the leases end
    ledger.count_failure(&output, &task(7)).await.unwrap();
    let lease = acquire_task(&*ledger, &output, 99).await;
    assert!(!ledger.delete_job(&job).await.unwrap(), "it is not being deleted");
    ledger.change(&job.id, JobChange::delete(&job), None).await.unwrap().expect("its deletion begins");
    assert!(!ledger.renew(&lease, HOUR).await.unwrap(), "a lease outlives its job");
    assert!(ledger.delete_job(&job).await.unwrap());
    assert_eq!(items(&deployment).await, 0, "something is left of a deleted job");
}

/// A worker that held the message of a deleted job leaves no completion that nothing would delete.
#[tokio::test]
async fn nothing_is_recorded_for_a_life_of_a_job_that_is_over() {
    let deployment = provision(emulator().endpoint()).await;
    let ledger = deployment.connect().await.ledger;
    let old = sealed(&*ledger, "j", 2).await;
    let output = old.output_ref(&video());
    ledger.change(&old.id, JobChange::delete(&old), None).await.unwrap().expect("its deletion begins");
    assert!(ledger.delete_job(&old).await.unwrap());
    let new = sealed(&*ledger, "j", 2).await;
    let before = items(&deployment).await;
    let lease = acquire_task(&*ledger, &output, 0).await;
    let late = completion(&output, 0, &lease, "");
    assert_eq!(ledger.record(&late, &lease).await.unwrap(), Recorded::Stale);
    assert_eq!(items(&deployment).await, before);
    assert_eq!(ledger.completed(&new.output_ref(&video())).await.unwrap(), 0);
}

/// More jobs than one batch of rows holds.
#[tokio::test]
async fn jobs_of_more_than_one_batch_are_all_listed() {
    let ledger = provision(emulator().endpoint()).await.connect().await.ledger;
    for n in 0..230 {
        ledger.create_job(job(&format!("j{n}"))).await.unwrap();
    }
    ledger.change(&"j7".parse().unwrap(), JobChange::Cancel, None).await.unwrap().expect("it is cancelled");
    let filter = JobFilter { state: Some(JobState::Created), ..JobFilter::default() };
    let one_page = ledger.jobs(filter.clone(), None, 1000).await.unwrap();
    assert_eq!((one_page.jobs.len(), one_page.next), (229, None));
    let page = ledger.jobs(filter.clone(), None, 150).await.unwrap();
    let next = page.next.expect("there is more");
    let rest = ledger.jobs(filter, Some(&next), 150).await.unwrap();
    assert_eq!((page.jobs.len(), rest.jobs.len(), rest.next), (150, 79, None));
    let foreign = ledger.jobs(JobFilter::default(), Some("not a page"), 10).await.unwrap_err();
    assert_eq!(foreign.kind, PortErrorKind::Misuse, "{foreign}");

    // over all shards, each job once
    let (mut open, mut from) = (Vec::new(), None);
    loop {
        let page = ledger.open_jobs(i64::MAX, from.as_deref(), 50).await.unwrap();
        open.extend(page.jobs.into_iter().map(|job| job.id.to_string()));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    open.sort();
    open.dedup();
    assert_eq!(open.len(), 229);
    assert!(!open.contains(&"j7".to_owned()), "a cancelled job is not open");
}

/// One row that this build cannot read does not stop the sweep of the others.
#[tokio::test]
async fn a_row_of_a_newer_build_is_left_out_of_listings() {
    let deployment = provision(emulator().endpoint()).await;
    let ledger = deployment.connect().await.ledger;
    let newer = ledger.create_job(job("newer")).await.unwrap().job;
    ledger.create_job(job("known")).await.unwrap();
    let document = newer.encode().replacen("\"version\":1", "\"version\":2,\"new\":7", 1);
    let client = aws_sdk_dynamodb::Client::new(&deployment.sdk().await);
    let written = client
        .update_item()
        .table_name(&deployment.settings.tables.jobs)
        .key("job_id", AttributeValue::S("newer".into()))
        .update_expression("SET document = :document")
        .expression_attribute_values(":document", AttributeValue::S(document));
    written.send().await.unwrap();
    let refused = ledger.job(&newer.id).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Newer, "{refused}");
    let refused = ledger.change(&newer.id, JobChange::Cancel, None).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Newer, "{refused}");
    for page in [
        ledger.jobs(JobFilter::default(), None, 10).await.unwrap(),
        ledger.open_jobs(i64::MAX, None, 10).await.unwrap(),
    ] {
        assert_eq!(page.jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["known"]);
    }
}

/// The attribute values that programs of the older media worker expect.
#[tokio::test]
async fn other_programs_find_their_attributes_in_the_row() {
    let deployment = provision(emulator().endpoint()).await;
    let ledger = deployment.connect().await.ledger;
    let client = aws_sdk_dynamodb::Client::new(&deployment.sdk().await);
    let read = async |name: &str| {
        let got = client.get_item().table_name(&deployment.settings.tables.jobs);
        let got = got.key("job_id", AttributeValue::S("j".into())).consistent_read(true).send().await;
        got.unwrap().item.unwrap().get(name).map(|value| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
            other => panic!("{name} is {other:?}"),
        })
    };
    ledger.create_job(job("j")).await.unwrap();
    assert_eq!(read("status").await.as_deref(), Some("chunking_in_progress"));
    assert_eq!(read("total_segments").await, None);
    let id = "j".parse().unwrap();
    ledger.change(&id, crate::support::seal(24), None).await.unwrap().expect("it is sealed");
    assert_eq!(read("status").await.as_deref(), Some("chunking_complete"));
    assert_eq!(read("total_segments").await.as_deref(), Some("24"));
    ledger
        .change(&id, JobChange::delete(&ledger.job(&id).await.unwrap().unwrap()), None)
        .await
        .unwrap()
        .expect("its deletion begins");
    assert_eq!(read("status").await.as_deref(), Some("deleting"));
    assert_eq!(read("expires_at_s").await, None, "a row that expires cannot be told from a deleted one");
}

/// The calls for a segment do not grow with their number, and no table is scanned.
#[tokio::test]
async fn a_segment_costs_the_same_whatever_their_number() {
    let (_, backend, line) = over(Box::new(|_, _| Fault::None)).await;
    let ledger = &*backend.ledger;
    let job = sealed(ledger, "j", 60).await;
    let output = job.output_ref(&video());
    for n in 0..60 {
        let mut calls = line.count();
        let mut costs = Vec::new();
        let mut cost = || {
            let before = std::mem::replace(&mut calls, line.count());
            costs.push(calls - before);
        };
        // what a worker does with the message of a task
        ledger.job(&job.id).await.unwrap().expect("the job is there");
        cost();
        assert_eq!(ledger.completion(&output, &task(n)).await.unwrap(), None);
        cost();
        let lease = acquire_task(ledger, &output, n).await;
        cost();
        ledger.job(&job.id).await.unwrap().expect("the job is there");
        cost();
        let done = completion(&output, n, &lease, "");
        assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
        cost();
        assert_eq!(ledger.completed(&output).await.unwrap(), u64::from(n) + 1);
        cost();
        ledger.release(&lease).await.unwrap();
        cost();
        assert_eq!(costs, [1; 7], "calls for segment {n}");
    }
    let assemble = JobChange::output(&video(), OutputChange::Assemble);
    assert!(ledger.change(&job.id, assemble, None).await.unwrap().is_some(), "all are completed");
    assert!(!line.seen().contains_key("Scan"), "a table was scanned");
}

/// Ten thousand tasks of one output, recorded by sixteen workers at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes some minutes; run it by hand"]
async fn ten_thousand_segments_are_counted() {
    const TASKS: u32 = 10_000;
    let deployment = provision(emulator().endpoint()).await;
    let ledger = deployment.connect().await.ledger;
    let job = sealed(&*ledger, "j", TASKS.into()).await;
    let output = job.output_ref(&video());
    futures::stream::iter(0..TASKS).for_each_concurrent(16, |n| finish(&*ledger, &output, n, "")).await;
    assert_eq!(ledger.completed(&output).await.unwrap(), u64::from(TASKS));
    let assemble = JobChange::output(&video(), OutputChange::Assemble);
    assert!(ledger.change(&job.id, assemble, None).await.unwrap().is_some(), "all are completed");
    let found = ledger.completions(&output, None, usize::MAX).await.unwrap();
    assert!(found.into_iter().map(|done| done.task).eq((0..TASKS).map(task)), "one is missing");
    ledger.change(&job.id, JobChange::delete(&job), None).await.unwrap().expect("its deletion begins");
    assert!(ledger.delete_job(&job).await.unwrap());
    assert_eq!(ledger.job(&job.id).await.unwrap(), None);
    assert_eq!(items(&deployment).await, 0);
}

#[tokio::test]
async fn a_document_that_an_item_cannot_hold_is_refused_by_name() {
    let ledger = provision(emulator().endpoint()).await.connect().await.ledger;
    let mut large = job("large");
    large.recipe = "x".repeat(500_000);
    let refused = ledger.create_job(large).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Misuse, "{refused}");

    let output = sealed(&*ledger, "j", 1).await.output_ref(&video());
    let lease = acquire_task(&*ledger, &output, 0).await;
    let done = completion(&output, 0, &lease, &"x".repeat(500_000));
    let refused = ledger.record(&done, &lease).await.unwrap_err();
    assert_eq!(refused.kind, PortErrorKind::Misuse, "{refused}");
    assert!(refused.message.contains("digest-00000"), "{refused}");
}

/// A lease that was acquired for the sweeper does not end with a job.
#[tokio::test]
async fn the_deletion_of_a_job_ends_no_other_lease() {
    let ledger = provision(emulator().endpoint()).await.connect().await.ledger;
    let (one, other) = (sealed(&*ledger, "j", 1).await, sealed(&*ledger, "j2", 1).await);
    let sweep = acquire(&*ledger, &LeaseName::sweep()).await;
    let own = acquire(&*ledger, &LeaseName::plan(&one.id)).await;
    let another = acquire(&*ledger, &LeaseName::plan(&other.id)).await;
    ledger.change(&one.id, JobChange::delete(&one), None).await.unwrap().expect("its deletion begins");
    assert!(!ledger.renew(&own, HOUR).await.unwrap());
    assert!(ledger.renew(&sweep, HOUR).await.unwrap() && ledger.renew(&another, HOUR).await.unwrap());
}

/// The error names what is wrong with the deployment.
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
