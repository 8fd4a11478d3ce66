//! Waits for the end of a job: published, failed, interrupted, or a machine on which
//! nothing can be written any more.

use std::path::Path;
use std::time::Duration;

use segue_domain::{Failure, JobId, JobRecord};
use segue_pipeline::Deps;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::roles::Roles;
use crate::failure;

const LOOK_EVERY: Duration = Duration::from_millis(50);
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long a ledger that cannot be read, or a disk that cannot be written, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a job ended, or that it has not.
#[derive(Debug)]
pub enum End {
    /// It is completed, failed or cancelled.
    Job(Box<JobRecord>),
    /// It goes on when the same command is given again.
    Interrupted,
}

/// Waits for the end of `job`.
///
/// # Errors
/// A role that ended by itself, or a machine that stays unusable.
pub async fn until_end(
    deps: &Deps,
    job: &JobId,
    state: &Path,
    roles: &mut Roles,
    shutdown: &CancellationToken,
) -> Result<End, Failure> {
    let mut trouble_since: Option<Instant> = None;
    let mut probed = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(End::Interrupted),
            failure = roles.ended_early() => return Err(failure),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let mut looked = look(deps, job).await;
        if probed.elapsed() >= PROBE_EVERY {
            probed = Instant::now();
            looked = looked.and_then(|found| probe(state).map(|()| found));
        } else if trouble_since.is_some() && matches!(looked, Ok(None)) {
            continue;
        }
        match looked {
            Ok(Some(record)) => return Ok(End::Job(Box::new(record))),
            Ok(None) => trouble_since = None,
            Err(failure) => {
                let since = *trouble_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(failure);
                }
            }
        }
    }
}

/// The job if all its outputs have ended, or wait for one that failed.
pub async fn look(deps: &Deps, job: &JobId) -> Result<Option<JobRecord>, Failure> {
    let record = deps.ledger.job(job).await.map_err(|error| failure::port(&error))?;
    let record = record.ok_or_else(|| failure::internal(format!("job {job} is gone from the ledger")))?;
    Ok((!record.is_open_job()).then_some(record))
}

/// Writes a little, so that a full disk is seen also when only the ledger meets it.
fn probe(state: &Path) -> Result<(), Failure> {
    let path = state.join("probe");
    let written = std::fs::write(&path, [b'.'; 4096]);
    // a half of it goes as well
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(|error| failure::io(format!("state folder {}", state.display()), &error))
}
