//! Changes of a job's state.

use std::sync::Arc;

use segue_domain::{JobId, JobState};

use super::{Port, counted, create, failure, finish, held, must_change, plan_of, task};
use crate::conformance::{Capabilities, all_at_once, fresh_job};
use crate::ledger::{Acquired, JobChange, LeaseName};

fn every_change() -> [JobChange; 7] {
    [
        JobChange::Seal(plan_of(1)),
        JobChange::Reassemble,
        JobChange::Commit { manifest_key: "work/j/reassemble/1/manifest.json".into() },
        JobChange::Complete,
        JobChange::Fail(failure()),
        JobChange::Cancel,
        JobChange::Retry,
    ]
}

/// What the contract says, written out again and not taken from the code under test.
fn expected(from: JobState, change: &JobChange) -> Option<JobState> {
    use JobState::{Cancelled, Completed, Created, Failed, Mapping, Publishing, Reassembling};
    match (from, change) {
        (Created, JobChange::Seal(_)) => Some(Mapping),
        (Mapping, JobChange::Reassemble) => Some(Reassembling),
        (Reassembling, JobChange::Commit { .. }) => Some(Publishing),
        (Publishing, JobChange::Complete) => Some(Completed),
        (Created | Mapping | Reassembling, JobChange::Fail(_)) => Some(Failed),
        (Created | Mapping | Reassembling, JobChange::Cancel) => Some(Cancelled),
        // the jobs of this clause fail and are cancelled after their seal
        (Failed | Cancelled, JobChange::Retry) => Some(Mapping),
        _ => None,
    }
}

/// A job in that state, its one task done.
async fn job_in(ledger: &Port, state: JobState) -> JobId {
    let [seal, reassemble, commit, complete, fail, cancel, _] = every_change();
    let way = match state {
        JobState::Created => vec![],
        JobState::Mapping => vec![seal],
        JobState::Reassembling => vec![seal, reassemble],
        JobState::Publishing => vec![seal, reassemble, commit],
        JobState::Completed => vec![seal, reassemble, commit, complete],
        JobState::Failed => vec![seal, fail],
        JobState::Cancelled => vec![seal, cancel],
    };
    let id = fresh_job();
    create(ledger, &id).await;
    finish(ledger, &id, task(0)).await;
    for change in way {
        must_change(ledger, &id, change).await;
    }
    id
}

/// Every state with every change: done or refused, as written, and nothing in between.
pub async fn each_state_allows_what_it_allows(ledger: Port, _caps: &Capabilities) {
    for from in JobState::ALL {
        for change in every_change() {
            let id = job_in(&ledger, from).await;
            let before = ledger.job(&id).await.unwrap().expect("the job");
            assert_eq!(before.state, from);
            let after = ledger.change(&id, change.clone(), None).await.unwrap();
            let stands = ledger.job(&id).await.unwrap().expect("the job");
            let to = after.as_ref().map(|job| job.state);
            assert_eq!(to, expected(from, &change), "{from} with {change:?}");
            let Some(after) = after else {
                assert_eq!(stands, before, "{from} with {change:?} was refused and left a trace");
                continue;
            };
            assert_eq!(stands, after, "what is returned is what stands");
            assert!(after.updated_at_ms >= before.updated_at_ms);
            assert_eq!((after.completed_tasks, after.created_at_ms), (1, before.created_at_ms));
            match &change {
                JobChange::Seal(plan) => assert_eq!(after.plan.as_ref(), Some(plan)),
                JobChange::Commit { manifest_key } => {
                    assert_eq!(after.manifest_key.as_ref(), Some(manifest_key));
                }
                JobChange::Fail(failure) => assert_eq!(after.failure.as_ref(), Some(failure)),
                JobChange::Retry => assert_eq!(after.failure, None),
                _ => assert_eq!(after.plan, before.plan),
            }
            let again = ledger.change(&id, change.clone(), None).await.unwrap();
            assert_eq!(again, None, "{change:?} took effect twice");
        }
    }
}

/// No completion may be missing when the parts are joined.
pub async fn a_join_waits_for_every_task(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, JobChange::Seal(plan_of(2))).await;
    for done in 0..2 {
        let early = ledger.change(&id, JobChange::Reassemble, None).await.unwrap();
        assert_eq!(early, None, "joined with {done} of 2 tasks");
        finish(&ledger, &id, task(done)).await;
    }
    must_change(&ledger, &id, JobChange::Reassemble).await;
}

/// Of many callers with different plans, one seals.
pub async fn one_of_many_changes_takes_effect(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let calls = (1..=caps.callers as u64).map(|tasks| {
        let (ledger, id) = (Arc::clone(&ledger), id.clone());
        async move { ledger.change(&id, JobChange::Seal(plan_of(tasks)), None).await.unwrap() }
    });
    let won: Vec<_> = all_at_once(calls).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "one of many seals");
    let stands = ledger.job(&id).await.unwrap().expect("the job");
    assert_eq!(stands.plan, won[0].plan, "the plan that stands is the winner's");
}

/// A holder whose lease was taken over or given back changes nothing.
pub async fn a_change_is_fenced_by_the_term(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let name = LeaseName::chunk(&id);
    let old = held(&ledger, &name, "old", caps.short).await;
    caps.outlast_short().await;
    let new = held(&ledger, &name, "new", caps.short).await;

    let seal = JobChange::Seal(plan_of(1));
    assert_eq!(ledger.change(&id, seal.clone(), Some(&old)).await.unwrap(), None, "taken over");
    let mut forged = new.clone();
    forged.term.0 += 1;
    assert_eq!(ledger.change(&id, seal.clone(), Some(&forged)).await.unwrap(), None, "a later term");
    assert_eq!(ledger.job(&id).await.unwrap().expect("the job").state, JobState::Created);

    caps.outlast_short().await;
    let ran_out = ledger.change(&id, seal, Some(&new)).await.unwrap();
    assert!(ran_out.is_some(), "a lease that ran out and that nobody took over still has its term");
    ledger.release(&new).await.unwrap();
    let given_back = ledger.change(&id, JobChange::Cancel, Some(&new)).await.unwrap();
    assert_eq!(given_back, None, "given back");

    let other = fresh_job();
    let elsewhere = held(&ledger, &LeaseName::chunk(&other), "x", caps.long()).await;
    assert!(matches!(
        ledger.acquire(&LeaseName::chunk(&other), &elsewhere.holder, caps.long()).await.unwrap(),
        Acquired::Busy(_)
    ));
}

/// What was done is kept; what failed begins again.
pub async fn a_retry_forgets_failures_and_keeps_completions(ledger: Port, _caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    for job in [&id, &other] {
        create(&ledger, job).await;
        finish(&ledger, job, task(0)).await;
        assert_eq!(ledger.count_failure(job, &task(1)).await.unwrap(), 1);
    }
    must_change(&ledger, &id, JobChange::Fail(failure())).await;
    let retried = ledger.change(&id, JobChange::Retry, None).await.unwrap().expect("a retry");
    assert_eq!(retried.state, JobState::Created, "no plan was sealed");
    assert_eq!(retried.failure, None);
    assert_eq!(counted(&ledger, &id).await, 1);
    assert!(ledger.completion(&id, &task(0)).await.unwrap().is_some());
    assert_eq!(ledger.failures(&id, &task(1)).await.unwrap(), 0, "failures were not forgotten");
    assert_eq!(ledger.count_failure(&id, &task(1)).await.unwrap(), 1, "failures were not forgotten");
    assert_eq!(ledger.count_failure(&other, &task(1)).await.unwrap(), 2, "another job's were");
}
