//! Jobs by their ids, on any backend: submit, status, watch, retry, cancel, add outputs, delete.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::{
    Failure, FaultKind, HolderId, JobId, JobRecord, JobState, Key, Manifest, OutputId, Recipe,
};
use segue_pipeline::control;
pub use segue_pipeline::control::Source;
use segue_pipeline::{Deps, RoleConfig, new_job};
use segue_ports::{DeadMessage, JobFilter, NewJob, NoReport, PortError, PortErrorKind};

use crate::backend::{self, Backend, DeadLane};
use crate::failure;
use crate::run::{SourceFile, job_id};

/// Size limit of a manifest, bytes.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// Poll interval of [`watch`].
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A source as given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceArg {
    /// A local file.
    File(PathBuf),
    /// An S3 object.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        name: String,
    },
}

impl FromStr for SourceArg {
    type Err = Failure;

    fn from_str(text: &str) -> Result<SourceArg, Failure> {
        let Some(rest) = text.strip_prefix("s3://") else { return Ok(SourceArg::File(text.into())) };
        match rest.split_once('/') {
            Some((bucket, name)) if !bucket.is_empty() && !name.is_empty() => {
                Ok(SourceArg::Object { bucket: bucket.to_owned(), name: name.to_owned() })
            }
            _ => Err(failure::usage(format!("{text:?} names no object; write s3://BUCKET/KEY"))),
        }
    }
}

/// Identity of a job and the location of its source.
struct Place {
    key: Key,
    /// Whether the source is in the store already.
    there: bool,
    file: Option<SourceFile>,
}

fn place(
    backend: &Backend,
    source: &SourceArg,
    recipe: &Recipe,
    wanted: Option<&JobId>,
) -> Result<Place, Failure> {
    match source {
        SourceArg::File(path) => {
            let file = SourceFile::look(path)?;
            // the same file with the same recipe is the same job
            let id = match wanted {
                Some(id) => id.clone(),
                None => job_id(&file, Path::new(""), recipe)?,
            };
            Ok(Place { key: Key::source(&id, &file.extension()), there: false, file: Some(file) })
        }
        SourceArg::Object { bucket, name } => {
            let in_place =
                (backend.sources.input_bucket() == Some(bucket.as_str())).then(|| name.parse::<Key>().ok());
            if let Some(key @ Key::Source { .. }) = in_place.flatten() {
                if wanted.is_some_and(|id| id != key.job()) {
                    let id = key.job();
                    return Err(failure::usage(format!("s3://{bucket}/{name} is the source of job {id}")));
                }
                return Ok(Place { key, there: true, file: None });
            }
            let id = match wanted {
                Some(id) => id.clone(),
                None => object_id(bucket, name, recipe)?,
            };
            let ext = Path::new(name).extension().and_then(|ext| ext.to_str()).unwrap_or_default();
            Ok(Place { key: Key::source(&id, ext), there: false, file: None })
        }
    }
}

/// The job that makes `recipe` from an object.
fn object_id(bucket: &str, name: &str, recipe: &Recipe) -> Result<JobId, Failure> {
    let mut hasher = blake3::Hasher::new();
    for part in [bucket, name, &recipe.to_json()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hex = hasher.finalize().to_hex();
    format!("s3-{}", &hex[..32]).parse().map_err(|error| failure::internal(format!("{error}")))
}

/// A failure of a submission: of the source or of the backend.
struct Trouble(Failure);

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Trouble {
        Trouble(failure::port(&error))
    }
}

