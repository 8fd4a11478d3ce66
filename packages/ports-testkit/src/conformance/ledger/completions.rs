//! Completions: created once, counted once, fenced by the term.

use std::sync::Arc;

use segue_domain::{OutputRef, PartFile, TaskId};

use super::{
    Port, begin_deletion, completion, counted, create, finish, held_task, must_change, output, read, seal,
    task, transcript, video,
};
use crate::conformance::{Capabilities, all_at_once, fresh_job};
use segue_ports::error::PortErrorKind;
use segue_ports::ledger::{JobChange, OutputChange, Recorded};

/// The output `video` of a new job.
async fn fresh_output(ledger: &Port) -> OutputRef {
    create(ledger, &fresh_job()).await.output_ref(&video())
}

/// Many callers record the same task under the same lease: one completion is created and counted.
pub async fn one_of_many_recorders_is_counted(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let lease = held_task(&ledger, &output, &task(0), "a", caps.long()).await;
    let calls = (0..caps.callers as u64).map(|n| {
        let (ledger, lease, output) = (Arc::clone(&ledger), lease.clone(), output.clone());
        async move { (n, ledger.record(&completion(&output, &lease, task(0), n), &lease).await.unwrap()) }
    });
    let results = all_at_once(calls).await;
    let won: Vec<u64> = results.iter().filter(|(_, r)| *r == Recorded::Created).map(|(n, _)| *n).collect();
    assert_eq!(won.len(), 1, "one of many is created");
    assert!(results.iter().all(|(_, r)| *r != Recorded::Stale));
    assert_eq!(counted(&ledger, &output).await, 1, "a completion is counted once");
    let stored = ledger.completion(&output, &task(0)).await.unwrap().expect("the completion");
    assert_eq!(stored.facts, won[0], "the winner's is stored");
}

/// Many tasks, each recorded by several callers at once: the count is the number of tasks.
pub async fn many_tasks_are_counted_once_each(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    must_change(&ledger, &output.job, seal(&video(), caps.callers as u64)).await;
    let mut leases = Vec::new();
    for n in 0..caps.callers as u32 {
        leases.push((n, held_task(&ledger, &output, &task(n), "a", caps.long()).await));
    }
    let calls = leases.iter().chain(&leases).chain(&leases).map(|(n, lease)| {
        let (ledger, lease, output, n) = (Arc::clone(&ledger), lease.clone(), output.clone(), *n);
        async move { ledger.record(&completion(&output, &lease, task(n), 0), &lease).await.unwrap() }
    });
    let results = all_at_once(calls).await;
    let created = results.iter().filter(|r| **r == Recorded::Created).count();
    assert_eq!(created, caps.callers);
    assert_eq!(
        counted(&ledger, &output).await,
        caps.callers as u64,
        "the count is the number of completions"
    );
    must_change(&ledger, &output.job, JobChange::output(&video(), OutputChange::Assemble)).await;
}

/// A completion does not change the job document, so that workers never contend for it.
pub async fn a_completion_does_not_change_the_job(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let before = must_change(&ledger, &output.job, seal(&video(), 2)).await;
    tokio::time::sleep(caps.settle).await;
    finish(&ledger, &output, task(0)).await;
    ledger.count_failure(&output, &task(1)).await.unwrap();
    assert_eq!(read(&ledger, &output.job).await, before, "a completion changed the job");
}

/// Tasks with the same name in different outputs are independent.
pub async fn outputs_are_counted_apart(ledger: Port, _caps: &Capabilities) {
    let job = create(&ledger, &fresh_job()).await;
    let (first, second) = (job.output_ref(&video()), job.output_ref(&transcript()));
    for n in 0..3 {
        finish(&ledger, &first, task(n)).await;
    }
    assert_eq!(counted(&ledger, &first).await, 3);
    assert_eq!(counted(&ledger, &second).await, 0, "a completion was counted for another output");
    assert_eq!(ledger.completion(&second, &task(0)).await.unwrap(), None);
    assert_eq!(ledger.completions(&second, None, 10).await.unwrap(), []);
    finish(&ledger, &second, task(0)).await;
    assert_eq!((counted(&ledger, &first).await, counted(&ledger, &second).await), (3, 1));
    assert_eq!(ledger.completions(&first, None, 10).await.unwrap().len(), 3);
    let page = ledger.completions(&second, None, 10).await.unwrap();
    assert!(page.len() == 1 && page[0].output == second, "{page:?}");
    assert_eq!(ledger.count_failure(&first, &task(9)).await.unwrap(), 1);
    assert_eq!(ledger.failures(&second, &task(9)).await.unwrap(), 0, "failures are counted apart");
    assert_eq!(ledger.count_failure(&second, &task(9)).await.unwrap(), 1);
}

