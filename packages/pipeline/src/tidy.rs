//! Removing what nobody names any more.
//!
//! A request can reach the store long after its sender gave up, so a job's folder is not
//! empty for ever because it was emptied once: the sweeper comes back. Whoever removes lists
//! *before* asking the ledger. Keys carry terms, terms never come twice, and so what was
//! listed before the ledger said that a job has ended is not what a later job of that name
//! has written.

use std::collections::BTreeMap;
use std::time::Duration;

use segue_domain::{HolderId, JobId, JobState, Key, TaskId};
use segue_ports::{Acquired, LeaseName, mutant};

use crate::deps::Deps;
use crate::publish::{joining, keys_of};

/// Objects that are listed at once.
const PAGE: usize = 1000;

/// Removes what was only needed on the way to a completed job.
///
/// # Errors
/// The ledger's and the store's.
pub async fn tidy_completed(deps: &Deps, job: &JobId) -> anyhow::Result<()> {
    let mut prefixes = vec![Key::work_prefix(job), Key::segment_prefix(job)];
    if mutant!("segments-not-tidied") {
        prefixes.pop();
    }
    for prefix in prefixes {
        let mut from: Option<String> = None;
        loop {
            let page = deps.store.list(&prefix, from.as_deref(), PAGE).await?;
            if page.objects.is_empty() {
                break;
            }
            if !mutant!("tidy-without-asking")
                && deps.ledger.job(job).await?.is_none_or(|job| job.state != JobState::Completed)
            {
                return Ok(());
            }
            deps.store.delete_many(&keys_of(&page.objects)?).await?;
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

/// Removes from the whole store what no job needs: everything on the way of jobs that are
/// completed or not there, and of jobs that ended otherwise what no completion names.
///
/// # Errors
/// The ledger's and the store's.
pub async fn tidy_store(deps: &Deps, holder: &HolderId, ttl: Duration) -> anyhow::Result<()> {
    for prefix in [Key::WORK, Key::SEGMENTS] {
        if mutant!("store-not-tidied") || mutant!("segments-not-tidied") && prefix == Key::SEGMENTS {
            continue;
        }
        let mut from: Option<String> = None;
        loop {
            let page = deps.store.list(prefix, from.as_deref(), PAGE).await?;
            let mut jobs = BTreeMap::<JobId, Vec<Key>>::new();
            for object in page.objects {
                let key: Key = object.key.parse()?;
                jobs.entry(key.job().clone()).or_default().push(key);
            }
            for (job, keys) in jobs {
                tidy_job(deps, holder, ttl, &job, keys).await?;
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

async fn tidy_job(
    deps: &Deps,
    holder: &HolderId,
    ttl: Duration,
    job: &JobId,
    keys: Vec<Key>,
) -> anyhow::Result<()> {
    match deps.ledger.job(job).await?.map(|job| job.state) {
        None | Some(JobState::Completed) => {
            deps.store.delete_many(&keys).await?;
        }
        Some(JobState::Failed | JobState::Cancelled) => {
            let mut tasks = BTreeMap::<TaskId, Vec<Key>>::new();
            for key in keys {
                if let Key::Work { task, .. } = &key {
                    tasks.entry(task.clone()).or_default().push(key);
                }
            }
            for (task, keys) in tasks {
                tidy_task(deps, holder, ttl, job, &task, keys).await?;
            }
        }
        Some(_) => {}
    }
    Ok(())
}

/// Removes what attempts at a task of a job that ended badly left. The task's lease is taken
/// first: an attempt that still goes on could record a file that is about to be removed.
async fn tidy_task(
    deps: &Deps,
    holder: &HolderId,
    ttl: Duration,
    job: &JobId,
    task: &TaskId,
    keys: Vec<Key>,
) -> anyhow::Result<()> {
    let named = |keys: &[Key], done: Option<segue_domain::Completion>| -> Vec<Key> {
        let files = done.map(|done| done.files).unwrap_or_default();
        let is_named = |key: &Key| files.iter().any(|file| file.key == key.to_string());
        keys.iter().filter(|key| !is_named(key)).cloned().collect()
    };
    // what a spare attempt made is named by the completion of its task
    let done = task.of_spare().filter(|_| !mutant!("spare-tidied-by-name")).unwrap_or_else(|| task.clone());
    if named(&keys, deps.ledger.completion(job, &done).await?).is_empty() {
        return Ok(());
    }
    let name = if *task == joining() { LeaseName::reassemble(job) } else { LeaseName::task(job, task) };
    if mutant!("tidy-unfenced") {
        deps.store.delete_many(&keys).await?;
        return Ok(());
    }
    let Acquired::Held(lease) = deps.ledger.acquire(&name, holder, ttl).await? else { return Ok(()) };
    // from here on no earlier attempt can record or commit
    let state = deps.ledger.job(job).await?.map(|job| job.state);
    if matches!(state, Some(JobState::Failed | JobState::Cancelled)) {
        deps.store.delete_many(&named(&keys, deps.ledger.completion(job, &done).await?)).await?;
    }
    deps.ledger.release(&lease).await?;
    Ok(())
}
