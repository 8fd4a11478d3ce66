//! Changes of a job: additional outputs, cancellation, the upload of its source.

use std::sync::Arc;
use std::time::Duration;

use segue_domain::{Gate, JobId, JobRecord, JobState, NewOutput, OutputState};

use super::{
    Port, asked, complete, create, create_of, failure, index, is_refused, must_change, needing, new_job,
    optional, read, seal, transcript, video,
};
use crate::conformance::{Capabilities, all_at_once, fresh_job};
use segue_ports::ledger::{JobChange, OutputChange};

fn add(job: &JobRecord, outputs: Vec<NewOutput>) -> JobChange {
    JobChange::Add { outputs, recipe: "{\"added\":true}".to_owned(), revision: job.revision }
}

/// An existing output with the same specification is unchanged.
pub async fn outputs_are_added(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let before = must_change(&ledger, &id, seal(&video(), 3)).await;
    let more = vec![asked("video"), needing(optional("study"), "transcript", Gate::Plan), asked("stream")];
    let after = must_change(&ledger, &id, add(&before, more.clone())).await;
    assert_eq!(read(&ledger, &id).await, after);
    assert_eq!(after.outputs[..2], before.outputs[..], "outputs that were there were changed");
    let added: Vec<_> = after.outputs[2..].iter().map(|output| (&output.asked, output.state)).collect();
    assert_eq!(added, [(&more[1], OutputState::Created), (&more[2], OutputState::Created)]);
    assert_eq!(after.recipe, "{\"added\":true}");
    assert!(after.revision > before.revision);
    let again = must_change(&ledger, &id, add(&after, more)).await;
    assert_eq!(again.outputs, after.outputs, "a repeat added something");
}

/// Refused: another specification, an outdated revision, a need of a missing output.
pub async fn a_conflicting_addition_is_refused_as_a_whole(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    let first = create(&ledger, &id).await;
    let other = NewOutput { spec: "another".to_owned(), ..asked("video") };
    is_refused(&ledger, &id, add(&first, vec![asked("stream"), other]), "another specification").await;
    let lost = needing(asked("stream"), "no-such-output", Gate::Plan);
    is_refused(&ledger, &id, add(&first, vec![lost]), "it needs what is not there").await;
    let later = JobRecord { revision: first.revision + 1, ..first.clone() };
    is_refused(&ledger, &id, add(&later, vec![asked("stream")]), "a revision that was not yet").await;
    must_change(&ledger, &id, seal(&video(), 1)).await;
    is_refused(&ledger, &id, add(&first, vec![asked("stream")]), "an old revision").await;
}

/// A job that has ended stays ended.
pub async fn outputs_that_are_added_after_the_end_are_optional(ledger: Port, _caps: &Capabilities) {
    let (done, failed) = (fresh_job(), fresh_job());
    for id in [&done, &failed] {
        create_of(&ledger, id, vec![asked("video")]).await;
    }
    complete(&ledger, &done, &video()).await;
    must_change(&ledger, &failed, JobChange::output(&video(), OutputChange::Fail(failure()))).await;
    for (id, state) in [(&done, JobState::Completed), (&failed, JobState::Failed)] {
        let before = read(&ledger, id).await;
        let after = must_change(&ledger, id, add(&before, vec![asked("stream")])).await;
        assert_eq!(after.state(), state);
        let added = after.output(&super::output("stream")).expect("the output");
        assert!(!added.asked.required, "an output of a job that has ended is required");
        assert!(after.is_open_job(), "the added output is open");
    }
}

/// Of concurrent callers that read the same revision, one adds.
pub async fn one_of_many_additions_takes_effect(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    let read_before = create(&ledger, &id).await;
    let calls = (0..caps.callers).map(|n| {
        let (ledger, id) = (Arc::clone(&ledger), id.clone());
        let change = add(&read_before, vec![asked(&format!("added-{n}"))]);
        async move { ledger.change(&id, change, None).await.unwrap() }
    });
    let won: Vec<_> = all_at_once(calls).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "one of many adds");
    assert_eq!(read(&ledger, &id).await, won[0]);
}

