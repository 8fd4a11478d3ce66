//! Inputs of work: sealed plans, sources, files of the planner, published outputs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use segue_domain::{DomainError, FaultKind, JobRecord, Key, OutputIndex, OutputRecord, Plan};
use segue_ports::{EngineError, Inputs, NeededOutput, PortError, PortErrorKind, Source};
use tokio_util::sync::CancellationToken;

use crate::config::{Deps, RoleConfig};

/// Size limit of a plan, bytes.
const PLAN_LIMIT: u64 = 256 << 20;

/// Size limit of an index or manifest, bytes.
pub(crate) const INDEX_LIMIT: u64 = 16 << 20;

/// The sealed plan of an output.
///
/// # Errors
/// Errors of the store, and a plan that differs from the sealed one. A plan of a newer build is
/// [`PortErrorKind::Newer`].
pub async fn load_plan(deps: &Deps, output: &OutputRecord) -> anyhow::Result<Arc<Plan>> {
    let sealed = output.plan.as_ref().context("the output has no sealed plan")?;
    let key: Key = sealed.key.parse()?;
    let bytes = deps.store.get_bytes(&key, PLAN_LIMIT).await?;
    let plan = Plan::decode(&bytes, &sealed.hash).map_err(|e| PortError::document("a sealed plan", e))?;
    Ok(Arc::new(plan))
}

/// The files that work on a plan reads, fetched by ranges.
pub async fn open_inputs(deps: &Deps, plan: &Plan, scratch: &Path) -> Result<Inputs, EngineError> {
    let source =
        open_source(deps, &plan.source_key, scratch).await.map_err(|e| source_error(&plan.source_key, e))?;
    let mut files = BTreeMap::new();
    for (name, key) in &plan.files {
        let file = open_source(deps, key, scratch).await.map_err(as_engine_error)?;
        files.insert(name.clone(), file);
    }
    Ok(Inputs { source, files })
}

/// The published outputs that `output` needs, each with its index and its files.
///
/// # Errors
/// Errors of the store; an index that differs from the committed one.
pub async fn open_needs(
    deps: &Deps,
    job: &JobRecord,
    output: &OutputRecord,
    scratch: &Path,
) -> Result<BTreeMap<segue_domain::OutputId, NeededOutput>, EngineError> {
    let mut needs = BTreeMap::new();
    for need in &output.asked.needs {
        let index = published_index(deps, job, &need.output).await?;
        let mut files = BTreeMap::new();
        for file in &index.files {
            let key = Key::published(&job.id, &file.name).map_err(internal)?;
            let opened = deps.store.open_source(&key, scratch).await.map_err(as_engine_error)?;
            files.insert(file.name.clone(), opened);
        }
        needs.insert(need.output.clone(), NeededOutput { index, files });
    }
    Ok(needs)
}

/// The published index of a completed output, checked against its committed hash.
///
/// # Errors
/// Errors of the store; an index that differs from the committed one.
pub async fn published_index(
    deps: &Deps,
    job: &JobRecord,
    output: &segue_domain::OutputId,
) -> Result<OutputIndex, EngineError> {
    let key = Key::index(&job.id, output);
    let bytes = deps.store.get_bytes(&key, INDEX_LIMIT).await.map_err(as_engine_error)?;
    let committed = job.output(output).and_then(|output| output.index.as_ref());
    if committed.is_none_or(|committed| committed.hash != OutputIndex::hash_of(&bytes)) {
        let why = format!("{key} is not the index that was committed for {output}");
        return Err(EngineError { retryable: true, ..EngineError::new(FaultKind::Internal, why) });
    }
    OutputIndex::decode(&bytes).map_err(|e| as_engine_error(PortError::document(key, e)))
}

/// One object as a file.
pub async fn fetch(deps: &Deps, key: &str, scratch: &Path) -> Result<std::path::PathBuf, PortError> {
    deps.store.get_file(&stored_key(key)?, scratch).await
}

/// The source, or a file of the planner, fetched by ranges.
pub async fn open_source(deps: &Deps, key: &str, scratch: &Path) -> Result<Source, PortError> {
    deps.store.open_source(&stored_key(key)?, scratch).await
}

fn stored_key(key: &str) -> Result<Key, PortError> {
    key.parse().map_err(|e: DomainError| PortError::with(PortErrorKind::Corrupt, "a stored key", e))
}

/// A source that is missing or not readable is a source error, not an environment error.
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

/// Converts an adapter's error into a failed attempt.
pub fn as_engine_error(error: PortError) -> EngineError {
    let kind = match error.kind {
        PortErrorKind::Newer => return EngineError::newer(error.to_string()),
        PortErrorKind::Environment
        | PortErrorKind::Denied
        | PortErrorKind::Transient
        | PortErrorKind::Replaced => FaultKind::Environment,
        PortErrorKind::NotFound | PortErrorKind::Corrupt | PortErrorKind::Misuse => FaultKind::Internal,
    };
    EngineError { retryable: true, ..EngineError::new(kind, error.to_string()) }
}

/// An invalid domain value built by a role: an internal error (a bug in Segue).
pub(crate) fn internal(error: DomainError) -> EngineError {
    EngineError::new(FaultKind::Internal, error.to_string())
}

/// A scratch folder for one task; removed when dropped.
pub fn scratch(config: &RoleConfig) -> Result<tempfile::TempDir, EngineError> {
    let root = &config.scratch_root;
    std::fs::create_dir_all(root)
        .and_then(|()| tempfile::Builder::new().prefix("work-").tempdir_in(root))
        .map_err(|e| as_engine_error(PortError::io(format!("no scratch folder in {}", root.display()), e)))
}

/// Waits for `work` that starts no process, or cancels it.
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
