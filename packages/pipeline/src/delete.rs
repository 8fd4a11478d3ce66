//! Deletion of a job with its files.
//!
//! `deleting` is set first: it refuses every other change of the job and ends its leases. While the
//! document exists no later job with that id can be created. Two callers can delete the same job, a user
//! and the sweeper, and one of them can be slow: so the ledger is read after each listing to check that the
//! document still exists. Files of attempts are removed before public ones: publishing copies from
//! an attempt's key, so once those are removed a slow publisher finds nothing to copy.
//!
//! One case is not covered: a request that was sent before and reaches the store late can leave one file,
//! which the sweeper removes below `work/` and `segments/`, and which the next job of that id replaces
//! where it is public.

use segue_domain::{JobId, JobRecord, Key};
use segue_ports::JobChange;

use crate::config::Deps;

/// Page size of listings.
const PAGE: usize = 1000;

/// What is deleted with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The source is kept: it belongs to the asset.
    Keep,
    /// The source is deleted with the job.
    Delete,
}

/// Deletes a job in any state with all its files; returns whether there was a job or a file of it. A missing
/// job is not an error: a repeat continues where an earlier call stopped.
///
/// # Errors
/// Errors of the ledger and the store; the job is then being deleted, and a repeat or the sweeper continues.
pub async fn delete(deps: &Deps, job: &JobId, source: Source) -> anyhow::Result<bool> {
    let mut read = deps.ledger.job(job).await?;
    if let Some(found) = read.as_ref().filter(|found| !found.deleting) {
        let marked = match deps.ledger.change(job, JobChange::delete(found), None).await? {
            Some(marked) => Some(marked),
            // by another caller, who may have finished
            None => deps.ledger.job(job).await?,
        };
        if marked.as_ref().is_some_and(|marked| !marked.deleting || marked.epoch != found.epoch) {
            // a later job: that which was read is deleted
            return Ok(true);
        }
        read = marked.or(read);
    }
    let removed = delete_read(deps, job, read.as_ref(), source).await?;
    Ok(read.is_some() || removed > 0)
}

/// Continues the deletion of a job that was read while it was being deleted. A later job with its id is
/// not affected.
///
/// # Errors
/// As [`delete`].
pub(crate) async fn continue_deletion(deps: &Deps, read: &JobRecord) -> anyhow::Result<()> {
    delete_read(deps, &read.id, Some(read), Source::Keep).await.map(|_| ())
}

/// Returns the number of objects that were removed.
async fn delete_read(
    deps: &Deps,
    job: &JobId,
    read: Option<&JobRecord>,
    source: Source,
) -> anyhow::Result<usize> {
    let mut prefixes = vec![Key::work_prefix(job), Key::published_prefix(job), Key::segment_prefix(job)];
    if source == Source::Delete {
        prefixes.push(Key::input_prefix(job));
    }
    let mut removed = 0;
    for prefix in prefixes {
        match remove(deps, &prefix, job, read).await? {
            Some(count) => removed += count,
            None => return Ok(removed),
        }
    }
    if let Some(read) = read {
        deps.ledger.delete_job(read).await?;
    }
    Ok(removed)
}

/// Removes every object whose key begins with `prefix`, as long as the ledger has the job that was read, or
/// none if there was none; returns their number, or `None` when the ledger has another. Another caller can finish the same deletion, and a later
/// job with that id can be created, between any two calls.
///
/// Keys of attempts carry terms, which are never repeated: what was listed before the ledger answered
/// belongs to this job or an earlier one. Other keys are asked for one by one.
pub(crate) async fn remove(
    deps: &Deps,
    prefix: &str,
    job: &JobId,
    read: Option<&JobRecord>,
) -> anyhow::Result<Option<usize>> {
    let have_terms = [Key::WORK, Key::SEGMENTS].iter().any(|area| prefix.starts_with(area));
    let at_once = if have_terms { PAGE } else { 1 };
    let (mut removed, mut from) = (0, None::<String>);
    loop {
        let page = deps.store.list(prefix, from.as_deref(), PAGE).await?;
        for objects in page.objects.chunks(at_once) {
            let now = deps.ledger.job(job).await?;
            let is_same = now.as_ref().map(|now| &now.epoch) == read.map(|read| &read.epoch);
            if !is_same {
                return Ok(None);
            }
            let keys: Result<Vec<Key>, _> = objects.iter().map(|object| object.key.parse()).collect();
            deps.store.delete_many(&keys?).await?;
            removed += objects.len();
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(Some(removed)),
        }
    }
}
