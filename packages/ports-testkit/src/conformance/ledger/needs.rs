//! Order between outputs, and the state of a job.

use segue_domain::{Gate, JobState, OutputId, OutputState};

use super::{
    Port, asked, complete, create_of, failure, index, is_refused, must_change, needing, optional, read, seal,
    state_of, transcript, video,
};
use crate::conformance::{Capabilities, fresh_job};
use segue_ports::ledger::{JobChange, OutputChange};

/// A need that gates the plan blocks both steps, one that gates the assembly only the second.
pub async fn needs_hold_up_plan_and_assembly(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    let study = super::output("study");
    let outputs = vec![
        asked("transcript"),
        needing(asked("video"), "transcript", Gate::Assembly),
        needing(asked("study"), "transcript", Gate::Plan),
    ];
    create_of(&ledger, &id, outputs).await;
    is_refused(&ledger, &id, seal(&study, 0), "its need is not completed").await;
    let both = JobChange::Seal(vec![(video(), super::plan_of(0)), (study.clone(), super::plan_of(0))]);
    is_refused(&ledger, &id, both, "a need of one of them is not completed").await;
    must_change(&ledger, &id, seal(&video(), 0)).await;
    let assemble = |output: &OutputId| JobChange::output(output, OutputChange::Assemble);
    must_change(&ledger, &id, seal(&transcript(), 0)).await;
    for change in [OutputChange::Assemble, OutputChange::Commit(index()), OutputChange::Complete] {
        is_refused(&ledger, &id, assemble(&video()), "its need is not completed").await;
        is_refused(&ledger, &id, seal(&study, 0), "its need is not completed").await;
        must_change(&ledger, &id, JobChange::output(&transcript(), change)).await;
    }
    must_change(&ledger, &id, assemble(&video())).await;
    must_change(&ledger, &id, seal(&study, 0)).await;
    must_change(&ledger, &id, assemble(&study)).await;
}

/// The state is that of the least advanced required output; optional ones do not count.
pub async fn the_state_of_a_job_follows_its_required_outputs(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    let extra = super::output("extra");
    create_of(&ledger, &id, vec![asked("video"), asked("transcript"), optional("extra")]).await;
    let state = async |change: JobChange| must_change(&ledger, &id, change).await.state();
    let of = |output: &OutputId, change| JobChange::output(output, change);

    assert_eq!(state(seal(&extra, 0)).await, JobState::Created, "an optional output is further");
    assert_eq!(state(seal(&video(), 0)).await, JobState::Created, "one of two is planned");
    assert_eq!(state(of(&video(), OutputChange::Assemble)).await, JobState::Created);
    assert_eq!(state(seal(&transcript(), 0)).await, JobState::Mapping);
    assert_eq!(state(of(&transcript(), OutputChange::Assemble)).await, JobState::Assembling);
    assert_eq!(state(of(&transcript(), OutputChange::Commit(index()))).await, JobState::Assembling);
    assert_eq!(state(of(&video(), OutputChange::Commit(index()))).await, JobState::Publishing);
    assert_eq!(state(of(&extra, OutputChange::Fail(failure()))).await, JobState::Publishing);
    assert_eq!(state(of(&video(), OutputChange::Complete)).await, JobState::Publishing);
    assert_eq!(state(of(&transcript(), OutputChange::Complete)).await, JobState::Completed);
    assert_eq!(state_of(&ledger, &id, &extra).await, OutputState::Failed);

    let id = fresh_job();
    create_of(&ledger, &id, vec![asked("video"), asked("transcript")]).await;
    let state = async |change: JobChange| must_change(&ledger, &id, change).await.state();
    assert_eq!(state(of(&video(), OutputChange::Cancel)).await, JobState::Cancelled);
    assert_eq!(state(of(&transcript(), OutputChange::Fail(failure()))).await, JobState::Failed);
    assert_eq!(state(of(&transcript(), OutputChange::Retry)).await, JobState::Cancelled);
    assert_eq!(state(of(&video(), OutputChange::Retry)).await, JobState::Created);
    assert_eq!(read(&ledger, &id).await.state(), JobState::Created);
}

/// The completion time is set by the change that completes the job, and never changes.
pub async fn the_time_of_completion_is_set_once(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create_of(&ledger, &id, vec![asked("video"), asked("transcript"), optional("extra")]).await;
    complete(&ledger, &id, &video()).await;
    assert_eq!(read(&ledger, &id).await.completed_at_ms, None, "a required output is not completed");
    complete(&ledger, &id, &transcript()).await;
    let completed = read(&ledger, &id).await;
    assert_eq!(completed.completed_at_ms, Some(completed.updated_at_ms));
    tokio::time::sleep(caps.settle).await;
    complete(&ledger, &id, &super::output("extra")).await;
    let later = read(&ledger, &id).await;
    assert!(later.updated_at_ms > completed.updated_at_ms, "the clock stands still");
    assert_eq!(later.completed_at_ms, completed.completed_at_ms, "the job was completed before");
}
