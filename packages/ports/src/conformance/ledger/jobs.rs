//! Creation, listing and deletion of jobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use segue_domain::{JobId, JobRecord, JobState};

use super::{
    Port, completion, counted, create, failure, finish, held, must_change, new_job, plan_of, read, task,
};
use crate::conformance::{Capabilities, all_at_once, fresh, fresh_job};
use crate::error::PortErrorKind;
use crate::ledger::{JobChange, JobFilter, LeaseName, Recorded};

/// One of many callers creates; all see the same job, also later.
pub async fn a_job_is_created_once(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    let calls = (0..caps.callers).map(|n| {
        let mut job = new_job(&id);
        job.recipe = format!("{{\"caller\":{n}}}");
        let ledger = Arc::clone(&ledger);
        async move { ledger.create_job(job).await.unwrap() }
    });
    let results = all_at_once(calls).await;
    assert_eq!(results.iter().filter(|r| r.created).count(), 1, "one of many creates");
    let stands = ledger.job(&id).await.unwrap().expect("the job");
    assert!(results.iter().all(|r| r.job == stands), "all see the same job");
    assert_eq!(stands.state, JobState::Created);
    assert_eq!((stands.completed_tasks, &stands.plan, &stands.failure), (0, &None, &None));
    assert_eq!(stands.created_at_ms, stands.updated_at_ms);

    must_change(&ledger, &id, JobChange::Cancel).await;
    let again = ledger.create_job(new_job(&id)).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.job.state, JobState::Cancelled, "a repeat shows the job as it stands");
}

/// Nothing is made up for a job that is not there.
pub async fn what_is_not_there_is_said_so(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    assert_eq!(ledger.job(&id).await.unwrap(), None);
    assert_eq!(ledger.change(&id, JobChange::Cancel, None).await.unwrap(), None);
    assert_eq!(ledger.completion(&id, &task(0)).await.unwrap(), None);
    assert_eq!(ledger.completions(&id, None, 10).await.unwrap(), []);
    let error = ledger.count_failure(&id, &task(0)).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
    let lease = held(&ledger, &LeaseName::task(&id, &task(0)), "a", caps.long()).await;
    let recorded = ledger.record(&completion(&id, &lease, task(0), 0), &lease).await.unwrap();
    assert_eq!(recorded, Recorded::Stale, "a completion without a job");
    assert_eq!(ledger.completion(&id, &task(0)).await.unwrap(), None);
    let other = fresh_job();
    create(&ledger, &other).await;
    let stranger = JobRecord { id: id.clone(), ..read(&ledger, &other).await };
    assert!(ledger.delete_job(&stranger).await.unwrap(), "what is not there is gone");
}

async fn walk(ledger: &Port, filter: &JobFilter, max: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    let mut from: Option<String> = None;
    loop {
        let page = ledger.jobs(filter.clone(), from.as_deref(), max).await.unwrap();
        assert!(page.jobs.len() <= max, "a page holds at most {max}");
        ids.extend(page.jobs.into_iter().map(|job| job.id));
        match page.next {
            Some(next) => assert_ne!(from.replace(next.clone()), Some(next), "the same page again"),
            None => return ids,
        }
    }
}

/// Every job stands on one page, in the same order each time.
pub async fn jobs_come_in_pages(ledger: Port, _caps: &Capabilities) {
    let stem = fresh("page");
    let mut mine = BTreeSet::new();
    for n in 0..7 {
        let id: JobId = format!("{stem}-{n}").parse().expect("a plain id");
        create(&ledger, &id).await;
        mine.insert(id);
    }
    let all = JobFilter::default();
    let first = walk(&ledger, &all, 2).await;
    let distinct: BTreeSet<JobId> = first.iter().cloned().collect();
    assert_eq!(distinct.len(), first.len(), "a job stands on two pages");
    assert!(mine.is_subset(&distinct), "a job stands on no page");
    for max in [1, 3, 7, 1000] {
        assert_eq!(walk(&ledger, &all, max).await, first, "the order depends on the page size");
    }
}

/// State and time of the last change choose.
pub async fn jobs_are_filtered(ledger: Port, caps: &Capabilities) {
    let (old, young) = (fresh_job(), fresh_job());
    create(&ledger, &old).await;
    must_change(&ledger, &old, JobChange::Seal(plan_of(3))).await;
    tokio::time::sleep(caps.settle).await;
    create(&ledger, &young).await;
    let created_at = ledger.job(&young).await.unwrap().expect("the job").updated_at_ms;

    let before = JobFilter { updated_before_ms: Some(created_at), ..JobFilter::default() };
    let found = walk(&ledger, &before, 2).await;
    assert!(found.contains(&old) && !found.contains(&young), "before means before");
    let state = |state| JobFilter { state: Some(state), ..JobFilter::default() };
    let mapping = walk(&ledger, &state(JobState::Mapping), 2).await;
    assert!(mapping.contains(&old) && !mapping.contains(&young));
    let both = JobFilter { updated_before_ms: Some(created_at), ..state(JobState::Created) };
    let found = walk(&ledger, &both, 2).await;
    assert!(!found.contains(&old) && !found.contains(&young), "both conditions hold at once");

    tokio::time::sleep(caps.settle).await;
    finish(&ledger, &old, task(0)).await;
    let changed = ledger.job(&old).await.unwrap().expect("the job").updated_at_ms;
    assert!(changed > created_at, "a counted task is a change");
}

