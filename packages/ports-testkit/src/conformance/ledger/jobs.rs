//! Creation and listing of jobs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::job::{DOCUMENT_MAX, OUTPUTS_MAX};
use segue_domain::{
    Failure, Gate, JobId, JobRecord, JobState, Key, NewOutput, OutputRecord, OutputState, PlanHash,
    SealedPlan,
};

use super::{
    Port, asked, begin_deletion, complete, completion, counted, create, create_of, failure, finish,
    held_task, is_refused, must_change, needing, new_job, new_job_of, optional, read, seal, task, transcript,
    video,
};
use crate::conformance::{Capabilities, all_at_once, fresh, fresh_job};
use segue_ports::error::PortErrorKind;
use segue_ports::ledger::{JobChange, JobFilter, JobPage, NewJob, OutputChange, Recorded};

/// Of concurrent callers one creates; all get the same job, also later.
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
    let stored = read(&ledger, &id).await;
    assert!(results.iter().all(|r| r.job == stored), "all get the same job");
    assert_eq!(stored.state(), JobState::Created);
    assert_eq!(stored.created_at_ms, stored.updated_at_ms);
    assert_eq!(counted(&ledger, &stored.output_ref(&video())).await, 0);

    must_change(&ledger, &id, JobChange::Cancel).await;
    let again = ledger.create_job(new_job(&id)).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.job.state(), JobState::Cancelled, "a repeat returns the job as it is");
}

/// Every field is returned unchanged.
pub async fn a_job_is_stored_as_it_was_created(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    let last = NewOutput { priority: -7, ..needing(optional("study"), "transcript", Gate::Plan) };
    let mut outputs = vec![asked("transcript"), needing(last, "video", Gate::Assembly), asked("video")];
    outputs.extend((3..32).map(|n| optional(&format!("o{n}"))));
    let recipe =
        "{\"text\":\"naïve \u{1f3ac} 'quoted\\\" \\\\ \\n\",\"big\":18446744073709551615}".to_owned();
    let new = NewJob { recipe, awaiting: Some(Duration::from_secs(90)), ..new_job_of(&id, outputs) };
    let created = ledger.create_job(new.clone()).await.unwrap();
    assert!(created.created);
    let job = read(&ledger, &id).await;
    assert_eq!(job, created.job);
    assert_eq!((&job.id, &job.asset, &job.source_key), (&new.id, &new.asset, &new.source_key));
    assert_eq!(job.recipe, new.recipe);
    let stored: Vec<NewOutput> = job.outputs.iter().map(|output| output.asked.clone()).collect();
    assert_eq!(stored, new.outputs, "outputs keep their order and their fields");
    assert!(job.outputs.iter().all(|output| output.state == OutputState::Created && output.retries == 0));
    assert_eq!(job.awaiting_until_ms, Some(job.created_at_ms + 90_000));
    assert_eq!((job.deleting, job.completed_at_ms), (false, None));
}

/// Refused: no outputs, two of one name, a need of a missing output, a cycle, too many.
pub async fn outputs_that_cannot_stand_together_are_refused(ledger: Port, _caps: &Capabilities) {
    for outputs in [
        vec![],
        vec![asked("video"), asked("video")],
        vec![needing(asked("video"), "transcript", Gate::Plan)],
        vec![needing(asked("video"), "video", Gate::Assembly)],
        vec![needing(asked("video"), "transcript", Gate::Plan), optional("transcript")],
        (0..33).map(|n| asked(&format!("o{n}"))).collect(),
    ] {
        let id = fresh_job();
        let error = ledger.create_job(new_job_of(&id, outputs.clone())).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Misuse, "{outputs:?}: {error}");
        assert_eq!(ledger.job(&id).await.unwrap(), None, "a refused job was stored");
    }
}

/// A missing job reads as `None`.
pub async fn an_unknown_job_reads_as_absent(ledger: Port, caps: &Capabilities) {
    let (id, other) = (fresh_job(), fresh_job());
    let other = create(&ledger, &other).await;
    let unknown = JobRecord { id: id.clone(), ..other };
    let output = unknown.output_ref(&video());
    assert_eq!(ledger.job(&id).await.unwrap(), None);
    assert_eq!(ledger.change(&id, JobChange::Cancel, None).await.unwrap(), None);
    assert_eq!(
        ledger.change(&id, JobChange::Delete { epoch: "e".parse().unwrap() }, None).await.unwrap(),
        None
    );
    assert_eq!(ledger.completion(&output, &task(0)).await.unwrap(), None);
    assert_eq!(ledger.completions(&output, None, 10).await.unwrap(), []);
    assert_eq!(counted(&ledger, &output).await, 0);
    assert_eq!(ledger.failures(&output, &task(0)).await.unwrap(), 0);
    let error = ledger.count_failure(&output, &task(0)).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
    let lease = held_task(&ledger, &output, &task(0), "a", caps.long()).await;
    let recorded = ledger.record(&completion(&output, &lease, task(0), 0), &lease).await.unwrap();
    assert_eq!(recorded, Recorded::Stale, "a completion without a job");
    assert_eq!(ledger.completion(&output, &task(0)).await.unwrap(), None);
    assert_eq!(counted(&ledger, &output).await, 0);
    assert!(ledger.delete_job(&unknown).await.unwrap(), "an absent job counts as deleted");
}