/// Submits a job with its source to the backend and returns its state. A repeat is the same
/// job; one that has ended stays as it is. A source that is refused leaves no job behind.
///
/// # Errors
/// A source that does not exist; an id that another source or other outputs have; errors of the backend.
pub async fn submit(
    backend: &Backend,
    source: &SourceArg,
    recipe: &Recipe,
    wanted: Option<&JobId>,
) -> Result<JobRecord, Failure> {
    let Place { key, there, file } = place(backend, source, recipe, wanted)?;
    let new = new_job(key.job(), key.to_string(), recipe);
    let bytes = file.as_ref().map(|file| file.bytes);
    let is_new = check_repeat(backend, &new, &key, bytes).await?;
    let holder: HolderId = format!("submit-{}", uuid::Uuid::new_v4().simple())
        .parse()
        .map_err(|error| failure::internal(format!("holder: {error}")))?;
    let config = RoleConfig::new(holder, std::env::temp_dir());
    let bring = async {
        let brought = match (source, file) {
            _ if there => Ok(()),
            (SourceArg::Object { bucket, name }, _) => backend.sources.import(bucket, name, &key).await,
            (_, Some(file)) => {
                backend.sources.adopt(&key, &file.path).await.map_err(|error| match error.kind {
                    PortErrorKind::Misuse => another_source(&key),
                    _ => failure::port(&error),
                })
            }
            (_, None) => Err(failure::internal("a source that is neither a file nor an object")),
        };
        brought.map_err(Trouble)
    };
    let deps = deps(backend);
    let submitted = control::submit_with_source(&deps, &config, new, bring).await;
    let Err(Trouble(failure)) = submitted else { return submitted.map_err(|Trouble(failure)| failure) };
    // after another error a repeat brings the source
    if is_new && failure.kind == FaultKind::Usage {
        control::delete(&deps, key.job(), Source::Keep).await.map_err(|error| failure::role(&error))?;
    }
    Err(failure)
}

/// The backend has a file under the key of a source, of an earlier job or of none.
fn another_source(key: &Key) -> Failure {
    failure::usage(format!(
        "the backend holds another source as {key}; choose another id, or delete it with segue delete {} --with-source",
        key.job()
    ))
}

/// Refuses a submission under the id of a job with another source or other outputs. `bytes` is the size of
/// the source, where it is known. Returns whether there is no such job.
async fn check_repeat(
    backend: &Backend,
    new: &NewJob,
    key: &Key,
    bytes: Option<u64>,
) -> Result<bool, Failure> {
    let deps = deps(backend);
    let found = deps.ledger.job(&new.id).await.map_err(|error| failure::port(&error))?;
    let Some(found) = found.filter(|found| !found.deleting) else { return Ok(true) };
    let other = |what: String| {
        failure::usage(format!("there is a job {} {what}; choose another id, or delete that job", new.id))
    };
    if found.source_key != new.source_key {
        return Err(other(format!("with another source ({})", found.source_key)));
    }
    if let Some(bytes) = bytes {
        let stored = deps.store.head(key).await.map_err(|error| failure::port(&error))?;
        if let Some(stored) = stored.filter(|stored| stored.bytes != bytes) {
            return Err(other(format!(
                "with another source (of {} bytes, this one has {bytes})",
                stored.bytes
            )));
        }
    }
    for wanted in &new.outputs {
        match found.output(&wanted.id) {
            Some(output) if output.asked.spec == wanted.spec => {}
            Some(_) => return Err(other(format!("whose output {} has other settings", wanted.id))),
            None => {
                let id = &wanted.id;
                return Err(failure::usage(format!(
                    "there is a job {} without the output {id}; add it with segue add, or choose another id",
                    new.id
                )));
            }
        }
    }
    Ok(false)
}

fn deps(backend: &Backend) -> Deps {
    backend::deps(backend, Arc::new(NoReport))
}

fn unknown(id: &JobId) -> Failure {
    failure::usage(format!("there is no job {id} in this backend"))
}

/// The current record of a job.
///
/// # Errors
/// A job that does not exist; errors of the backend.
pub async fn look(backend: &Backend, id: &JobId) -> Result<JobRecord, Failure> {
    let found = deps(backend).ledger.job(id).await.map_err(|error| failure::port(&error))?;
    found.ok_or_else(|| unknown(id))
}

