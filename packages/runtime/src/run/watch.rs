//! Waits for the end of a job: published, failed, interrupted, or a machine to which
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
/// Time after which a ledger that cannot be read, or a disk that cannot be written, fails the run.
const PATIENCE: Duration = Duration::from_secs(10);

/// Outcome of a job, or none yet.
#[derive(Debug)]
pub enum End {
    /// It is completed, failed or cancelled.
    Job(Box<JobRecord>),
    /// Interrupted; the same command resumes it.
    Interrupted,
}

/// Waits for the end of `job`.
///
/// # Errors
/// A role that ended by itself, or an environment failure that persists.
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

/// The job if none of its outputs is open: each has ended or depends on one that failed.
pub async fn look(deps: &Deps, job: &JobId) -> Result<Option<JobRecord>, Failure> {
    let record = deps.ledger.job(job).await.map_err(|error| failure::port(&error))?;
    let record = record.ok_or_else(|| failure::internal(format!("job {job} is gone from the ledger")))?;
    Ok((!record.is_open_job()).then_some(record))
}

/// Probes the disk with a small write, so that a full disk is detected also when only the ledger hits it.
fn probe(state: &Path) -> Result<(), Failure> {
    let path = state.join("probe");
    let written = std::fs::write(&path, [b'.'; 4096]);
    // a partial write is removed as well
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(|error| failure::io(format!("state folder {}", state.display()), &error))
}