/// A job of as many outputs as are allowed is sealed, committed and failed to its end; one that could not be is
/// refused when it is created, or extended.
pub async fn a_document_that_could_outgrow_its_row_is_refused(ledger: Port, _caps: &Capabilities) {
    let long = |n: usize| format!("{n:02}{}", "o".repeat(94));
    let outputs: Vec<NewOutput> = (0..OUTPUTS_MAX).map(|n| asked(&long(n))).collect();
    let id: JobId = format!("{:a<80}", fresh_job().as_str()).parse().expect("a plain id");
    let job = |outputs: &[NewOutput], recipe: usize| NewJob {
        recipe: "r".repeat(recipe),
        ..new_job_of(&id, outputs.to_vec())
    };
    let error = ledger.create_job(job(&outputs, DOCUMENT_MAX)).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    assert!(error.message.contains("65536 bytes") && error.message.contains("32 outputs"), "{error}");
    assert_eq!(ledger.job(&id).await.unwrap(), None, "a refused job was created");

    let (first, rest) = outputs.split_at(1);
    ledger.create_job(job(first, 10)).await.unwrap();
    let add =
        |recipe: usize| JobChange::Add { outputs: rest.to_vec(), recipe: "r".repeat(recipe), revision: 1 };
    is_refused(&ledger, &id, add(DOCUMENT_MAX), "it could outgrow its row").await;
    let mut largest = 0;
    for recipe in (0..DOCUMENT_MAX).step_by(1024) {
        let mut grown = read(&ledger, &id).await;
        grown.recipe = "r".repeat(recipe);
        grown.outputs = outputs.iter().map(|asked| OutputRecord::new(asked.clone(), 0)).collect();
        largest = if grown.check_size().is_ok() { recipe } else { largest };
    }
    let added = ledger.change(&id, add(largest), None).await.unwrap();
    assert!(added.is_some(), "a document of the largest size is refused");
    let hash = "f".repeat(64);
    for output in &outputs {
        let term = segue_domain::Term(u64::MAX);
        let key = Key::segment(&id, &output.id, term, "plan.json").expect("a plain name").to_string();
        let plan = SealedPlan { hash: PlanHash(hash.clone()), key, tasks: u64::MAX };
        must_change(&ledger, &id, JobChange::Seal(vec![(output.id.clone(), plan)])).await;
        let tail = vec!["\u{e9}".repeat(10_000); 10];
        let failure = Failure { stderr_tail: tail, cause: "c".repeat(100_000), ..failure() };
        must_change(&ledger, &id, JobChange::output(&output.id, OutputChange::Fail(failure))).await;
    }
    assert!(read(&ledger, &id).await.outputs.iter().all(|output| output.failure.is_some()));
}

/// Which list is read.
#[derive(Clone)]
enum Listing {
    Jobs(JobFilter),
    Open(i64),
}

impl Listing {
    async fn page(&self, ledger: &Port, from: Option<&str>, max: usize) -> JobPage {
        match self {
            Listing::Jobs(filter) => ledger.jobs(filter.clone(), from, max).await.unwrap(),
            Listing::Open(before_ms) => ledger.open_jobs(*before_ms, from, max).await.unwrap(),
        }
    }

    /// Every page; only jobs of this clause, since subjects may share the table.
    async fn walk(&self, ledger: &Port, max: usize, mine: &BTreeSet<JobId>) -> Vec<JobId> {
        let mut ids = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let page = self.page(ledger, from.as_deref(), max).await;
            assert!(page.jobs.len() <= max, "a page has at most {max} jobs");
            ids.extend(page.jobs.into_iter().map(|job| job.id).filter(|id| mine.contains(id)));
            match page.next {
                Some(next) => assert_ne!(from.replace(next.clone()), Some(next), "the same page again"),
                None => return ids,
            }
        }
    }
}

async fn check_pages(ledger: &Port, listing: Listing, mine: &BTreeSet<JobId>) {
    let first = listing.walk(ledger, 2, mine).await;
    let distinct: BTreeSet<JobId> = first.iter().cloned().collect();
    assert_eq!(distinct.len(), first.len(), "a job is on two pages");
    assert_eq!(&distinct, mine, "a job is on no page");
    for max in [1, 3, 7, 1000] {
        assert_eq!(listing.walk(ledger, max, mine).await, first, "the order depends on the page size");
    }
}

/// Every job is on one page, in a stable order; likewise with open jobs.
pub async fn jobs_are_listed_in_pages(ledger: Port, _caps: &Capabilities) {
    let stem = fresh("page");
    let mut mine = BTreeSet::new();
    for n in 0..7 {
        let id: JobId = format!("{stem}-{n}").parse().expect("a plain id");
        create(&ledger, &id).await;
        mine.insert(id);
    }
    check_pages(&ledger, Listing::Jobs(JobFilter::default()), &mine).await;
    check_pages(&ledger, Listing::Open(i64::MAX), &mine).await;
}

