//! Conformance suite of the ledger.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::completion::COMPLETION_VERSION;
use segue_domain::{
    CommittedIndex, Completion, Failure, FaultKind, Gate, JobId, JobRecord, Need, NewOutput, OutputId,
    OutputRef, OutputState, PlanHash, SealedPlan, TaskId, TaskKind,
};

use super::{Capabilities, Subject, holder, run_clauses};
use segue_ports::ledger::{Acquired, JobChange, Lease, LeaseName, Ledger, NewJob, OutputChange, Recorded};

pub mod changes;
pub mod completions;
pub mod deletion;
pub mod job_changes;
pub mod jobs;
pub mod leases;
pub mod needs;
pub mod outbox;

type Port = Arc<dyn Ledger>;

/// Runs every clause, on a ledger that records the notices of its changes.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<dyn Ledger>>,
{
    run_clauses!(factory, &caps;
        jobs::a_job_is_created_once,
        jobs::a_job_is_stored_as_it_was_created,
        jobs::outputs_that_cannot_stand_together_are_refused,
        jobs::a_document_that_could_outgrow_its_row_is_refused,
        jobs::an_unknown_job_reads_as_absent,
        jobs::jobs_are_listed_in_pages,
        jobs::jobs_are_filtered_by_state_and_time,
        jobs::open_jobs_are_exactly_the_open_jobs,
        completions::one_of_many_recorders_is_counted,
        completions::many_tasks_are_counted_once_each,
        completions::a_completion_does_not_change_the_job,
        completions::outputs_are_counted_apart,
        completions::an_unknown_output_or_an_earlier_life_is_stale,
        completions::a_stale_lease_writes_nothing,
        completions::an_expired_lease_still_records,
        completions::a_stale_lease_is_told_of_a_completion,
        completions::a_completion_may_precede_the_seal,
        completions::a_lease_of_something_else_is_misuse,
        completions::the_first_of_a_task_and_its_spares_is_counted,
        completions::completions_are_listed_in_pages,
        completions::a_completion_is_stored_as_it_was_recorded,
        completions::failures_are_counted_one_by_one,
        deletion::a_deletion_refuses_every_other_change,
        deletion::a_deletion_ends_the_leases_of_its_job,
        deletion::a_deleted_job_leaves_only_its_terms,
        deletion::a_late_deletion_does_not_touch_the_next_job,
        deletion::a_deleted_job_leaves_a_tombstone,
        changes::each_output_state_allows_its_changes,
        changes::assembly_waits_for_every_task,
        changes::a_plan_without_tasks_is_assembled_at_once,
        changes::a_seal_of_several_outputs_is_one_change,
        changes::one_of_many_seals_takes_effect,
        changes::concurrent_changes_of_two_outputs_all_take_effect,
        changes::a_change_is_fenced_by_the_term,
        changes::a_retry_resets_failures_and_keeps_completions,
        needs::needs_hold_up_plan_and_assembly,
        needs::the_state_of_a_job_follows_its_required_outputs,
        needs::the_time_of_completion_is_set_once,
        job_changes::outputs_are_added,
        job_changes::a_conflicting_addition_is_refused_as_a_whole,
        job_changes::outputs_that_are_added_after_the_end_are_optional,
        job_changes::one_of_many_additions_takes_effect,
        job_changes::a_cancel_leaves_what_is_published,
        job_changes::an_awaited_upload_is_confirmed_once,
        job_changes::an_upload_that_is_not_confirmed_expires,
        leases::one_of_many_acquires,
        leases::a_holder_does_not_acquire_twice,
        leases::the_term_grows_for_ever,
        leases::a_renewed_lease_is_held,
        leases::a_lost_lease_is_not_renewed,
        leases::an_expired_lease_is_renewed,
        leases::a_stale_release_does_nothing,
        leases::busy_reports_the_time_that_is_left,
        leases::lease_names_do_not_mix,
        leases::the_leased_tasks_of_an_output_are_listed,
        outbox::the_notices_of_a_change_are_durable_with_it,
        outbox::a_refused_change_leaves_no_notice,
        outbox::a_removed_notice_does_not_return,
    );
}

/// The output that most clauses change.
fn video() -> OutputId {
    output("video")
}

/// A second output.
fn transcript() -> OutputId {
    output("transcript")
}

fn output(name: &str) -> OutputId {
    name.parse().expect("a plain id")
}

fn asked(name: &str) -> NewOutput {
    NewOutput {
        id: output(name),
        kind: "video".to_owned(),
        needs: Vec::new(),
        required: true,
        priority: 0,
        spec: format!("hash of {name}"),
    }
}