/// The published files of a completed job.
///
/// # Errors
/// Errors of the backend.
pub async fn manifest(backend: &Backend, id: &JobId) -> Result<Option<Manifest>, Failure> {
    let key = Key::published(id, "manifest.json").map_err(|error| failure::internal(error.to_string()))?;
    match deps(backend).store.get_bytes(&key, MANIFEST_LIMIT).await {
        Ok(bytes) => Manifest::decode(&bytes).map(Some).map_err(|error| failure::internal(error.to_string())),
        Err(error) if error.kind == PortErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure::port(&error)),
    }
}

/// A job with the number of completed tasks of each output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// The job.
    pub job: JobRecord,
    /// Completed tasks of each output, in the order of the job's outputs.
    pub completed: Vec<u64>,
}

/// The job and the progress of each output.
///
/// # Errors
/// A job that does not exist; errors of the backend.
pub async fn status(backend: &Backend, id: &JobId) -> Result<JobStatus, Failure> {
    let job = look(backend, id).await?;
    let ledger = deps(backend).ledger;
    let mut completed = Vec::with_capacity(job.outputs.len());
    for output in &job.outputs {
        let done = ledger.completed(&job.output_ref(output.id())).await;
        completed.push(done.map_err(|error| failure::port(&error))?);
    }
    Ok(JobStatus { job, completed })
}

