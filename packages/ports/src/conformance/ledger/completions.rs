//! Completions: created once, counted once, fenced by the term.

use std::sync::Arc;

use segue_domain::{PartFile, TaskId};

use super::{Port, completion, counted, create, finish, held, must_change, plan_of, task};
use crate::conformance::{Capabilities, all_at_once, fresh_job};
use crate::error::PortErrorKind;
use crate::ledger::{JobChange, LeaseName, Recorded};

/// Many record the same task under the same lease: one is created and counted.
pub async fn one_of_many_recorders_is_counted(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let lease = held(&ledger, &LeaseName::task(&id, &task(0)), "a", caps.long()).await;
    let calls = (0..caps.callers as u64).map(|n| {
        let (ledger, lease, id) = (Arc::clone(&ledger), lease.clone(), id.clone());
        async move { (n, ledger.record(&completion(&id, &lease, task(0), n), &lease).await.unwrap()) }
    });
    let results = all_at_once(calls).await;
    let won: Vec<u64> = results.iter().filter(|(_, r)| *r == Recorded::Created).map(|(n, _)| *n).collect();
    assert_eq!(won.len(), 1, "one of many is created");
    assert!(results.iter().all(|(_, r)| *r != Recorded::Stale));
    assert_eq!(counted(&ledger, &id).await, 1, "a completion is counted once");
    let stands = ledger.completion(&id, &task(0)).await.unwrap().expect("the completion");
    assert_eq!(stands.facts, won[0], "the winner's stands");
}

/// Many tasks, each recorded by several at once: the count is the number of tasks.
pub async fn many_tasks_are_counted_once_each(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, JobChange::Seal(plan_of(caps.callers as u64))).await;
    let mut leases = Vec::new();
    for n in 0..caps.callers as u32 {
        leases.push((n, held(&ledger, &LeaseName::task(&id, &task(n)), "a", caps.long()).await));
    }
    let calls = leases.iter().chain(&leases).chain(&leases).map(|(n, lease)| {
        let (ledger, lease, id, n) = (Arc::clone(&ledger), lease.clone(), id.clone(), *n);
        async move { ledger.record(&completion(&id, &lease, task(n), 0), &lease).await.unwrap() }
    });
    let results = all_at_once(calls).await;
    let created = results.iter().filter(|r| **r == Recorded::Created).count();
    assert_eq!(created, caps.callers);
    assert_eq!(counted(&ledger, &id).await, caps.callers as u64, "the count is the number of completions");
    must_change(&ledger, &id, JobChange::Reassemble).await;
}

/// Taken over or given back: nothing is written and nothing counted.
pub async fn a_stale_lease_writes_nothing(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let name = LeaseName::task(&id, &task(0));
    let old = held(&ledger, &name, "old", caps.short).await;
    caps.outlast_short().await;
    let new = held(&ledger, &name, "new", caps.long()).await;
    let done = completion(&id, &old, task(0), 1);
    assert_eq!(ledger.record(&done, &old).await.unwrap(), Recorded::Stale, "taken over");

    let back = LeaseName::task(&id, &task(1));
    let back = held(&ledger, &back, "a", caps.long()).await;
    ledger.release(&back).await.unwrap();
    let done = completion(&id, &back, task(1), 1);
    assert_eq!(ledger.record(&done, &back).await.unwrap(), Recorded::Stale, "given back");

    assert_eq!(ledger.completions(&id, None, 10).await.unwrap(), [], "a stale lease wrote");
    assert_eq!(counted(&ledger, &id).await, 0, "a stale lease counted");
    let done = completion(&id, &new, task(0), 2);
    assert_eq!(ledger.record(&done, &new).await.unwrap(), Recorded::Created);
}

/// What was made in time is not thrown away when nobody else took the task.
pub async fn a_lease_that_ran_out_still_records(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let lease = held(&ledger, &LeaseName::task(&id, &task(0)), "a", caps.short).await;
    caps.outlast_short().await;
    let done = completion(&id, &lease, task(0), 0);
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    assert_eq!(counted(&ledger, &id).await, 1);
}

/// Each spare attempt records under a lease of its own; the first of them all is the completion.
pub async fn the_first_of_a_task_and_its_spares_is_counted(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let spare = task(0).spare().expect("a short name");
    let first = held(&ledger, &LeaseName::task(&id, &task(0)), "a", caps.long()).await;
    let second = held(&ledger, &LeaseName::task(&id, &spare), "b", caps.long()).await;
    let done = completion(&id, &second, task(0), 2);
    assert_eq!(ledger.record(&done, &second).await.unwrap(), Recorded::Created);
    let last = spare.spare().expect("a short name");
    let last = held(&ledger, &LeaseName::task(&id, &last), "c", caps.long()).await;
    for lease in [&first, &last] {
        let late = completion(&id, lease, task(0), 1);
        assert_eq!(ledger.record(&late, lease).await.unwrap(), Recorded::Existed);
    }
    assert_eq!(ledger.completion(&id, &task(0)).await.unwrap(), Some(done));
    assert_eq!(counted(&ledger, &id).await, 1);
    let other = completion(&id, &second, task(1), 1);
    let misuse = ledger.record(&other, &second).await.unwrap_err();
    assert_eq!(misuse.kind, PortErrorKind::Misuse, "of another task it is no spare");
}

