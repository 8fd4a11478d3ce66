//! Deletion: started from any state; leases end; the job is removed.

use segue_domain::{JobId, JobRecord, JobState, Tombstone};

use super::{
    Port, asked, begin_deletion, completion, counted, create, failure, finish, held, held_task, is_refused,
    must_change, new_job, read, seal, task, transcript, video,
};
use crate::conformance::{Capabilities, fresh_job};
use segue_ports::ledger::{JobChange, LeaseName, OutputChange, Recorded};

async fn delete(ledger: &Port, job: &JobRecord) {
    begin_deletion(ledger, &job.id).await;
    assert!(ledger.delete_job(job).await.unwrap(), "a job that is being deleted stays");
    assert_eq!(ledger.job(&job.id).await.unwrap(), None);
}

/// From any state; the job stays readable until it is removed.
pub async fn a_deletion_refuses_every_other_change(ledger: Port, _caps: &Capabilities) {
    let to = |change| JobChange::output(&video(), change);
    let ways: [Vec<JobChange>; 4] = [
        vec![],
        vec![seal(&video(), 0), to(OutputChange::Assemble)],
        vec![to(OutputChange::Fail(failure()))],
        vec![JobChange::Cancel],
    ];
    for way in ways {
        let id = fresh_job();
        create(&ledger, &id).await;
        for change in way {
            must_change(&ledger, &id, change).await;
        }
        let before = read(&ledger, &id).await;
        assert!(!ledger.delete_job(&before).await.unwrap(), "removed before its deletion began");
        assert_eq!(read(&ledger, &id).await, before, "a refused removal changed the job");
        let deleting = begin_deletion(&ledger, &id).await;
        assert_eq!((deleting.deleting, deleting.state()), (true, JobState::Deleting));
        assert_eq!(deleting.outputs, before.outputs);
        let add = JobChange::Add {
            outputs: vec![asked("stream")],
            recipe: "{}".to_owned(),
            revision: deleting.revision,
        };
        let others =
            [JobChange::Cancel, JobChange::Confirm, JobChange::Expire, JobChange::delete(&deleting), add];
        let changes = [OutputChange::Assemble, OutputChange::Cancel, OutputChange::Retry].map(to);
        for change in others.into_iter().chain(changes).chain([seal(&video(), 1), seal(&transcript(), 1)]) {
            is_refused(&ledger, &id, change, "the job is being deleted").await;
        }
        let again = ledger.create_job(new_job(&id)).await.unwrap();
        assert!(!again.created && again.job == deleting, "created over a job that is being deleted");
        assert!(ledger.delete_job(&deleting).await.unwrap());
    }
}

/// Ends the leases of this job only; one that is acquired afterwards is valid.
pub async fn a_deletion_ends_the_leases_of_its_job(ledger: Port, caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    let mut leases = Vec::new();
    for job in [&id, &other] {
        let job = create(&ledger, job).await;
        for name in [LeaseName::plan(&job.id), LeaseName::assemble(&job.id, &video())] {
            leases.push(held(&ledger, &name, "a", caps.long()).await);
        }
        for output in [video(), transcript()] {
            leases.push(held_task(&ledger, &job.output_ref(&output), &task(0), "a", caps.long()).await);
        }
    }
    begin_deletion(&ledger, &id).await;
    for lease in &leases {
        let name = lease.name.as_str();
        let is_held = ledger.renew(lease, caps.long()).await.unwrap();
        assert_eq!(is_held, !lease.name.belongs_to(&id), "{name} after the deletion of {id}");
    }
    let job = read(&ledger, &id).await;
    let done = completion(&job.output_ref(&video()), &leases[2], task(0), 0);
    assert_eq!(ledger.record(&done, &leases[2]).await.unwrap(), Recorded::Stale, "a worker of a deleted job");
}

/// Completions, counts, failures and leases are removed; terms are kept.
pub async fn a_deleted_job_leaves_only_its_terms(ledger: Port, caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    let (job, other) = (create(&ledger, &id).await, create(&ledger, &other).await);
    for job in [&job, &other] {
        for output in [video(), transcript()] {
            finish(&ledger, &job.output_ref(&output), task(0)).await;
            ledger.count_failure(&job.output_ref(&output), &task(1)).await.unwrap();
        }
    }
    let (mine, theirs) = (job.output_ref(&video()), other.output_ref(&video()));
    let lease = held_task(&ledger, &mine, &task(1), "a", caps.long()).await;
    let kept = held_task(&ledger, &theirs, &task(1), "a", caps.long()).await;

    delete(&ledger, &job).await;
    assert!(ledger.delete_job(&job).await.unwrap(), "a repeat");
    for output in [video(), transcript()] {
        let gone = job.output_ref(&output);
        assert_eq!(ledger.completions(&gone, None, 10).await.unwrap(), []);
        assert_eq!(ledger.completion(&gone, &task(0)).await.unwrap(), None);
        assert_eq!(counted(&ledger, &gone).await, 0);
        assert_eq!(ledger.failures(&gone, &task(1)).await.unwrap(), 0);
    }
    assert!(!ledger.renew(&lease, caps.long()).await.unwrap(), "the lease of a deleted job");

    let next = create(&ledger, &id).await;
    assert_ne!(next.epoch, job.epoch, "two jobs of one id are distinguished");
    let next_output = next.output_ref(&video());
    assert_eq!(counted(&ledger, &next_output).await, 0, "the count of the deleted job");
    let stale = ledger.record(&completion(&next_output, &lease, task(1), 0), &lease).await.unwrap();
    assert_eq!(stale, Recorded::Stale, "a worker of the deleted job records into the next one");
    let fail = JobChange::output(&video(), OutputChange::Fail(failure()));
    let fenced = ledger.change(&id, fail, Some(&lease)).await.unwrap();
    assert_eq!(fenced, None, "a worker of the deleted job changes the next one");
    assert_eq!(ledger.count_failure(&next_output, &task(1)).await.unwrap(), 1);
    let again = held_task(&ledger, &next_output, &task(1), "b", caps.long()).await;
    assert!(again.term > lease.term, "the term began again after a deletion");

    assert_eq!(counted(&ledger, &theirs).await, 1, "another job was touched");
    assert_eq!(ledger.completions(&theirs, None, 10).await.unwrap().len(), 1);
    assert_eq!(ledger.count_failure(&theirs, &task(1)).await.unwrap(), 2);
    assert!(ledger.renew(&kept, caps.long()).await.unwrap(), "another job's lease was ended");
}

