//! Deletion of a job with its files.
//!
//! `deleting` is set first: it refuses every other change of the job and ends its leases. While the
//! document exists no later job with that id can be created, so its files can be removed without reading
//! the ledger again. Files of attempts are removed before public ones: publishing copies from
//! an attempt's key, so once those are removed a slow publisher finds nothing to copy.
//!
//! One case is not covered: a request that was sent before and reaches the store late can leave one file,
//! which the sweeper removes below `work/` and `segments/`, and which the next job of that id replaces
//! where it is public.

use segue_domain::{JobId, Key};
use segue_ports::{JobChange, mutant};

use crate::cleanup::delete_prefix;
use crate::config::Deps;

/// What is deleted with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The source is kept: it belongs to the asset.
    Keep,
    /// The source is deleted with the job.
    Delete,
}

/// Deletes a job in any state with all its files. A missing job is not an error: a repeat
/// continues where an earlier call stopped.
///
/// # Errors
/// Errors of the ledger and the store; the job is then being deleted, and a repeat or the sweeper continues.
pub async fn delete(deps: &Deps, job: &JobId, source: Source) -> anyhow::Result<()> {
    if !mutant!("delete-without-marking") {
        deps.ledger.change(job, JobChange::Delete, None).await?;
    }
    let read = deps.ledger.job(job).await?;
    let mut prefixes = vec![Key::work_prefix(job), Key::published_prefix(job), Key::segment_prefix(job)];
    if source == Source::Delete {
        prefixes.push(Key::input_prefix(job));
    }
    let Some(read) = read else {
        // these files differ from those of a later job only by the absence of one
        for prefix in prefixes {
            remove_of_none(deps, &prefix, job).await?;
        }
        return Ok(());
    };
    for prefix in prefixes {
        delete_prefix(deps, &prefix).await?;
    }
    deps.ledger.delete_job(&read).await?;
    Ok(())
}

/// Removes every object whose key begins with `prefix`, as long as no job with that id exists.
async fn remove_of_none(deps: &Deps, prefix: &str, job: &JobId) -> anyhow::Result<()> {
    let mut from: Option<String> = None;
    loop {
        let page = deps.store.list(prefix, from.as_deref(), 1000).await?;
        for object in page.objects {
            if deps.ledger.job(job).await?.is_some() && !mutant!("delete-without-asking") {
                return Ok(());
            }
            deps.store.delete(&object.key.parse()?).await?;
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}