/// Done is done, whoever asks.
pub async fn a_stale_lease_learns_of_a_completion(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let name = LeaseName::task(&id, &task(0));
    let old = held(&ledger, &name, "old", caps.short).await;
    caps.outlast_short().await;
    let new = held(&ledger, &name, "new", caps.long()).await;
    let done = completion(&id, &new, task(0), 2);
    assert_eq!(ledger.record(&done, &new).await.unwrap(), Recorded::Created);
    ledger.release(&new).await.unwrap();
    for lease in [&old, &new] {
        let late = completion(&id, lease, task(0), 9);
        assert_eq!(ledger.record(&late, lease).await.unwrap(), Recorded::Existed);
    }
    assert_eq!(ledger.completion(&id, &task(0)).await.unwrap(), Some(done));
    assert_eq!(counted(&ledger, &id).await, 1);
}

/// A worker may be faster than the chunker's last write.
pub async fn a_completion_may_come_before_the_seal(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let lease = held(&ledger, &LeaseName::task(&id, &task(0)), "a", caps.long()).await;
    let done = completion(&id, &lease, task(0), 0);
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    let sealed = ledger.change(&id, JobChange::Seal(plan_of(1)), None).await.unwrap().expect("a seal");
    assert!(sealed.all_tasks_in(), "the early completion was lost");
}

/// The wrong lease is a mistake of the caller, said before anything is written.
pub async fn a_lease_of_something_else_is_misuse(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let lease = held(&ledger, &LeaseName::task(&id, &task(0)), "a", caps.long()).await;
    let mut later = completion(&id, &lease, task(0), 0);
    later.term.0 += 1;
    for wrong in [completion(&id, &lease, task(1), 0), later] {
        let error = ledger.record(&wrong, &lease).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    }
    assert_eq!(counted(&ledger, &id).await, 0);
}

/// In order of the ids, each on one page, of this job alone.
pub async fn completions_come_in_pages(ledger: Port, _caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    for job in [&id, &other] {
        create(&ledger, job).await;
        for n in [4, 0, 3, 1, 2] {
            finish(&ledger, job, task(n)).await;
        }
    }
    for max in [1, 2, 5, 100] {
        let mut found: Vec<TaskId> = Vec::new();
        loop {
            let page = ledger.completions(&id, found.last(), max).await.unwrap();
            assert!(page.len() <= max, "a page holds at most {max}");
            assert!(page.iter().all(|done| done.job == id));
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|done| done.task));
            assert!(found.len() <= 5, "a completion stands on two pages");
        }
        assert_eq!(found, (0..5).map(task).collect::<Vec<_>>(), "in pages of {max}");
    }
}

/// Files and facts are carried to the letter.
pub async fn a_completion_comes_back_as_it_was(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    let lease = held(&ledger, &LeaseName::task(&id, &task(0)), "a", caps.long()).await;
    let mut done = completion(&id, &lease, task(0), 0);
    done.files = vec![PartFile { name: "a/b.nut".into(), key: "work/x".into(), bytes: 1 << 40 }];
    done.facts = serde_json::json!({
        "text": "naïve \u{1f3ac} 'quoted\" \\ \n", "big": u64::MAX, "small": i64::MIN,
        "ratio": 0.1, "none": null, "list": [1, [2, {"three": 3}]], "empty": {},
    });
    ledger.record(&done, &lease).await.unwrap();
    assert_eq!(ledger.completion(&id, &task(0)).await.unwrap().as_ref(), Some(&done));
    assert_eq!(ledger.completions(&id, None, 1).await.unwrap(), [done]);
}

/// Each failure has a number of its own.
pub async fn failures_are_counted_one_by_one(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    assert_eq!(ledger.failures(&id, &task(0)).await.unwrap(), 0, "there is no such job");
    create(&ledger, &id).await;
    assert_eq!(ledger.failures(&id, &task(0)).await.unwrap(), 0, "none was counted");
    let calls = (0..caps.callers).map(|_| {
        let (ledger, id) = (Arc::clone(&ledger), id.clone());
        async move { ledger.count_failure(&id, &task(0)).await.unwrap() }
    });
    let mut numbers = all_at_once(calls).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=caps.callers as u32).collect::<Vec<_>>());
    assert_eq!(ledger.count_failure(&id, &task(1)).await.unwrap(), 1, "tasks are counted apart");
    let asked =
        [ledger.failures(&id, &task(0)).await.unwrap(), ledger.failures(&id, &task(1)).await.unwrap()];
    assert_eq!(asked, [caps.callers as u32, 1], "asking says the count and counts nothing");
}