/// A second completion is not written, even under a valid lease.
pub async fn an_unknown_output_or_an_earlier_life_is_stale(ledger: Port, caps: &Capabilities) {
    let job = create(&ledger, &fresh_job()).await;
    begin_deletion(&ledger, &job.id).await;
    assert!(ledger.delete_job(&job).await.unwrap());
    let next = create(&ledger, &job.id).await;
    let (earlier, unknown) = (job.output_ref(&video()), next.output_ref(&output("no-such-output")));
    for output in [&earlier, &unknown] {
        let lease = held_task(&ledger, output, &task(0), "a", caps.long()).await;
        let done = completion(output, &lease, task(0), 0);
        let recorded = ledger.record(&done, &lease).await.unwrap();
        assert_eq!(recorded, Recorded::Stale, "{output:?} is not an output of this life");
        assert_eq!(ledger.completion(output, &task(0)).await.unwrap(), None);
        assert_eq!(counted(&ledger, output).await, 0);
        let error = ledger.count_failure(output, &task(0)).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
        assert_eq!(ledger.failures(output, &task(0)).await.unwrap(), 0);
    }
    let now = next.output_ref(&video());
    assert_eq!(counted(&ledger, &now).await, 0, "an earlier life was counted in this one");
    assert_eq!(ledger.completions(&now, None, 10).await.unwrap(), []);
}

/// A lease that was taken over or released: nothing is written or counted.
pub async fn a_stale_lease_writes_nothing(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let old = held_task(&ledger, &output, &task(0), "old", caps.short).await;
    caps.outlast_short().await;
    let new = held_task(&ledger, &output, &task(0), "new", caps.long()).await;
    let done = completion(&output, &old, task(0), 1);
    assert_eq!(ledger.record(&done, &old).await.unwrap(), Recorded::Stale, "taken over");

    let released = held_task(&ledger, &output, &task(1), "a", caps.long()).await;
    ledger.release(&released).await.unwrap();
    let done = completion(&output, &released, task(1), 1);
    assert_eq!(ledger.record(&done, &released).await.unwrap(), Recorded::Stale, "released");

    assert_eq!(ledger.completions(&output, None, 10).await.unwrap(), [], "a stale lease wrote");
    assert_eq!(counted(&ledger, &output).await, 0, "a stale lease counted");
    let done = completion(&output, &new, task(0), 2);
    assert_eq!(ledger.record(&done, &new).await.unwrap(), Recorded::Created);
}

/// A completion under an expired lease is accepted if the task was not taken over.
pub async fn an_expired_lease_still_records(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let lease = held_task(&ledger, &output, &task(0), "a", caps.short).await;
    caps.outlast_short().await;
    let done = completion(&output, &lease, task(0), 0);
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    assert_eq!(counted(&ledger, &output).await, 1);
}

/// Each spare attempt records under its own lease; the first of all attempts is the completion.
pub async fn the_first_of_a_task_and_its_spares_is_counted(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let spare = task(0).spare().expect("a short name");
    let first = held_task(&ledger, &output, &task(0), "a", caps.long()).await;
    let second = held_task(&ledger, &output, &spare, "b", caps.long()).await;
    let done = completion(&output, &second, task(0), 2);
    assert_eq!(ledger.record(&done, &second).await.unwrap(), Recorded::Created);
    let last = spare.spare().expect("a short name");
    let last = held_task(&ledger, &output, &last, "c", caps.long()).await;
    for lease in [&first, &last] {
        let late = completion(&output, lease, task(0), 1);
        assert_eq!(ledger.record(&late, lease).await.unwrap(), Recorded::Existed);
    }
    assert_eq!(ledger.completion(&output, &task(0)).await.unwrap(), Some(done));
    assert_eq!(counted(&ledger, &output).await, 1);
    let other = completion(&output, &second, task(1), 1);
    let misuse = ledger.record(&other, &second).await.unwrap_err();
    assert_eq!(misuse.kind, PortErrorKind::Misuse, "it is no spare of another task");
}

