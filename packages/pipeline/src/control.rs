//! What people do to jobs: give them with their source, drive them on, end them, remove them.

use std::time::Duration;

use segue_domain::{JobId, JobRecord, JobState, Key};
use segue_ports::{JobChange, LeaseName, NewJob, PortError};
use tokio_util::sync::CancellationToken;

use crate::chunker::resend;
use crate::deps::{Deps, RoleConfig};
use crate::held::{Held, Hold};
use crate::submit::submit;

/// How often a busy lease is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Creates the job and then lets `bring` put its source there, and only then asks for the plan:
/// the notice of the upload finds the job with its own recipe, and the lease of the planning
/// keeps chunkers away meanwhile. A repeat is the same job; one that ended without a source
/// begins again.
///
/// # Errors
/// The ledger's, the queue's, and those of `bring`. The job is then there without a source; a
/// repeat brings it.
pub async fn submit_with_source<E: From<PortError>>(
    deps: &Deps,
    config: &RoleConfig,
    job: NewJob,
    bring: impl Future<Output = Result<(), E>>,
) -> Result<JobRecord, E> {
    let source: Result<Key, _> = job.source_key.parse();
    let source =
        source.map_err(|e| PortError::with(segue_ports::PortErrorKind::Misuse, "the source's key", e))?;
    let created = deps.ledger.create_job(job.clone()).await?;
    let id = created.job.id.clone();
    let ended = matches!(created.job.state, JobState::Failed | JobState::Cancelled);
    if created.job.state != JobState::Created && !(ended && deps.store.head(&source).await?.is_none()) {
        return Ok(created.job);
    }
    let never = CancellationToken::new();
    let held = loop {
        match Held::acquire(&deps.ledger, config, LeaseName::chunk(&id), None, &never).await? {
            Hold::Held(held) => break held,
            // a chunker that is about to find no source, or the same command twice
            Hold::Busy(left) => tokio::time::sleep(left.min(ASK_AGAIN)).await,
        }
    };
    let brought = bring.await;
    held.release().await;
    brought?;
    if ended {
        retry(deps, &id).await?;
    }
    Ok(submit(deps, job).await?)
}

/// Drives a failed or cancelled job on; `None` when it is not there or has not ended so. What
/// is done stays done.
///
/// # Errors
/// The ledger's and the queue's. The job may then be driven on without a message; the sweeper
/// sends it.
pub async fn retry(deps: &Deps, id: &JobId) -> Result<Option<JobRecord>, PortError> {
    let Some(job) = deps.ledger.change(id, JobChange::Retry, None).await? else { return Ok(None) };
    if let Err(error) = resend(deps, id, job.state).await {
        tracing::warn!(job = %id, error = format!("{error:#}"), "driven on without a message, the sweeper sends it");
    }
    Ok(Some(job))
}

/// Ends a job; `None` when it is not there, has ended, or is being published.
///
/// # Errors
/// The ledger's.
pub async fn cancel(deps: &Deps, id: &JobId) -> Result<Option<JobRecord>, PortError> {
    deps.ledger.change(id, JobChange::Cancel, None).await
}

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The job, its source and everything that was made of it are gone.
    Gone,
    /// It is being published just now, which takes a moment; nothing was done.
    Publishing,
}

/// Removes a job with its source and all that was made of it; fine when it is not there. What
/// an attempt that still goes on writes is removed by the sweeper.
///
/// # Errors
/// The ledger's and the store's; a repeat goes on.
pub async fn delete(deps: &Deps, id: &JobId) -> anyhow::Result<Deleted> {
    cancel(deps, id).await?;
    Ok(if crate::delete::delete(deps, id).await? { Deleted::Gone } else { Deleted::Publishing })
}