/// Counts, completions and leases go; terms stay known.
pub async fn a_deleted_job_leaves_nothing_but_its_terms(ledger: Port, caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    for job in [&id, &other] {
        create(&ledger, job).await;
        finish(&ledger, job, task(0)).await;
        ledger.count_failure(job, &task(1)).await.unwrap();
    }
    let name = LeaseName::task(&id, &task(1));
    let lease = held(&ledger, &name, "a", caps.long()).await;
    let kept = held(&ledger, &LeaseName::task(&other, &task(1)), "a", caps.long()).await;

    let deleted = read(&ledger, &id).await;
    assert!(ledger.delete_job(&deleted).await.unwrap());
    assert!(ledger.delete_job(&deleted).await.unwrap(), "a repeat");
    assert_eq!(ledger.job(&id).await.unwrap(), None);
    assert_eq!(ledger.completions(&id, None, 10).await.unwrap(), []);
    assert!(!ledger.renew(&lease, caps.long()).await.unwrap(), "the lease of a deleted job");

    create(&ledger, &id).await;
    assert_eq!(counted(&ledger, &id).await, 0, "the count of the deleted job");
    let stale = ledger.record(&completion(&id, &lease, task(1), 0), &lease).await.unwrap();
    assert_eq!(stale, Recorded::Stale, "a worker of the deleted job records into the new one");
    let fenced = ledger.change(&id, JobChange::Fail(failure()), Some(&lease)).await.unwrap();
    assert_eq!(fenced, None, "a worker of the deleted job changes the new one");
    assert_eq!(ledger.count_failure(&id, &task(1)).await.unwrap(), 1);
    let next = held(&ledger, &name, "b", caps.long()).await;
    assert!(next.term > lease.term, "the term began again after a deletion");

    assert_eq!(counted(&ledger, &other).await, 1, "another job was touched");
    assert_eq!(ledger.completions(&other, None, 10).await.unwrap().len(), 1);
    assert_eq!(ledger.count_failure(&other, &task(1)).await.unwrap(), 2);
    assert!(ledger.renew(&kept, caps.long()).await.unwrap(), "another job's lease was ended");
}

/// A request that comes late does nothing to a job that was driven on, nor to the next of its id.
pub async fn a_late_deletion_leaves_what_it_did_not_read(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, JobChange::Fail(failure())).await;
    let failed = read(&ledger, &id).await;
    must_change(&ledger, &id, JobChange::Retry).await;
    finish(&ledger, &id, task(0)).await;
    let name = LeaseName::task(&id, &task(1));
    let driven = (read(&ledger, &id).await, held(&ledger, &name, "a", caps.long()).await);
    assert!(!ledger.delete_job(&failed).await.unwrap(), "it has gone on since it was read");
    assert_eq!(read(&ledger, &id).await, driven.0, "a refused deletion changes nothing");
    assert!(ledger.renew(&driven.1, caps.long()).await.unwrap(), "a refused deletion ended a lease");
    assert!(ledger.delete_job(&driven.0).await.unwrap());

    create(&ledger, &id).await;
    finish(&ledger, &id, task(0)).await;
    ledger.count_failure(&id, &task(1)).await.unwrap();
    let next = (read(&ledger, &id).await, held(&ledger, &name, "b", caps.long()).await);
    assert_ne!(next.0.epoch, driven.0.epoch, "two jobs of one id are told apart");
    assert_eq!(next.0.state, driven.0.state, "only the epoch tells them apart");
    assert!(!ledger.delete_job(&driven.0).await.unwrap(), "the next job of that id");
    assert_eq!(read(&ledger, &id).await, next.0, "a late deletion touched the next job");
    assert_eq!(ledger.completions(&id, None, 10).await.unwrap().len(), 1);
    assert_eq!(ledger.count_failure(&id, &task(1)).await.unwrap(), 2);
    assert!(
        ledger.renew(&next.1, caps.long()).await.unwrap(),
        "a late deletion ended a lease of the next job"
    );
    assert!(ledger.delete_job(&next.0).await.unwrap());
    assert_eq!(ledger.job(&id).await.unwrap(), None);
}
