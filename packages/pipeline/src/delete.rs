//! How a job is taken away with all that it has in the store.

use segue_domain::{JobId, Key};

use crate::deps::Deps;
use crate::publish::delete_prefix;

/// Removes a job that has ended: from the ledger, then from the store. False, and nothing
/// happens, while it is still living; one that is not in the ledger has its files removed,
/// so that a repeat goes on where an earlier call stopped.
///
/// What an attempt stored goes before what is public. Files become public by being promoted
/// from an attempt's key, and a publisher that read the job before can come as late as it
/// likes: when the first half is done it finds nothing to promote, and what it promoted before
/// goes with the second half.
///
/// # Errors
/// The ledger's and the store's; the job may be gone and some of its files not.
pub async fn delete(deps: &Deps, job: &JobId) -> anyhow::Result<bool> {
    if let Some(record) = deps.ledger.job(job).await? {
        if !record.state.is_terminal() {
            return Ok(false);
        }
        deps.ledger.delete_job(job).await?;
    }
    let prefixes =
        [Key::work_prefix(job), Key::published_prefix(job), Key::segment_prefix(job), Key::input_prefix(job)];
    for prefix in prefixes {
        delete_prefix(deps, &prefix).await?;
    }
    Ok(true)
}