/// A late request does not affect the next job with the id, even if that is being deleted too.
pub async fn a_late_deletion_does_not_touch_the_next_job(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    let first = create(&ledger, &id).await;
    delete(&ledger, &first).await;

    let next = create(&ledger, &id).await;
    let output = next.output_ref(&video());
    finish(&ledger, &output, task(0)).await;
    ledger.count_failure(&output, &task(1)).await.unwrap();
    let lease = held_task(&ledger, &output, &task(1), "b", caps.long()).await;
    assert_ne!(next.epoch, first.epoch, "two jobs of one id are distinguished");
    for deleting in [false, true] {
        if deleting {
            begin_deletion(&ledger, &id).await;
        }
        let before = read(&ledger, &id).await;
        is_refused(&ledger, &id, JobChange::delete(&first), "it names the epoch of an earlier job").await;
        assert!(!ledger.delete_job(&first).await.unwrap(), "the next job of that id was deleted");
        assert_eq!(read(&ledger, &id).await, before, "a late deletion changed the next job");
        assert_eq!(ledger.completions(&output, None, 10).await.unwrap().len(), 1);
        assert_eq!(counted(&ledger, &output).await, 1);
        assert_eq!(ledger.failures(&output, &task(1)).await.unwrap(), 1);
        let is_held = ledger.renew(&lease, caps.long()).await.unwrap();
        assert_eq!(is_held, !deleting, "a late deletion ended a lease of the next job");
    }
    assert!(ledger.delete_job(&next).await.unwrap());
    assert_eq!(ledger.job(&id).await.unwrap(), None);
}

/// The tombstone of a job: what `ledger` lists of it.
async fn tombstone(ledger: &Port, id: &JobId) -> Option<Tombstone> {
    let (mut from, mut found): (Option<String>, Vec<Tombstone>) = (None, Vec::new());
    loop {
        let page = ledger.tombstones(from.as_deref(), 2).await.unwrap();
        assert!(page.tombstones.len() <= 2, "a page is as long as was asked for");
        found.extend(page.tombstones.into_iter().filter(|tombstone| tombstone.job == *id));
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    assert!(found.len() <= 1, "an id has one tombstone");
    found.pop()
}

/// It appears with the removal of the job, stays, and is replaced by the next job, whose epoch is greater.
pub async fn a_deleted_job_leaves_a_tombstone(ledger: Port, _caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    let mut last = create(&ledger, &id).await;
    let other = create(&ledger, &other).await;
    delete(&ledger, &other).await;
    for _ in 0..3 {
        assert_eq!(tombstone(&ledger, &id).await, None, "the job is there");
        begin_deletion(&ledger, &id).await;
        assert_eq!(tombstone(&ledger, &id).await, None, "its deletion has only begun");
        assert!(ledger.delete_job(&last).await.unwrap());
        let left = tombstone(&ledger, &id).await.expect("a tombstone");
        assert_eq!((&left.job, &left.epoch), (&last.id, &last.epoch));
        assert!(left.deleted_at_ms >= last.created_at_ms, "deleted before it was created");
        assert!(!ledger.remove_tombstone(&left).await.unwrap(), "removed before its time");
        assert_eq!(tombstone(&ledger, &id).await.as_ref(), Some(&left));
        assert_eq!(ledger.job(&id).await.unwrap(), None);
        let listed = ledger.open_jobs(i64::MAX, None, 100_000).await.unwrap().jobs;
        assert!(listed.iter().all(|job| job.id != id), "a tombstone is no job");
        for change in [JobChange::Cancel, JobChange::delete(&last), seal(&video(), 0)] {
            assert_eq!(ledger.change(&id, change, None).await.unwrap(), None, "a tombstone was changed");
        }
        assert!(ledger.delete_job(&last).await.unwrap(), "a repeat");
        assert_eq!(tombstone(&ledger, &id).await.as_ref(), Some(&left), "a repeat changed the tombstone");
        let next = create(&ledger, &id).await;
        assert!(next.epoch > last.epoch, "epoch {} follows {}", next.epoch, last.epoch);
        assert!(!ledger.remove_tombstone(&left).await.unwrap(), "the next job is there");
        assert_eq!(read(&ledger, &id).await, next);
        last = next;
    }
    assert!(tombstone(&ledger, &other.id).await.is_some(), "the tombstone of another job");
}
