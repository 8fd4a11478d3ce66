//! The suite of the ledger.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::{
    Completion, Failure, FaultKind, JobId, JobRecord, PlanHash, SealedPlan, TaskId, TaskKind,
};

use super::{Capabilities, Subject, holder, run_clauses};
use crate::ledger::{Acquired, JobChange, Lease, LeaseName, Ledger, NewJob, Recorded};

pub mod changes;
pub mod completions;
pub mod jobs;
pub mod leases;

type Port = Arc<dyn Ledger>;

/// Runs every clause.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<dyn Ledger>>,
{
    run_clauses!(factory, &caps;
        jobs::a_job_is_created_once,
        jobs::what_is_not_there_is_said_so,
        jobs::jobs_come_in_pages,
        jobs::jobs_are_filtered,
        jobs::a_deleted_job_leaves_nothing_but_its_terms,
        jobs::a_late_deletion_leaves_what_it_did_not_read,
        changes::each_state_allows_what_it_allows,
        changes::a_join_waits_for_every_task,
        changes::one_of_many_changes_takes_effect,
        changes::a_change_is_fenced_by_the_term,
        changes::a_retry_forgets_failures_and_keeps_completions,
        completions::one_of_many_recorders_is_counted,
        completions::many_tasks_are_counted_once_each,
        completions::a_stale_lease_writes_nothing,
        completions::a_lease_that_ran_out_still_records,
        completions::a_stale_lease_learns_of_a_completion,
        completions::a_completion_may_come_before_the_seal,
        completions::a_lease_of_something_else_is_misuse,
        completions::the_first_of_a_task_and_its_spares_is_counted,
        completions::completions_come_in_pages,
        completions::a_completion_comes_back_as_it_was,
        completions::failures_are_counted_one_by_one,
        leases::one_of_many_gets_it,
        leases::a_holder_does_not_get_it_twice,
        leases::the_term_grows_for_ever,
        leases::a_renewed_lease_is_kept,
        leases::a_lost_lease_is_not_renewed,
        leases::a_lease_that_ran_out_is_renewed,
        leases::a_stale_release_does_nothing,
        leases::busy_says_for_how_long,
        leases::names_are_apart,
    );
}

fn new_job(id: &JobId) -> NewJob {
    NewJob { id: id.clone(), source_key: format!("input/{id}/source.mp4"), recipe: "{}".to_owned() }
}

async fn create(ledger: &Port, id: &JobId) {
    assert!(ledger.create_job(new_job(id)).await.unwrap().created, "{id} was there before");
}

async fn read(ledger: &Port, id: &JobId) -> JobRecord {
    ledger.job(id).await.unwrap().expect("the job")
}

fn plan_of(tasks: u64) -> SealedPlan {
    SealedPlan { hash: PlanHash(format!("hash-{tasks}")), key: "segments/j/plan.json".into(), tasks }
}

fn failure() -> Failure {
    Failure {
        kind: FaultKind::Source,
        cause: "no index".into(),
        task: Some(task(3)),
        stderr_tail: vec!["moov atom not found".into()],
    }
}

fn task(index: u32) -> TaskId {
    TaskId::of(TaskKind::Carry, index)
}

async fn held(ledger: &Port, name: &LeaseName, by: &str, ttl: Duration) -> Lease {
    match ledger.acquire(name, &holder(by), ttl).await.unwrap() {
        Acquired::Held(lease) => lease,
        Acquired::Busy(left) => panic!("{} is busy for {left:?}", name.as_str()),
    }
}

fn completion(job: &JobId, lease: &Lease, task: TaskId, facts: u64) -> Completion {
    Completion { job: job.clone(), task, term: lease.term, files: Vec::new(), facts: facts.into() }
}

/// Does a task as a worker would.
async fn finish(ledger: &Port, job: &JobId, task: TaskId) {
    let lease = held(ledger, &LeaseName::task(job, &task), "finisher", Duration::from_secs(60)).await;
    let done = completion(job, &lease, task, 0);
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    ledger.release(&lease).await.unwrap();
}

async fn counted(ledger: &Port, job: &JobId) -> u64 {
    ledger.job(job).await.unwrap().expect("the job").completed_tasks
}

async fn must_change(ledger: &Port, job: &JobId, change: JobChange) {
    let after = ledger.change(job, change.clone(), None).await.unwrap();
    assert!(after.is_some(), "{change:?} was refused");
}
