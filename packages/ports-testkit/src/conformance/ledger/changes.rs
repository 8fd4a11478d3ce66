//! Changes of an output's state.

use std::sync::Arc;

use segue_domain::{JobId, JobRecord, OutputRef, OutputState};

use super::{
    Port, counted, create, failure, finish, held, index, is_refused, must_change, plan_of, read, seal,
    state_of, task, transcript, video,
};
use crate::conformance::{Capabilities, all_at_once, fresh_job};
use segue_ports::ledger::{JobChange, LeaseName, OutputChange};

fn every_change() -> [JobChange; 7] {
    let change = |change| JobChange::output(&video(), change);
    [
        seal(&video(), 1),
        change(OutputChange::Assemble),
        change(OutputChange::Commit(index())),
        change(OutputChange::Complete),
        change(OutputChange::Fail(failure())),
        change(OutputChange::Cancel),
        change(OutputChange::Retry),
    ]
}

/// The transition table of the contract, written out independently of the code under test.
fn expected(from: OutputState, sealed: bool, change: &JobChange) -> Option<OutputState> {
    use OutputState::{Assembling, Cancelled, Completed, Created, Failed, Mapping, Publishing};
    let change = match change {
        JobChange::Seal(_) => return (from == Created).then_some(Mapping),
        JobChange::Output { change, .. } => change,
        _ => return None,
    };
    match (from, change) {
        (Mapping, OutputChange::Assemble) => Some(Assembling),
        (Assembling, OutputChange::Commit(_)) => Some(Publishing),
        (Publishing, OutputChange::Complete) => Some(Completed),
        (Created | Mapping | Assembling, OutputChange::Fail(_)) => Some(Failed),
        (Created | Mapping | Assembling, OutputChange::Cancel) => Some(Cancelled),
        (Failed | Cancelled, OutputChange::Retry) if sealed => Some(Mapping),
        (Failed | Cancelled, OutputChange::Retry) => Some(Created),
        _ => None,
    }
}

/// A job whose output `video` is in that state, its one task done.
async fn job_in(ledger: &Port, state: OutputState, sealed: bool) -> JobId {
    let [seal, assemble, commit, complete, fail, cancel, _] = every_change();
    let mut way = match state {
        OutputState::Created => vec![],
        OutputState::Mapping => vec![seal],
        OutputState::Assembling => vec![seal, assemble],
        OutputState::Publishing => vec![seal, assemble, commit],
        OutputState::Completed => vec![seal, assemble, commit, complete],
        OutputState::Failed => vec![seal, fail],
        OutputState::Cancelled => vec![seal, cancel],
    };
    if !sealed && !way.is_empty() {
        way.remove(0);
    }
    let id = fresh_job();
    let job = create(ledger, &id).await;
    finish(ledger, &job.output_ref(&video()), task(0)).await;
    for change in way {
        must_change(ledger, &id, change).await;
    }
    id
}

fn check_fields(before: &JobRecord, after: &JobRecord, change: &JobChange) {
    let (was, is) = (before.output(&video()).unwrap(), after.output(&video()).unwrap());
    assert!(after.revision > before.revision, "{change:?} did not raise the revision");
    assert!(after.updated_at_ms >= before.updated_at_ms && is.updated_at_ms >= was.updated_at_ms);
    assert_eq!(after.created_at_ms, before.created_at_ms);
    assert_eq!(
        after.output(&transcript()),
        before.output(&transcript()),
        "{change:?} changed another output"
    );
    match change {
        JobChange::Seal(plans) => assert_eq!(is.plan.as_ref(), Some(&plans[0].1)),
        JobChange::Output { change: OutputChange::Commit(index), .. } => {
            assert_eq!(is.index.as_ref(), Some(index));
        }
        JobChange::Output { change: OutputChange::Fail(failure), .. } => {
            assert_eq!(is.failure.as_ref(), Some(failure));
        }
        JobChange::Output { change: OutputChange::Retry, .. } => {
            assert_eq!((&is.failure, is.retries), (&None, was.retries + 1));
            assert_eq!(is.plan, was.plan, "a retry keeps the plan");
        }
        _ => assert_eq!(is.plan, was.plan),
    }
}

