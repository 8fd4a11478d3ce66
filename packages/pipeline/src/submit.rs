//! How a job begins.

use std::time::Duration;

use segue_domain::{JobRecord, JobState, Message};
use segue_ports::{NewJob, PortError, Lane};

use crate::deps::Deps;

/// Creates the job, unless it is there, and asks a chunker to plan it. A repeat is the
/// same job.
///
/// # Errors
/// The ledger's and the queue's. After an error the job may be there without a message;
/// a repeat or the sweeper sends it.
pub async fn submit(deps: &Deps, job: NewJob) -> Result<JobRecord, PortError> {
    let created = deps.ledger.create_job(job).await?;
    if created.job.state == JobState::Created {
        let body = Message::Chunk { job: created.job.id.clone() }.encode();
        deps.queue.send(Lane::Plan, &[body], Duration::ZERO).await?;
    }
    Ok(created.job)
}