/// Published outputs and those being published are not cancelled.
pub async fn a_cancel_leaves_what_is_published(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    let names = ["done", "publishing", "assembling", "mapping", "created", "failed"];
    create_of(&ledger, &id, names.iter().map(|name| asked(name)).collect()).await;
    complete(&ledger, &id, &super::output("done")).await;
    for name in &names[1..4] {
        must_change(&ledger, &id, seal(&super::output(name), 0)).await;
    }
    let to = |name: &str, change| JobChange::output(&super::output(name), change);
    must_change(&ledger, &id, to("publishing", OutputChange::Assemble)).await;
    must_change(&ledger, &id, to("publishing", OutputChange::Commit(index()))).await;
    must_change(&ledger, &id, to("assembling", OutputChange::Assemble)).await;
    must_change(&ledger, &id, to("failed", OutputChange::Fail(failure()))).await;

    let after = must_change(&ledger, &id, JobChange::Cancel).await;
    use OutputState::{Cancelled, Completed, Failed, Publishing};
    let states: Vec<OutputState> = after.outputs.iter().map(|output| output.state).collect();
    assert_eq!(states, [Completed, Publishing, Cancelled, Cancelled, Cancelled, Failed]);
    assert_eq!(read(&ledger, &id).await, after);
    is_refused(&ledger, &id, JobChange::Cancel, "nothing is left to cancel").await;
    must_change(&ledger, &id, to("publishing", OutputChange::Complete)).await;
}

async fn create_awaiting(ledger: &Port, awaiting: Duration) -> JobId {
    let id = fresh_job();
    let new = segue_ports::ledger::NewJob { awaiting: Some(awaiting), ..new_job(&id) };
    let job = ledger.create_job(new).await.unwrap().job;
    let awaited_ms = job.awaiting_until_ms.expect("a deadline") - job.created_at_ms;
    assert_eq!(u128::try_from(awaited_ms).ok(), Some(awaiting.as_millis()), "the deadline");
    assert_eq!(job.state(), JobState::Awaiting);
    id
}

/// Before the confirmation nothing is planned; afterwards the upload does not expire.
pub async fn an_awaited_upload_is_confirmed_once(ledger: Port, caps: &Capabilities) {
    let id = create_awaiting(&ledger, caps.short).await;
    is_refused(&ledger, &id, seal(&video(), 1), "the upload is not confirmed").await;
    let fail = JobChange::output(&video(), OutputChange::Fail(failure()));
    is_refused(&ledger, &id, fail, "the upload is not confirmed").await;
    let confirmed = must_change(&ledger, &id, JobChange::Confirm).await;
    assert_eq!((confirmed.state(), confirmed.awaiting_until_ms), (JobState::Created, None));
    is_refused(&ledger, &id, JobChange::Confirm, "it was confirmed").await;
    caps.outlast_short().await;
    is_refused(&ledger, &id, JobChange::Expire, "it was confirmed").await;
    must_change(&ledger, &id, seal(&video(), 1)).await;

    let there = fresh_job();
    create(&ledger, &there).await;
    is_refused(&ledger, &there, JobChange::Confirm, "no upload is awaited").await;
    is_refused(&ledger, &there, JobChange::Expire, "no upload is awaited").await;
}

/// Expires only after its time, by the ledger's clock; cancelled outputs stay so.
pub async fn an_upload_that_is_not_confirmed_expires(ledger: Port, caps: &Capabilities) {
    let patient = create_awaiting(&ledger, caps.long()).await;
    is_refused(&ledger, &patient, JobChange::Expire, "its time is not over").await;
    let (id, cancelled) =
        (create_awaiting(&ledger, caps.short).await, create_awaiting(&ledger, caps.short).await);
    must_change(&ledger, &cancelled, JobChange::Cancel).await;
    caps.outlast_short().await;
    let expired = must_change(&ledger, &id, JobChange::Expire).await;
    assert_eq!(expired.state(), JobState::Failed);
    for output in &expired.outputs {
        assert_eq!(output.state, OutputState::Failed);
        assert!(output.failure.is_some(), "a failure without a cause");
    }
    is_refused(&ledger, &id, JobChange::Expire, "it has expired").await;
    is_refused(&ledger, &id, JobChange::Confirm, "it has expired").await;
    let expired = must_change(&ledger, &cancelled, JobChange::Expire).await;
    assert_eq!(expired.state(), JobState::Cancelled, "it was cancelled before");
    assert!(expired.outputs.iter().all(|output| output.failure.is_none()));
    must_change(&ledger, &id, JobChange::output(&transcript(), OutputChange::Retry)).await;
}
