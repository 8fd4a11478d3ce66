//! Attempts: counts of those that failed, started and survived; failing the output of a task
//! that does not succeed.

use std::time::Duration;

use segue_domain::{Failure, FaultKind, JobRecord, OutputRef, TaskId};
use segue_ports::{EngineError, Event, JobChange, Lease, OutputChange, PortError, PortErrorKind};
use tokio_util::sync::CancellationToken;

use crate::config::{Deps, RoleConfig};
use crate::receive::Outcome;

/// Maximum number of started attempts for each allowed killed one.
const STARTED_FOR_EACH_KILLED: u32 = 20;

/// Tries to count an attempt that a worker survived.
const COUNT_TRIES: u32 = 5;

/// Records a failed attempt, and returns the outcome of its message.
///
/// A cancelled attempt is redelivered at once; one that read a document of a newer build is left
/// to a newer worker. A retryable one is counted and redelivered after a backoff; after
/// `attempts` failures, or as often as the role's rule allows, the message is dead-lettered and the
/// output fails. Every other error fails the output at once.
pub async fn record_failure(
    deps: &Deps,
    config: &RoleConfig,
    output: &OutputRef,
    task: &TaskId,
    attempts: Option<u32>,
    lease: &Lease,
    error: EngineError,
) -> anyhow::Result<Outcome> {
    if error.cancelled {
        return Ok(Outcome::Later(Duration::ZERO));
    }
    if error.newer {
        tracing::warn!(%output, %task, %error, "left to a newer worker");
        return Ok(Outcome::Later(config.visibility));
    }
    if !error.retryable {
        let failed = fail(deps, output, error.into_failure(Some(task.clone())), lease).await?;
        return Ok(if failed { Outcome::Done } else { Outcome::Later(Duration::ZERO) });
    }
    let failures = deps.ledger.count_failure(output, task).await?;
    if failures < attempts.unwrap_or(config.max_attempts) {
        tracing::warn!(%output, %task, failures, error = %error, "attempt failed, it will be retried");
        return Ok(Outcome::Later(config.backoff_after(failures, task.as_str())));
    }
    let mut failure = error.into_failure(Some(task.clone()));
    failure.cause = format!("{} (tried {failures} times)", failure.cause);
    let reason = failure.cause.clone();
    let failed = fail(deps, output, failure, lease).await?;
    Ok(if failed { Outcome::Poison(reason) } else { Outcome::Later(Duration::ZERO) })
}

/// Counts the start of an attempt and fails the output of a task that killed too many workers; returns
/// the outcome of its message then. `None` if the task may be tried.
///
/// Killed attempts = started − survived ([`count_survivor`]). A worker that lost its lease, on a machine
/// that is overloaded or cannot reach the ledger, survives. A task during which every worker loses its lease is
/// bounded as well.
pub async fn fail_if_poison(
    deps: &Deps,
    config: &RoleConfig,
    output: &OutputRef,
    task: &TaskId,
    attempts: Option<u32>,
    lease: &Lease,
) -> anyhow::Result<Option<Outcome>> {
    let started = count_start(deps, output, task, lease).await?;
    let most = config.max_begun.max(attempts.unwrap_or(0));
    if started < most {
        return Ok(None);
    }
    let survived = deps.ledger.failures(output, &counter("lived", task)).await?;
    let killed = started.saturating_sub(survived);
    let in_all = most.saturating_mul(STARTED_FOR_EACH_KILLED);
    let cause = if killed >= most {
        format!("{task} ended {killed} workers without a result; check memory limits and the source")
    } else if started >= in_all {
        format!(
            "{task} was started {started} times and no worker kept its lease to the end; set longer leases \
             (SEGUE_LEASE) or run fewer workers on a machine"
        )
    } else {
        return Ok(None);
    };
    let failure = Failure {
        kind: FaultKind::Environment,
        cause: cause.clone(),
        task: Some(task.clone()),
        stderr_tail: vec![],
    };
    let failed = fail(deps, output, failure, lease).await?;
    Ok(Some(if failed { Outcome::Poison(cause) } else { Outcome::Later(Duration::ZERO) }))
}

/// Counts a repeated start, because killed workers cannot report themselves. The count
/// belongs to this epoch of the job, since the last manual retry of the output.
///
/// The term cannot serve as the count: it is never reset, not even by the deletion of a job, so a job with a
/// reused id starts with a high one. The first term of a lease is no repeat and costs no call.
pub async fn count_start(
    deps: &Deps,
    output: &OutputRef,
    name: &TaskId,
    lease: &Lease,
) -> Result<u32, PortError> {
    if lease.term.0 == 1 {
        return Ok(0);
    }
    deps.ledger.count_failure(output, &counter("begun", name)).await
}

/// Counts that the holder of the lease survived, if `outcome` is that the work must be started
/// again. Retried a few times while the ledger does not answer, until `shutdown`; a holder that could not
/// be counted counts as killed.
pub async fn count_survivor(
    deps: &Deps,
    config: &RoleConfig,
    output: &OutputRef,
    name: &TaskId,
    outcome: &anyhow::Result<Outcome>,
    shutdown: &CancellationToken,
) {
    if matches!(outcome, Ok(Outcome::Done | Outcome::Poison(_))) {
        return;
    }
    for tried in 1..=COUNT_TRIES {
        match deps.ledger.count_failure(output, &counter("lived", name)).await {
            Ok(_) => return,
            // the job was deleted
            Err(error) if error.kind == PortErrorKind::NotFound => return,
            Err(error) => tracing::warn!(%output, task = %name, tried, %error, "a survivor is not counted"),
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(config.backoff_after(tried, name.as_str())) => {}
        }
    }
}

/// The name of a counter of a task, stored beside its failures.
fn counter(what: &str, task: &TaskId) -> TaskId {
    let short: String = task.as_str().chars().take(80).collect();
    format!("{what}_{short}").parse().expect("a plain id, and short enough")
}

/// Whether this failed the output. It does not when the attempt is stale or the output has ended.
async fn fail(deps: &Deps, output: &OutputRef, failure: Failure, lease: &Lease) -> Result<bool, PortError> {
    let cause = failure.cause.clone();
    let change = JobChange::output(&output.output, OutputChange::Fail(failure));
    let Some(record) = deps.ledger.change(&output.job, change, Some(lease)).await? else {
        tracing::info!(%output, cause, "failure of an ended output ignored");
        return Ok(false);
    };
    tracing::error!(%output, cause, "output failed");
    report_state(deps, &record, &output.output);
    Ok(true)
}

/// Reports the new states of an output and its job.
pub fn report_state(deps: &Deps, record: &JobRecord, output: &segue_domain::OutputId) {
    if let Some(changed) = record.output(output) {
        let (job, output, state) = (record.id.clone(), output.clone(), changed.state);
        deps.reporter.report(Event::Output { job, output, state });
    }
    deps.reporter.report(Event::State { job: record.id.clone(), state: record.state() });
}

/// The job, read under one of its leases: work uses this document, not one that was
/// read before. Deleting a job ends its leases, so commits under this lease
/// apply to this job, and not to a later one with its id.
pub async fn job_under_lease(deps: &Deps, read: &JobRecord) -> Result<Option<JobRecord>, PortError> {
    deps.ledger.job(&read.id).await
}
