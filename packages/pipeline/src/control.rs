//! Commands of users: submit a job with its source, add outputs, retry, cancel, delete.

use std::time::Duration;

use anyhow::bail;
use segue_domain::{
    DomainError, JobId, JobRecord, Key, NewOutput, OutputId, OutputRecord, OutputState, Recipe,
};
use segue_ports::{JobChange, LeaseName, NewJob, OutputChange, PortError, PortErrorKind};
use tokio_util::sync::CancellationToken;

use crate::config::{Deps, RoleConfig};
use crate::lease_guard::{Hold, LeaseGuard, WorkFor};
use crate::submit::submit;
use crate::wake::{ask_for_plan, resume_retried};

pub use crate::delete::{Source, delete};

/// Interval at which a held lease is tried again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Number of tries of a change that conflicts with others.
const TRIES: u32 = 16;

/// Creates the job, then lets `upload` store its source, and only then requests the plan: the notice
/// of the upload finds the job with its own recipe, and the planning lease blocks planners
/// meanwhile. A repeat creates no second job; one that ended without a source starts again.
///
/// # Errors
/// Errors of the ledger, the queue and `upload`. The job then exists without a source; a
/// repeat uploads it.
pub async fn submit_with_source<E: From<PortError>>(
    deps: &Deps,
    config: &RoleConfig,
    job: NewJob,
    upload: impl Future<Output = Result<(), E>>,
) -> Result<JobRecord, E> {
    let source: Result<Key, _> = job.source_key.parse();
    let source = source.map_err(|e| PortError::with(PortErrorKind::Misuse, "the source's key", e))?;
    let created = deps.ledger.create_job(job.clone()).await?;
    let record = created.job;
    let ended = record.outputs.iter().any(|output| output.state.is_unsuccessful());
    // other outputs would read the source while it is replaced
    let waits = record.outputs.iter().all(|output| output.state == OutputState::Created);
    let is_missing = ended && deps.store.head(&source).await?.is_none();
    if !waits && !is_missing {
        return Ok(record);
    }
    let never = CancellationToken::new();
    let held = loop {
        let name = LeaseName::plan(&record.id);
        match LeaseGuard::acquire(&deps.ledger, config, name, WorkFor::Nothing, &never).await? {
            Hold::Held(held) => break held,
            // held by a planner that is about to fail without a source, or by a repeat of this command
            Hold::Busy(left) => tokio::time::sleep(left.min(ASK_AGAIN)).await,
        }
    };
    let uploaded = upload.await;
    held.release().await;
    uploaded?;
    if is_missing {
        retry(deps, &record.id, None).await?;
    }
    Ok(submit(deps, job).await?)
}

/// Retries the failed and cancelled outputs of a job, or one of them; `None` when there is none to retry.
/// Completed tasks are not repeated.
///
/// # Errors
/// Errors of the ledger. If no message could be sent, the sweeper sends it.
pub async fn retry(
    deps: &Deps,
    id: &JobId,
    output: Option<&OutputId>,
) -> Result<Option<JobRecord>, PortError> {
    let Some(read) = deps.ledger.job(id).await? else { return Ok(None) };
    let wanted = read
        .outputs
        .iter()
        .filter(|found| found.state.is_unsuccessful() && output.is_none_or(|output| found.id() == output));
    let mut after = None;
    for wanted in wanted {
        let change = JobChange::output(wanted.id(), OutputChange::Retry);
        after = deps.ledger.change(id, change, None).await?.or(after);
    }
    let Some(job) = &after else { return Ok(None) };
    // those that were retried, and those that waited for one of them; the others have their messages
    let was_open =
        |output: &OutputRecord| read.output(output.id()).is_some_and(|before| read.is_open(before));
    for output in job.open_outputs().filter(|output| !was_open(output)) {
        if let Err(error) = resume_retried(deps, job, output).await {
            let error = format!("{error:#}");
            tracing::warn!(job = %id, output = %output.id(), error, "retried without a message, the sweeper sends it");
        }
    }
    Ok(after)
}

/// Adds the outputs of `recipe` to a job and requests their plans; existing outputs are
/// unchanged, and none of their tasks is repeated. Those added after the job has ended are optional.
///
/// # Errors
/// A missing job, or one that is being deleted; an output of the same name with another specification;
/// errors of the ledger and the queue.
pub async fn add_outputs(deps: &Deps, id: &JobId, recipe: &Recipe) -> anyhow::Result<JobRecord> {
    for _ in 0..TRIES {
        let Some(job) = deps.ledger.job(id).await? else { bail!("there is no job {id}") };
        if job.deleting {
            bail!("job {id} is being deleted");
        }
        let mut merged = Recipe::from_json(&job.recipe)?;
        // segments of one job have one length
        let recipe = Recipe { segment_duration: merged.segment_duration, ..recipe.clone() };
        for wanted in recipe.new_outputs() {
            match job.output(&wanted.id) {
                Some(found) if found.asked.spec != wanted.spec => bail!(
                    "job {id} has an output {} with other settings; give the new one another name",
                    wanted.id
                ),
                Some(_) => {}
                None => {
                    merged.outputs.insert(wanted.id.clone(), recipe.outputs[&wanted.id].clone());
                }
            }
        }
        merged.check()?;
        recipe.check_unused()?;
        let outputs: Vec<_> =
            merged.new_outputs().into_iter().filter(|output| job.output(&output.id).is_none()).collect();
        if outputs.is_empty() {
            return Ok(job);
        }
        check_grown(&job, &outputs, &merged)?;
        let change = JobChange::Add { outputs, recipe: merged.to_json(), revision: job.revision };
        if let Some(after) = deps.ledger.change(id, change, None).await? {
            ask_for_plan(deps, id).await?;
            return Ok(after);
        }
    }
    bail!("job {id} has too many concurrent changes; try again")
}

/// Refuses an addition whose document could grow too large, as the ledger does, with the reason.
fn check_grown(job: &JobRecord, outputs: &[NewOutput], merged: &Recipe) -> Result<(), DomainError> {
    let mut grown = JobRecord { recipe: merged.to_json(), ..job.clone() };
    grown.outputs.extend(outputs.iter().map(|asked| OutputRecord::new(asked.clone(), 0)));
    JobRecord::check_outputs(grown.outputs.iter().map(|output| &output.asked))?;
    grown.check_size()
}

/// Cancels every output of a job that is not published or being published, or one of them; `None`
/// when there is none to cancel.
///
/// # Errors
/// Errors of the ledger.
pub async fn cancel(
    deps: &Deps,
    id: &JobId,
    output: Option<&OutputId>,
) -> Result<Option<JobRecord>, PortError> {
    let change = match output {
        Some(output) => JobChange::output(output, OutputChange::Cancel),
        None => JobChange::Cancel,
    };
    deps.ledger.change(id, change, None).await
}
