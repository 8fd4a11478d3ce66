//! The outbox: notices that are durable with a change.

use segue_domain::{JobId, JobRecord, OutboxEntry};

use super::{Port, begin_deletion, create, failure, held, index, must_change, read, seal, transcript, video};
use crate::conformance::{Capabilities, fresh, fresh_job};
use segue_ports::ledger::{JobChange, LeaseName, OutputChange};
use segue_ports::notices;

/// More entries than any other clause leaves in a shared table.
const ALL: usize = 100_000;

/// The notices about a job, in the order of their ids.
async fn about(ledger: &Port, job: &JobRecord) -> Vec<OutboxEntry> {
    let mut all = ledger.outbox(ALL).await.unwrap();
    all.retain(|entry| entry.id.starts_with(job.epoch.as_str()));
    all.sort();
    all
}

fn to(change: OutputChange) -> JobChange {
    JobChange::output(&video(), change)
}

/// Every kind of change: those that end no output have none, the others those of the two documents.
pub async fn the_notices_of_a_change_are_durable_with_it(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    let mut before = create(&ledger, &id).await;
    let mut all = Vec::new();
    for change in [
        seal(&video(), 0),
        to(OutputChange::Fail(failure())),
        to(OutputChange::Retry),
        JobChange::Cancel,
        to(OutputChange::Retry),
        to(OutputChange::Assemble),
        to(OutputChange::Commit(index())),
        to(OutputChange::Complete),
    ] {
        let after = must_change(&ledger, &id, change.clone()).await;
        all.extend(notices(&before, &after));
        all.sort();
        assert_eq!(about(&ledger, &after).await, all, "the notices after {change:?}");
        before = after;
    }
    let deleting = begin_deletion(&ledger, &id).await;
    all.extend(notices(&before, &deleting));
    let kinds: Vec<&str> = all.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds[..4], ["job-failed", "output-failed", "job-cancelled", "output-cancelled"]);
    assert_eq!(kinds.last(), Some(&"job-deleting"));
    all.sort();
    assert_eq!(about(&ledger, &deleting).await, all, "the notice of a deletion");
    assert_eq!(ledger.outbox(3).await.unwrap().len(), 3, "at most as many as were asked for");
    assert_eq!(ledger.outbox(0).await.unwrap(), []);
}

/// Refused by the state, by the fence, or because the job does not exist.
pub async fn a_refused_change_leaves_no_notice(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    assert_eq!(ledger.change(&id, JobChange::Cancel, None).await.unwrap(), None);
    let job = create(&ledger, &id).await;
    assert_eq!(ledger.change(&id, to(OutputChange::Complete), None).await.unwrap(), None);
    let lease = held(&ledger, &LeaseName::assemble(&id, &video()), "a", caps.long()).await;
    ledger.release(&lease).await.unwrap();
    assert_eq!(ledger.change(&id, to(OutputChange::Cancel), Some(&lease)).await.unwrap(), None);
    assert_eq!(about(&ledger, &job).await, [], "a refused change left a notice");
    must_change(&ledger, &id, JobChange::Cancel).await;
    assert_eq!(ledger.change(&id, JobChange::Cancel, None).await.unwrap(), None);
    assert_eq!(about(&ledger, &job).await.len(), 3, "two outputs and the job, once");
}

/// Removal is idempotent and affects one notice.
pub async fn a_removed_notice_does_not_return(ledger: Port, _caps: &Capabilities) {
    let id: JobId = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, to(OutputChange::Cancel)).await;
    must_change(&ledger, &id, JobChange::output(&transcript(), OutputChange::Cancel)).await;
    let job = read(&ledger, &id).await;
    let mut left = about(&ledger, &job).await;
    let first = left.remove(0);
    for _ in 0..2 {
        ledger.remove_from_outbox(&first.id).await.unwrap();
        assert_eq!(about(&ledger, &job).await, left, "one notice is removed, and no other");
    }
    ledger.remove_from_outbox(&fresh("unknown")).await.unwrap();
    for entry in left {
        ledger.remove_from_outbox(&entry.id).await.unwrap();
    }
    assert_eq!(about(&ledger, &job).await, []);
}