/// Lists jobs, at most `max`, of one state where it is given.
///
/// # Errors
/// Errors of the backend.
pub async fn list(backend: &Backend, state: Option<JobState>, max: usize) -> Result<Vec<JobRecord>, Failure> {
    let (deps, mut found, mut from) = (deps(backend), Vec::new(), None);
    let filter = JobFilter { state, updated_before_ms: None };
    while found.len() < max {
        let page = deps.ledger.jobs(filter.clone(), from.as_deref(), max - found.len()).await;
        let page = page.map_err(|error| failure::port(&error))?;
        found.extend(page.jobs);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Polls the job until none of its outputs is open any more, and reports every change to `on_change`.
///
/// # Errors
/// A job that does not exist; errors of the backend.
pub async fn watch(
    backend: &Backend,
    id: &JobId,
    mut on_change: impl FnMut(&JobStatus),
) -> Result<JobRecord, Failure> {
    let mut last: Option<JobStatus> = None;
    loop {
        let now = status(backend, id).await?;
        if last.as_ref() != Some(&now) {
            on_change(&now);
        }
        if !now.job.is_open_job() {
            return Ok(now.job);
        }
        last = Some(now);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn output_of(name: Option<&str>) -> Result<Option<OutputId>, Failure> {
    let parse = |name: &str| name.parse::<OutputId>().map_err(|error| failure::usage(error.to_string()));
    name.map(parse).transpose()
}

/// Checks that the job has the output that a command names.
async fn check_output(
    backend: &Backend,
    id: &JobId,
    output: Option<&OutputId>,
) -> Result<JobRecord, Failure> {
    let job = look(backend, id).await?;
    if let Some(output) = output.filter(|output| job.output(output).is_none()) {
        let known: Vec<&str> = job.outputs.iter().map(|output| output.id().as_str()).collect();
        return Err(failure::usage(format!("job {id} has no output {output}; it has {}", known.join(", "))));
    }
    Ok(job)
}

/// `output small of job talk is mapping`, or the same of the whole job.
fn state_of(job: &JobRecord, output: Option<&OutputId>) -> String {
    match output.and_then(|output| job.output(output)) {
        Some(output) => format!("output {} of job {} is {}", output.id(), job.id, output.state),
        None => format!("job {} is {}", job.id, job.state()),
    }
}

/// Retries the failed and cancelled outputs of a job, or the one of that name.
///
/// # Errors
/// A job or an output that does not exist, or nothing to retry; errors of the backend.
pub async fn retry(backend: &Backend, id: &JobId, output: Option<&str>) -> Result<JobRecord, Failure> {
    let output = output_of(output)?;
    let job = check_output(backend, id, output.as_ref()).await?;
    let changed = control::retry(&deps(backend), id, output.as_ref()).await;
    match changed.map_err(|error| failure::port(&error))? {
        Some(job) => Ok(job),
        None => {
            let what = state_of(&job, output.as_ref());
            Err(failure::usage(format!("{what}; only failed or cancelled outputs can be retried")))
        }
    }
}

/// Adds the outputs of a recipe to a job; outputs that it has already are not changed.
///
/// # Errors
/// A job that does not exist; an output of the same name with other settings; errors of the backend.
pub async fn add_outputs(backend: &Backend, id: &JobId, recipe: &Recipe) -> Result<JobRecord, Failure> {
    look(backend, id).await?;
    control::add_outputs(&deps(backend), id, recipe).await.map_err(|error| {
        let behind = error.chain().any(|cause| cause.downcast_ref::<PortError>().is_some());
        if behind { failure::role(&error) } else { failure::usage(format!("{error:#}")) }
    })
}

/// Cancels the outputs of a job that are not published, or the one of that name.
///
/// # Errors
/// A job or an output that does not exist, or nothing to cancel; errors of the backend.
pub async fn cancel(backend: &Backend, id: &JobId, output: Option<&str>) -> Result<JobRecord, Failure> {
    let output = output_of(output)?;
    let job = check_output(backend, id, output.as_ref()).await?;
    let changed = control::cancel(&deps(backend), id, output.as_ref()).await;
    match changed.map_err(|error| failure::port(&error))? {
        Some(job) => Ok(job),
        None => {
            let what = state_of(&job, output.as_ref());
            Err(failure::usage(format!("{what} and cannot be cancelled any more")))
        }
    }
}

/// Deletes a job in any state with all its objects, and with its source where `source` says so.
///
/// # Errors
/// A job that does not exist and left nothing to delete; errors of the backend.
pub async fn delete(backend: &Backend, id: &JobId, source: Source) -> Result<(), Failure> {
    let was_there = control::delete(&deps(backend), id, source).await;
    if was_there.map_err(|error| failure::role(&error))? { Ok(()) } else { Err(unknown(id)) }
}

/// The dead letters of the queues of that name, or of all.
///
/// # Errors
/// A name of no queue.
pub fn dead_lanes(backend: &Backend, name: Option<&str>) -> Result<Vec<DeadLane>, Failure> {
    let all = backend.dead_letters.clone();
    let Some(name) = name else { return Ok(all) };
    let known = all.iter().map(|lane| lane.lane.as_str()).collect::<Vec<_>>().join(", ");
    let found: Vec<DeadLane> = all.into_iter().filter(|lane| lane.lane.as_str() == name).collect();
    if found.is_empty() {
        return Err(failure::usage(format!("there is no queue {name:?}; there are {known}")));
    }
    Ok(found)
}

/// Lists at most `max` dead letters of a queue.
///
/// # Errors
/// Errors of the backend.
pub async fn dead_list(lane: &DeadLane, max: usize) -> Result<Vec<DeadMessage>, Failure> {
    lane.letters.list(lane.lane, max).await.map_err(|error| failure::port(&error))
}

/// Sends at most `max` dead letters to their queue again. Returns their number.
///
/// # Errors
/// Errors of the backend.
pub async fn dead_redrive(lane: &DeadLane, max: usize) -> Result<usize, Failure> {
    lane.letters.redrive(lane.lane, max).await.map_err(|error| failure::port(&error))
}

/// Removes the dead letters of a queue. Returns their number.
///
/// # Errors
/// Errors of the backend.
pub async fn dead_purge(lane: &DeadLane) -> Result<usize, Failure> {
    lane.letters.purge(lane.lane).await.map_err(|error| failure::port(&error))
}