/// Every state with every change: applied or refused as the table says, without partial effects.
pub async fn each_output_state_allows_its_changes(ledger: Port, _caps: &Capabilities) {
    let unsealed = [OutputState::Created, OutputState::Failed, OutputState::Cancelled];
    let sealed = OutputState::ALL.into_iter().filter(|state| *state != OutputState::Created);
    let all = sealed.map(|state| (state, true)).chain(unsealed.map(|state| (state, false)));
    for (from, sealed) in all {
        for change in every_change() {
            let id = job_in(&ledger, from, sealed).await;
            let before = read(&ledger, &id).await;
            assert_eq!(before.output(&video()).unwrap().state, from);
            let after = ledger.change(&id, change.clone(), None).await.unwrap();
            let stored = read(&ledger, &id).await;
            let to = after.as_ref().map(|job| job.output(&video()).unwrap().state);
            assert_eq!(to, expected(from, sealed, &change), "{from} with {change:?}");
            let Some(after) = after else {
                assert_eq!(stored, before, "{from} with {change:?} was refused and changed the job");
                continue;
            };
            assert_eq!(stored, after, "what is returned is what is stored");
            assert_eq!(
                counted(&ledger, &after.output_ref(&video())).await,
                1,
                "{change:?} changed the count"
            );
            check_fields(&before, &after, &change);
            let again = ledger.change(&id, change.clone(), None).await.unwrap();
            assert_eq!(again, None, "{change:?} took effect twice");
        }
    }
    let id = fresh_job();
    create(&ledger, &id).await;
    let unknown = super::output("no-such-output");
    is_refused(&ledger, &id, seal(&unknown, 1), "there is no such output").await;
    is_refused(&ledger, &id, JobChange::output(&unknown, OutputChange::Cancel), "there is no such output")
        .await;
}

/// The assembly requires every completion of its output.
pub async fn assembly_waits_for_every_task(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    let job = create(&ledger, &id).await;
    let assemble = JobChange::output(&video(), OutputChange::Assemble);
    must_change(&ledger, &id, seal(&video(), 2)).await;
    must_change(&ledger, &id, seal(&transcript(), 1)).await;
    for n in 0..2 {
        finish(&ledger, &job.output_ref(&transcript()), task(n)).await;
    }
    for done in 0..2 {
        is_refused(&ledger, &id, assemble.clone(), &format!("{done} of 2 tasks are completed")).await;
        finish(&ledger, &job.output_ref(&video()), task(done)).await;
    }
    must_change(&ledger, &id, assemble).await;
}

/// A source without audio has a transcript without tasks.
pub async fn a_plan_without_tasks_is_assembled_at_once(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    super::complete(&ledger, &id, &video()).await;
    assert_eq!(state_of(&ledger, &id, &video()).await, OutputState::Completed);
}

/// A seal applies to all outputs that it names, or to none.
pub async fn a_seal_of_several_outputs_is_one_change(ledger: Port, _caps: &Capabilities) {
    let (both, one) = (fresh_job(), fresh_job());
    let plans =
        |video_tasks| JobChange::Seal(vec![(video(), plan_of(video_tasks)), (transcript(), plan_of(5))]);
    let before = create(&ledger, &both).await;
    let sealed = must_change(&ledger, &both, plans(4)).await;
    for (id, tasks) in [(video(), 4), (transcript(), 5)] {
        let output = sealed.output(&id).unwrap();
        assert_eq!((output.state, output.plan.as_ref()), (OutputState::Mapping, Some(&plan_of(tasks))));
    }
    assert!(sealed.revision > before.revision);

    create(&ledger, &one).await;
    is_refused(&ledger, &one, JobChange::Seal(vec![]), "it names no output").await;
    must_change(&ledger, &one, seal(&transcript(), 1)).await;
    is_refused(&ledger, &one, plans(4), "one of the outputs is sealed").await;
    assert_eq!(state_of(&ledger, &one, &video()).await, OutputState::Created);
}

/// Of concurrent callers with different plans, one seals.
pub async fn one_of_many_seals_takes_effect(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let calls = (1..=caps.callers as u64).map(|tasks| {
        let (ledger, id) = (Arc::clone(&ledger), id.clone());
        async move { ledger.change(&id, seal(&video(), tasks), None).await.unwrap() }
    });
    let won: Vec<_> = all_at_once(calls).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "one of many seals");
    let stored = read(&ledger, &id).await;
    assert_eq!(stored, won[0], "the stored plan is the winner's");
}