/// The caller gets the existing completion, whatever the state of its lease.
pub async fn a_stale_lease_is_told_of_a_completion(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let old = held_task(&ledger, &output, &task(0), "old", caps.short).await;
    caps.outlast_short().await;
    let new = held_task(&ledger, &output, &task(0), "new", caps.long()).await;
    let done = completion(&output, &new, task(0), 2);
    assert_eq!(ledger.record(&done, &new).await.unwrap(), Recorded::Created);
    ledger.release(&new).await.unwrap();
    for lease in [&old, &new] {
        let late = completion(&output, lease, task(0), 9);
        assert_eq!(ledger.record(&late, lease).await.unwrap(), Recorded::Existed);
    }
    assert_eq!(ledger.completion(&output, &task(0)).await.unwrap(), Some(done));
    assert_eq!(counted(&ledger, &output).await, 1);
}

/// A worker may complete before the planner's last write.
pub async fn a_completion_may_precede_the_seal(ledger: Port, _caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    finish(&ledger, &output, task(0)).await;
    must_change(&ledger, &output.job, seal(&video(), 1)).await;
    assert_eq!(counted(&ledger, &output).await, 1, "the early completion was lost");
    must_change(&ledger, &output.job, JobChange::output(&video(), OutputChange::Assemble)).await;
}

/// Refused before any write: another task, another output, another term.
pub async fn a_lease_of_something_else_is_misuse(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let lease = held_task(&ledger, &output, &task(0), "a", caps.long()).await;
    let mut later = completion(&output, &lease, task(0), 0);
    later.term.0 += 1;
    let beside = OutputRef { output: transcript(), ..output.clone() };
    for wrong in [completion(&output, &lease, task(1), 0), later, completion(&beside, &lease, task(0), 0)] {
        let error = ledger.record(&wrong, &lease).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    }
    assert_eq!((counted(&ledger, &output).await, counted(&ledger, &beside).await), (0, 0));
}

/// Ordered by id, each on one page, of this output only.
pub async fn completions_are_listed_in_pages(ledger: Port, _caps: &Capabilities) {
    let (job, other) = (create(&ledger, &fresh_job()).await, create(&ledger, &fresh_job()).await);
    let output = job.output_ref(&video());
    for output in [&output, &job.output_ref(&transcript()), &other.output_ref(&video())] {
        for n in [4, 0, 3, 1, 2] {
            finish(&ledger, output, task(n)).await;
        }
    }
    for max in [1, 2, 5, 100] {
        let mut found: Vec<TaskId> = Vec::new();
        loop {
            let page = ledger.completions(&output, found.last(), max).await.unwrap();
            assert!(page.len() <= max, "a page has at most {max} completions");
            assert!(page.iter().all(|done| done.output == output));
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().map(|done| done.task));
            assert!(found.len() <= 5, "a completion is on two pages");
        }
        assert_eq!(found, (0..5).map(task).collect::<Vec<_>>(), "in pages of {max}");
    }
}

/// Files and facts are returned unchanged.
pub async fn a_completion_is_stored_as_it_was_recorded(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    let lease = held_task(&ledger, &output, &task(0), "a", caps.long()).await;
    let mut done = completion(&output, &lease, task(0), 0);
    done.files = vec![PartFile { name: "a/b.nut".into(), key: "work/x".into(), bytes: 1 << 40 }];
    done.facts = serde_json::json!({
        "text": "naïve \u{1f3ac} 'quoted\" \\ \n", "big": u64::MAX, "small": i64::MIN,
        "ratio": 0.1, "none": null, "list": [1, [2, {"three": 3}]], "empty": {},
    });
    ledger.record(&done, &lease).await.unwrap();
    assert_eq!(ledger.completion(&output, &task(0)).await.unwrap().as_ref(), Some(&done));
    assert_eq!(ledger.completions(&output, None, 1).await.unwrap(), [done]);
}

/// Each recorded failure returns a distinct count.
pub async fn failures_are_counted_one_by_one(ledger: Port, caps: &Capabilities) {
    let output = fresh_output(&ledger).await;
    assert_eq!(ledger.failures(&output, &task(0)).await.unwrap(), 0, "none was counted");
    let calls = (0..caps.callers).map(|_| {
        let (ledger, output) = (Arc::clone(&ledger), output.clone());
        async move { ledger.count_failure(&output, &task(0)).await.unwrap() }
    });
    let mut numbers = all_at_once(calls).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=caps.callers as u32).collect::<Vec<_>>());
    assert_eq!(ledger.count_failure(&output, &task(1)).await.unwrap(), 1, "tasks are counted apart");
    let read = [
        ledger.failures(&output, &task(0)).await.unwrap(),
        ledger.failures(&output, &task(1)).await.unwrap(),
    ];
    assert_eq!(read, [caps.callers as u32, 1], "reading the count does not change it");
}
