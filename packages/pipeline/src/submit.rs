//! Creation of a job.

use segue_domain::{AssetId, DomainError, JobId, JobRecord, OutputState, Recipe};
use segue_ports::{NewJob, PortError};

use crate::config::Deps;
use crate::wake::ask_for_plan;

/// A job that applies `recipe` to the asset of the same id.
pub fn new_job(id: &JobId, source_key: String, recipe: &Recipe) -> NewJob {
    let asset: Result<AssetId, DomainError> = id.as_str().parse();
    NewJob {
        id: id.clone(),
        asset: asset.expect("ids of jobs and assets have the same form"),
        source_key,
        recipe: recipe.to_json(),
        outputs: recipe.new_outputs(),
        awaiting: None,
    }
}

/// Creates the job, unless it exists, and requests the plans of its outputs. A repeat creates no second job.
///
/// # Errors
/// Errors of the ledger and the queue. After an error the job may exist without a message;
/// a repeat or the sweeper sends it.
pub async fn submit(deps: &Deps, job: NewJob) -> Result<JobRecord, PortError> {
    let created = deps.ledger.create_job(job).await?;
    if created.job.open_outputs().any(|output| output.state == OutputState::Created) {
        ask_for_plan(deps, &created.job.id).await?;
    }
    Ok(created.job)
}