fn optional(name: &str) -> NewOutput {
    NewOutput { required: false, ..asked(name) }
}

fn needing(asked: NewOutput, needed: &str, gate: Gate) -> NewOutput {
    NewOutput { needs: vec![Need { output: output(needed), gate }], ..asked }
}

/// A job of two required outputs.
fn new_job(id: &JobId) -> NewJob {
    new_job_of(id, vec![asked("video"), asked("transcript")])
}

fn new_job_of(id: &JobId, outputs: Vec<NewOutput>) -> NewJob {
    NewJob {
        id: id.clone(),
        asset: format!("asset-of-{id}").parse().expect("a plain id"),
        source_key: format!("input/{id}/source.mp4"),
        recipe: "{}".to_owned(),
        outputs,
        awaiting: None,
    }
}

async fn create(ledger: &Port, id: &JobId) -> JobRecord {
    create_of(ledger, id, vec![asked("video"), asked("transcript")]).await
}

async fn create_of(ledger: &Port, id: &JobId, outputs: Vec<NewOutput>) -> JobRecord {
    let created = ledger.create_job(new_job_of(id, outputs)).await.unwrap();
    assert!(created.created, "{id} was there before");
    created.job
}

async fn read(ledger: &Port, id: &JobId) -> JobRecord {
    ledger.job(id).await.unwrap().expect("the job")
}

/// State of one output.
async fn state_of(ledger: &Port, job: &JobId, output: &OutputId) -> OutputState {
    read(ledger, job).await.output(output).expect("the output").state
}

fn plan_of(tasks: u64) -> SealedPlan {
    SealedPlan { hash: PlanHash(format!("hash-{tasks}")), key: "segments/j/plan.json".into(), tasks }
}

fn seal(output: &OutputId, tasks: u64) -> JobChange {
    JobChange::Seal(vec![(output.clone(), plan_of(tasks))])
}

fn index() -> CommittedIndex {
    CommittedIndex { key: "work/j/video/assemble/1/index.json".into(), hash: "af13".into() }
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
    TaskId::of(TaskKind::Digest, index)
}

async fn held(ledger: &Port, name: &LeaseName, by: &str, ttl: Duration) -> Lease {
    match ledger.acquire(name, &holder(by), ttl).await.unwrap() {
        Acquired::Held(lease) => lease,
        Acquired::Busy(left) => panic!("{} is busy for {left:?}", name.as_str()),
    }
}

/// The lease of a task.
async fn held_task(ledger: &Port, output: &OutputRef, task: &TaskId, by: &str, ttl: Duration) -> Lease {
    held(ledger, &LeaseName::task(&output.job, &output.output, task), by, ttl).await
}

fn completion(output: &OutputRef, lease: &Lease, task: TaskId, facts: u64) -> Completion {
    Completion {
        version: COMPLETION_VERSION,
        output: output.clone(),
        task,
        term: lease.term,
        files: Vec::new(),
        facts: facts.into(),
    }
}

/// Completes a task as a worker would.
async fn finish(ledger: &Port, output: &OutputRef, task: TaskId) {
    let lease = held_task(ledger, output, &task, "finisher", Duration::from_secs(60)).await;
    let done = completion(output, &lease, task, 0);
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    ledger.release(&lease).await.unwrap();
}

async fn counted(ledger: &Port, output: &OutputRef) -> u64 {
    ledger.completed(output).await.unwrap()
}

async fn must_change(ledger: &Port, job: &JobId, change: JobChange) -> JobRecord {
    let after = ledger.change(job, change.clone(), None).await.unwrap();
    after.unwrap_or_else(|| panic!("{change:?} was refused"))
}

/// Begins the deletion of the job as it is now.
async fn begin_deletion(ledger: &Port, job: &JobId) -> JobRecord {
    let read = read(ledger, job).await;
    must_change(ledger, job, JobChange::delete(&read)).await
}

async fn is_refused(ledger: &Port, job: &JobId, change: JobChange, why: &str) {
    let before = read(ledger, job).await;
    let after = ledger.change(job, change.clone(), None).await.unwrap();
    assert_eq!(after, None, "{change:?} took effect: {why}");
    assert_eq!(read(ledger, job).await, before, "{change:?} was refused and changed the job");
}

/// Moves one output from `created` to `completed`, without tasks.
async fn complete(ledger: &Port, job: &JobId, output: &OutputId) {
    must_change(ledger, job, seal(output, 0)).await;
    for change in [OutputChange::Assemble, OutputChange::Commit(index()), OutputChange::Complete] {
        must_change(ledger, job, JobChange::output(output, change)).await;
    }
}
