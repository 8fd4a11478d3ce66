//! What the roles share: failing a job, asking whether all is in, fetching what work reads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use segue_domain::{Failure, FaultKind, JobId, JobRecord, JobState, Key, Message, Plan, TaskId};
use segue_ports::{
    EngineError, Event, Inputs, JobChange, Lease, PortError, PortErrorKind, QueueName, Source, mutant,
};

use tokio_util::sync::CancellationToken;

use crate::deps::{Deps, RoleConfig};
use crate::receive::Outcome;

/// Largest plan or manifest that is read, bytes.
const DOCUMENT_LIMIT: u64 = 256 << 20;

/// How often a task is begun in all for each worker that it may end.
const BEGUN_FOR_EACH_END: u32 = 20;

/// How often a worker tries to say that it lives.
const TOLD: u32 = 5;

/// Asks for reassembly if the plan is sealed and every task is in. Whoever could have been
/// last calls this; the message may be sent any number of times.
pub async fn reassemble_if_all_in(deps: &Deps, job: &JobId) -> anyhow::Result<()> {
    let Some(record) = deps.ledger.job(job).await? else { return Ok(()) };
    let waiting = matches!(record.state, JobState::Mapping | JobState::Reassembling);
    if waiting && record.all_tasks_in() {
        let body = Message::Reassemble { job: job.clone() }.encode();
        deps.queue.send(QueueName::Reassemble, &[body], Duration::ZERO).await?;
    }
    Ok(())
}

/// What becomes of a message whose work an engine gave up.
///
/// A cancelled attempt is shown again at once. One that may succeed later is counted and
/// comes back after a wait; when it has failed `attempts` times, or as often as the role's
/// rule says, it is poison. Everything else fails the job.
pub async fn after_failure(
    deps: &Deps,
    config: &RoleConfig,
    job: &JobId,
    task: &TaskId,
    attempts: Option<u32>,
    lease: &Lease,
    error: EngineError,
) -> anyhow::Result<Outcome> {
    if error.cancelled && !mutant!("cancelled-is-failure") {
        return Ok(Outcome::Later(Duration::ZERO));
    }
    if !error.retryable {
        let failed = fail(deps, job, error.into_failure(Some(task.clone())), lease).await?;
        return Ok(if failed { Outcome::Done } else { Outcome::Later(Duration::ZERO) });
    }
    let failures = deps.ledger.count_failure(job, task).await?;
    let failures = if mutant!("failures-not-counted") { 1 } else { failures };
    if failures < attempts.unwrap_or(config.max_attempts) {
        tracing::warn!(%job, %task, failures, error = %error, "attempt failed, it will be tried again");
        return Ok(Outcome::Later(config.backoff_after(failures, task.as_str())));
    }
    let mut failure = error.into_failure(Some(task.clone()));
    failure.cause = format!("{} (tried {failures} times)", failure.cause);
    let reason = failure.cause.clone();
    let failed = fail(deps, job, failure, lease).await?;
    Ok(if failed { Outcome::Poison(reason) } else { Outcome::Later(Duration::ZERO) })
}