/// The document is versioned: no change overwrites a concurrent change of another output.
pub async fn concurrent_changes_of_two_outputs_all_take_effect(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    let names: Vec<_> = (0..caps.callers).map(|n| format!("o{n}")).collect();
    let before = super::create_of(&ledger, &id, names.iter().map(|name| super::asked(name)).collect()).await;
    for round in 0..3 {
        let calls = names.iter().map(|name| {
            let (ledger, id, output) = (Arc::clone(&ledger), id.clone(), super::output(name));
            let change = match round {
                0 => seal(&output, 0),
                1 => JobChange::output(&output, OutputChange::Assemble),
                _ => JobChange::output(&output, OutputChange::Fail(failure())),
            };
            async move { ledger.change(&id, change, None).await.unwrap() }
        });
        let results = all_at_once(calls).await;
        assert!(results.iter().all(Option::is_some), "a concurrent change was refused in round {round}");
    }
    let after = read(&ledger, &id).await;
    let failed = after.outputs.iter().filter(|output| output.state == OutputState::Failed).count();
    assert_eq!(failed, names.len(), "a concurrent change was lost");
    assert!(after.outputs.iter().all(|output| output.plan.is_some()), "a concurrent seal was lost");
    let changes = 3 * names.len() as u64;
    assert!(after.revision >= before.revision + changes, "two changes share a revision");
}

/// The holder of a lease that was taken over or released changes nothing.
pub async fn a_change_is_fenced_by_the_term(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let name = LeaseName::plan(&id);
    let old = held(&ledger, &name, "old", caps.short).await;
    caps.outlast_short().await;
    let new = held(&ledger, &name, "new", caps.short).await;

    let seal = seal(&video(), 1);
    assert_eq!(ledger.change(&id, seal.clone(), Some(&old)).await.unwrap(), None, "taken over");
    let mut forged = new.clone();
    forged.term.0 += 1;
    assert_eq!(ledger.change(&id, seal.clone(), Some(&forged)).await.unwrap(), None, "a later term");
    assert_eq!(state_of(&ledger, &id, &video()).await, OutputState::Created);

    caps.outlast_short().await;
    let expired = ledger.change(&id, seal, Some(&new)).await.unwrap();
    assert!(expired.is_some(), "a lease that expired and was not taken over still has its term");
    ledger.release(&new).await.unwrap();
    let released = ledger.change(&id, JobChange::Cancel, Some(&new)).await.unwrap();
    assert_eq!(released, None, "released");
}

/// A retry keeps completions and resets the failure counts of this output only.
pub async fn a_retry_resets_failures_and_keeps_completions(ledger: Port, _caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    let mut refs: Vec<OutputRef> = Vec::new();
    for job in [&id, &other] {
        let job = create(&ledger, job).await;
        for output in [video(), transcript()] {
            let output = job.output_ref(&output);
            finish(&ledger, &output, task(0)).await;
            assert_eq!(ledger.count_failure(&output, &task(1)).await.unwrap(), 1);
            refs.push(output);
        }
    }
    must_change(&ledger, &id, JobChange::output(&video(), OutputChange::Fail(failure()))).await;
    let retried = must_change(&ledger, &id, JobChange::output(&video(), OutputChange::Retry)).await;
    assert_eq!(retried.output(&video()).unwrap().state, OutputState::Created, "no plan was sealed");
    assert_eq!(retried.failure(), None);
    assert_eq!(counted(&ledger, &refs[0]).await, 1);
    assert!(ledger.completion(&refs[0], &task(0)).await.unwrap().is_some());
    assert_eq!(ledger.failures(&refs[0], &task(1)).await.unwrap(), 0, "failures were not reset");
    assert_eq!(ledger.count_failure(&refs[0], &task(1)).await.unwrap(), 1, "failures were not reset");
    for other in &refs[1..] {
        assert_eq!(ledger.failures(other, &task(1)).await.unwrap(), 1, "those of {other} were reset");
        assert_eq!(ledger.count_failure(other, &task(1)).await.unwrap(), 2, "those of {other} were reset");
    }
}