/// Each filter alone and both together.
pub async fn jobs_are_filtered_by_state_and_time(ledger: Port, caps: &Capabilities) {
    let (old, young) = (fresh_job(), fresh_job());
    let mine = BTreeSet::from([old.clone(), young.clone()]);
    create_of(&ledger, &old, vec![asked("video")]).await;
    must_change(&ledger, &old, seal(&video(), 3)).await;
    tokio::time::sleep(caps.settle).await;
    let created_at = create(&ledger, &young).await.updated_at_ms;

    let before = JobFilter { updated_before_ms: Some(created_at), ..JobFilter::default() };
    let found = Listing::Jobs(before).walk(&ledger, 2, &mine).await;
    assert_eq!(found, std::slice::from_ref(&old), "before means before");
    assert_eq!(
        Listing::Open(created_at).walk(&ledger, 2, &mine).await,
        std::slice::from_ref(&old),
        "before means before"
    );
    let state = |state| JobFilter { state: Some(state), ..JobFilter::default() };
    let mapping = Listing::Jobs(state(JobState::Mapping)).walk(&ledger, 2, &mine).await;
    assert_eq!(mapping, std::slice::from_ref(&old));
    let both = JobFilter { updated_before_ms: Some(created_at), ..state(JobState::Created) };
    let found = Listing::Jobs(both).walk(&ledger, 2, &mine).await;
    assert_eq!(found, [], "both conditions hold at once");

    tokio::time::sleep(caps.settle).await;
    let after = must_change(&ledger, &old, JobChange::Cancel).await;
    assert!(after.updated_at_ms > created_at, "the time of a change is its own");
    let cancelled = Listing::Jobs(state(JobState::Cancelled)).walk(&ledger, 2, &mine).await;
    assert_eq!(cancelled, [old], "the state in the index is an old one");
}

/// A job of one optional output beside a required one that is completed.
async fn completed_but_for(ledger: &Port, asked_too: NewOutput) -> JobId {
    let id = fresh_job();
    create_of(ledger, &id, vec![asked("video"), asked_too]).await;
    complete(ledger, &id, &video()).await;
    id
}

/// In any state: an open optional output keeps a completed job on the list.
pub async fn open_jobs_are_exactly_the_open_jobs(ledger: Port, _caps: &Capabilities) {
    let mut open = BTreeSet::new();
    let mut closed = BTreeSet::new();
    let id = fresh_job();
    create(&ledger, &id).await;
    open.insert(id);
    let id = completed_but_for(&ledger, optional("study")).await;
    assert_eq!(read(&ledger, &id).await.state(), JobState::Completed);
    open.insert(id);
    let id = completed_but_for(&ledger, optional("study")).await;
    complete(&ledger, &id, &super::output("study")).await;
    closed.insert(id);

    // an output that needs a failed one is not open until that one is retried
    let fail = |output: &segue_domain::OutputId| JobChange::output(output, OutputChange::Fail(failure()));
    for retried in [false, true] {
        let id = fresh_job();
        let study = needing(optional("study"), "transcript", Gate::Assembly);
        create_of(&ledger, &id, vec![asked("transcript"), study]).await;
        must_change(&ledger, &id, fail(&transcript())).await;
        if retried {
            must_change(&ledger, &id, JobChange::output(&transcript(), OutputChange::Retry)).await;
            open.insert(id);
        } else {
            closed.insert(id);
        }
    }
    let id = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, fail(&video())).await;
    open.insert(id);
    let id = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, JobChange::Cancel).await;
    closed.insert(id.clone());
    let id = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, JobChange::Cancel).await;
    begin_deletion(&ledger, &id).await;
    open.insert(id);
    let id = fresh_job();
    let awaiting = NewJob { awaiting: Some(Duration::from_secs(3600)), ..new_job(&id) };
    ledger.create_job(awaiting).await.unwrap();
    open.insert(id);
    let id = completed_but_for(&ledger, optional("study")).await;
    let added = vec![asked("later")];
    must_change(&ledger, &id, JobChange::output(&super::output("study"), OutputChange::Cancel)).await;
    let revision = read(&ledger, &id).await.revision;
    must_change(&ledger, &id, JobChange::Add { outputs: added, recipe: "{}".into(), revision }).await;
    open.insert(id);

    // a completion does not change the job document and closes nothing
    let counted = open.first().cloned().expect("a job");
    let job = read(&ledger, &counted).await;
    finish(&ledger, &job.output_ref(job.outputs[0].id()), task(0)).await;
    let all: BTreeSet<JobId> = open.union(&closed).cloned().collect();
    for max in [2, 3, 1000] {
        let found: BTreeSet<JobId> =
            Listing::Open(i64::MAX).walk(&ledger, max, &all).await.into_iter().collect();
        let missing: Vec<_> = open.difference(&found).collect();
        assert!(missing.is_empty(), "open jobs are not listed: {missing:?}");
        assert_eq!(found, open, "jobs that are not open are listed");
    }
}