/// Fails the job of a task that ended too many workers: what becomes of its message then.
/// `None` where it may be tried.
///
/// Ended are those that began and did not say that they came back ([`says_it_lives`]): a living worker
/// that lost its lease, on a machine with more work than it can do or without a ledger for a while,
/// is none of them. What nobody can hold to the end is not tried for ever either.
pub async fn unless_killer(
    deps: &Deps,
    config: &RoleConfig,
    job: &JobId,
    task: &TaskId,
    attempts: Option<u32>,
    lease: &Lease,
) -> anyhow::Result<Option<Outcome>> {
    let begun = begun_again(deps, job, task, lease).await?;
    let most = config.max_begun.max(attempts.unwrap_or(0));
    if begun < most || mutant!("killers-not-counted") {
        return Ok(None);
    }
    let came_back = deps.ledger.failures(job, &counter("lived", task)).await?;
    let ended = begun.saturating_sub(came_back);
    let in_all = most.saturating_mul(BEGUN_FOR_EACH_END);
    let cause = if ended >= most {
        format!("{task} ended {ended} workers without a result; look at memory limits and at the source")
    } else if begun >= in_all {
        format!(
            "{task} was begun {begun} times and no worker kept its lease to the end; give it longer leases \
             (SEGUE_LEASE) or fewer workers to a machine"
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
    let failed = fail(deps, job, failure, lease).await?;
    Ok(Some(if failed { Outcome::Poison(cause) } else { Outcome::Later(Duration::ZERO) }))
}

/// Counts that work under a name is begun again: workers that die do not say so. The count is of
/// this job alone, since it was last driven on by hand.
///
/// The term would not do. It is never forgotten, also over the deletion of a job, so a job under
/// a name that was used often begins with a high one. The first term of all is no repeat and
/// costs no call.
pub async fn begun_again(deps: &Deps, job: &JobId, name: &TaskId, lease: &Lease) -> Result<u32, PortError> {
    if lease.term.0 == 1 {
        return Ok(0);
    }
    if mutant!("killers-by-term") {
        return Ok(lease.term.0.saturating_sub(1) as u32);
    }
    deps.ledger.count_failure(job, &counter("begun", name)).await
}

/// Says that whoever held the lease of this work is alive, where `outcome` is that somebody has to begin
/// it again. A ledger that does not answer is asked a few times more, until `shutdown`; who could not
/// say it counts as ended.
pub async fn says_it_lives(
    deps: &Deps,
    config: &RoleConfig,
    job: &JobId,
    name: &TaskId,
    outcome: &anyhow::Result<Outcome>,
    shutdown: &CancellationToken,
) {
    if matches!(outcome, Ok(Outcome::Done | Outcome::Poison(_))) || mutant!("living-not-counted") {
        return;
    }
    for tried in 1..=TOLD {
        match deps.ledger.count_failure(job, &counter("lived", name)).await {
            // a job that is not there any more counts nobody
            Ok(_) => return,
            Err(error) if error.kind == PortErrorKind::NotFound => return,
            Err(error) => tracing::warn!(%job, task = %name, tried, %error, "that it lives is not counted"),
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(config.backoff_after(tried, name.as_str())) => {}
        }
    }
}

/// The name under which something about a task is counted beside its failures.
fn counter(what: &str, task: &TaskId) -> TaskId {
    let short: String = task.as_str().chars().take(80).collect();
    format!("{what}_{short}").parse().expect("a plain id, and short enough")
}

/// Whether the job failed by this. It does not when the attempt is stale or the job has ended:
/// then whoever looks next decides what becomes of the message.
async fn fail(deps: &Deps, job: &JobId, failure: Failure, lease: &Lease) -> Result<bool, PortError> {
    let cause = failure.cause.clone();
    let fence = Some(lease).filter(|_| !mutant!("fail-unfenced"));
    let Some(record) = deps.ledger.change(job, JobChange::Fail(failure), fence).await? else {
        tracing::info!(%job, cause, "a failure that does not count any more");
        return Ok(false);
    };
    tracing::error!(%job, cause, "job failed");
    deps.reporter.report(Event::State { job: job.clone(), state: record.state });
    Ok(true)
}

/// The job as it is now that one of its leases is held: work begins with what this says, not
/// with what was read before. Deleting a job ends its leases, so whatever is committed under
/// the lease from here on is committed to this job, and not to a later one of its name.
pub async fn job_under_lease(deps: &Deps, read: &JobRecord) -> Result<Option<JobRecord>, PortError> {
    if mutant!("job-read-before-lease") {
        return Ok(Some(read.clone()));
    }
    deps.ledger.job(&read.id).await
}

/// The sealed plan of a job.
pub async fn load_plan(deps: &Deps, record: &JobRecord) -> anyhow::Result<Arc<Plan>> {
    let sealed = record.plan.as_ref().context("the job has no sealed plan")?;
    let key: Key = sealed.key.parse()?;
    let bytes = deps.store.get_bytes(&key, DOCUMENT_LIMIT).await?;
    Ok(Arc::new(Plan::decode(&bytes, &sealed.hash)?))
}

/// The files that work on a plan reads, to be read in part.
pub async fn fetch_inputs(deps: &Deps, plan: &Plan, scratch: &Path) -> Result<Inputs, EngineError> {
    let source =
        open_source(deps, &plan.source_key, scratch).await.map_err(|e| source_error(&plan.source_key, e))?;
    let mut files = BTreeMap::new();
    for (name, key) in &plan.files {
        let file = open_source(deps, key, scratch).await.map_err(as_engine_error)?;
        files.insert(name.clone(), file);
    }
    Ok(Inputs { source, files })
}

/// One object as a file.
pub async fn fetch(deps: &Deps, key: &str, scratch: &Path) -> Result<std::path::PathBuf, PortError> {
    let key: Key = key.parse().map_err(|e| PortError::with(PortErrorKind::Corrupt, "a stored key", e))?;
    deps.store.get_file(&key, scratch).await
}

/// The source, or a file of the chunker's, to be read in part.
pub async fn open_source(deps: &Deps, key: &str, scratch: &Path) -> Result<Source, PortError> {
    let key: Key = key.parse().map_err(|e| PortError::with(PortErrorKind::Corrupt, "a stored key", e))?;
    deps.store.open_source(&key, scratch).await
}

/// The source is gone or closed to us: the source's fault, not the machine's.
pub fn source_error(key: &str, error: PortError) -> EngineError {
    match error.kind {
        PortErrorKind::NotFound => EngineError::new(
            FaultKind::Source,
            format!("the source {key} is not there any more; put it back or submit it again"),
        ),
        PortErrorKind::Denied => {
            EngineError::new(FaultKind::Source, format!("the source {key} may not be read: {error}"))
        }
        _ => as_engine_error(error),
    }
}

/// An adapter's error seen as a failed attempt.
pub fn as_engine_error(error: PortError) -> EngineError {
    let kind = match error.kind {
        PortErrorKind::Environment
        | PortErrorKind::Denied
        | PortErrorKind::Replaced
        | PortErrorKind::Transient => FaultKind::Environment,
        PortErrorKind::NotFound | PortErrorKind::Corrupt | PortErrorKind::Misuse => FaultKind::Internal,
    };
    EngineError { retryable: true, ..EngineError::new(kind, error.to_string()) }
}

/// A folder for one piece of work; gone when dropped.
pub fn scratch(config: &RoleConfig) -> Result<tempfile::TempDir, EngineError> {
    let root = &config.scratch_root;
    std::fs::create_dir_all(root)
        .and_then(|()| tempfile::Builder::new().prefix("work-").tempdir_in(root))
        .map_err(|e| as_engine_error(PortError::io(format!("no scratch folder in {}", root.display()), e)))
}

/// Waits for `work` that starts no process, or gives it up when it is called off.
pub async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    tokio::select! {
        biased;
        done = work => done,
        () = cancel.cancelled() => Err(EngineError::cancelled()),
    }
}
