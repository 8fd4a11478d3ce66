//! How a job is taken away with all that it has in the store.
//!
//! The ledger tells the job that was read from a later one of its name; the store does not.
//! Keys of attempts carry terms, which never come twice: what was listed before the ledger
//! said that there is no job is not a later one's. The source and what is public have plain
//! names, so each is removed right after the question whether the ledger still says what it
//! said. What is left is a single request that is under way while a whole job of that name
//! is made.

use segue_domain::{JobId, JobRecord, JobState, Key};
use segue_ports::{PortError, mutant};

use crate::deps::Deps;
use crate::publish::keys_of;
use crate::tidy::tidy_completed;

/// Objects that are listed at once.
const PAGE: usize = 1000;

/// Removes a job that has ended, with its files. False while it is living, or is driven on
/// meanwhile; what it has made is then there. One that is not in the ledger has its files
/// removed, so that a repeat goes on where an earlier call stopped. Where a later job of that
/// name is there, what it has is left alone, and so is what is still public of the earlier one:
/// it publishes over that, or takes it along when it is deleted.
///
/// The source goes first: while the record stands, nobody brings the next one. What an
/// attempt stored goes before what is public. Files become public by being promoted from an
/// attempt's key, and a publisher that read the job before can come as late as it likes: when
/// the first half is done it finds nothing to promote, and what it promoted before goes with
/// the second half.
///
/// # Errors
/// The ledger's and the store's; the job may be gone and some of its files not.
pub async fn delete(deps: &Deps, job: &JobId) -> anyhow::Result<bool> {
    let read = deps.ledger.job(job).await?;
    match &read {
        Some(read) if !read.state.is_terminal() => return Ok(false),
        // nothing is left of it that a slow publisher could promote over the next job's files
        Some(read) if read.state == JobState::Completed => tidy_completed(deps, job).await?,
        _ => {}
    }
    let is_same = remove(deps, &Key::input_prefix(job), job, read.as_ref()).await?;
    if let Some(read) = &read {
        if !deps.ledger.delete_job(read).await? {
            let now = deps.ledger.job(job).await?;
            return Ok(now.is_none_or(|now| now.epoch != read.epoch));
        }
    } else if !is_same {
        return Ok(true);
    }
    for prefix in [Key::work_prefix(job), Key::published_prefix(job), Key::segment_prefix(job)] {
        if !remove(deps, &prefix, job, None).await? {
            break;
        }
    }
    Ok(true)
}

/// Removes every object whose key begins with `prefix`, as long as the ledger says of the job
/// what it said: that it is as it was read, or that it is not there. Whether it still does.
async fn remove(deps: &Deps, prefix: &str, job: &JobId, read: Option<&JobRecord>) -> anyhow::Result<bool> {
    let mut from: Option<String> = None;
    loop {
        let page = deps.store.list(prefix, from.as_deref(), PAGE).await?;
        let keys = keys_of(&page.objects)?;
        let is_named_once = |key: &Key| matches!(key, Key::Work { .. } | Key::Segment { .. });
        if keys.iter().all(is_named_once) {
            if !keys.is_empty() && !is_as_read(deps, job, read).await? {
                return Ok(false);
            }
            deps.store.delete_many(&keys).await?;
        } else {
            for key in &keys {
                if !is_as_read(deps, job, read).await? {
                    return Ok(false);
                }
                deps.store.delete(key).await?;
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(true),
        }
    }
}

async fn is_as_read(deps: &Deps, job: &JobId, read: Option<&JobRecord>) -> Result<bool, PortError> {
    if mutant!("delete-without-asking") {
        return Ok(true);
    }
    let now = deps.ledger.job(job).await?;
    let told_apart = |record: &JobRecord| (record.epoch.clone(), record.state);
    Ok(now.as_ref().map(told_apart) == read.map(told_apart))
}
