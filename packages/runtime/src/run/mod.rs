//! A whole job in one process: the real roles over the embedded backend.

mod deliver;
mod disk;
mod identity;
mod job;
mod lock;
mod out_dir;
mod published;
mod roles;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use segue_domain::{Failure, JobId, Manifest, OutputId, Recipe};
use segue_engines::Engines;
use segue_ports::Reporter;
use tokio_util::sync::CancellationToken;

pub use disk::free_bytes;
pub use identity::{SourceFile, job_id};
pub use out_dir::{Marker, read_marker};

use disk::{absolute, remove_tree};
use job::EmbeddedJob;
use out_dir::{Found, OutDir};

/// A job to run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The source file.
    pub source: PathBuf,
    /// Output folder.
    pub out_dir: PathBuf,
    /// The recipe and its overrides.
    pub recipe: Recipe,
    /// Folder for unfinished work, with one folder for each job; absent for `.segue` in the
    /// output folder.
    pub state: Option<PathBuf>,
    /// Number of concurrent workers.
    pub workers: usize,
    /// Threads for all workers.
    pub threads: usize,
    /// Whether to flush the results before the run ends. Parts are always flushed; results can be
    /// produced again, and damage by a power cut is detected by their hashes.
    pub fsync: bool,
}

/// A job whose results are in the output folder.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The job.
    pub job: JobId,
    /// The output folder.
    pub out_dir: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether the results were complete already, so that nothing was done.
    pub already: bool,
    /// Whether it resumed the work of an earlier process.
    pub resumed: bool,
    /// Duration of this process's run.
    pub took: Duration,
    /// Optional outputs that failed, and why.
    pub failed: Vec<(OutputId, Failure)>,
    /// Folder of the work, which is kept while an output has failed.
    pub state: PathBuf,
}

/// Outcome of a run that did not fail.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The results are delivered.
    Finished(Box<Finished>),
    /// The run was interrupted; the same command resumes it.
    Interrupted {
        /// The job.
        job: JobId,
        /// Folder of its unfinished work.
        state: PathBuf,
    },
}

/// Runs a job from its source to its results, resuming an interrupted one.
///
/// `engines` is called once, and only if there is work to do. The same request is the same job: a
/// completed one is left as it is, an interrupted one is resumed. Of one with failed outputs the others are
/// delivered and kept, and only the failed ones are tried again; if all failed, it starts again.
///
/// # Errors
/// The kind of failure and one line with cause and remedy. The work of a job without any published output is
/// removed when it fails; its record stays in `.segue/job.json` where it holds the stderr tail of a program. After
/// a failure of the environment, and where results cannot be delivered, all work stays in the state folder, and
/// the same request resumes the job.
pub async fn run_embedded(
    request: RunRequest,
    engines: impl AsyncFnOnce(&Recipe) -> Result<Engines, Failure>,
    reporter: Arc<dyn Reporter>,
    shutdown: CancellationToken,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let source = SourceFile::look(&request.source)?;
    let mut out = OutDir::open(&request.out_dir, &request.recipe)?;
    let job = job_id(&source, out.path(), &request.recipe)?;
    let found = match out.find(&job) {
        Ok(found) => found,
        Err(failure) => {
            out.leave();
            return Err(failure);
        }
    };
    let state = match &request.state {
        None => out.state(),
        Some(folder) => absolute(folder)?.join(job.as_str()),
    };
    // without the work of an optional output that failed there is nothing to continue
    let is_claimed = out.is_claimed(&job);
    let is_whole = |manifest: &Manifest| {
        let mut outputs = request.recipe.outputs.iter();
        outputs.all(|(id, spec)| manifest.outputs.contains_key(id) || (!spec.required && !is_claimed))
    };
    // with an output that failed, the work is still there
    if let Found::Published(manifest) = &found
        && is_whole(manifest)
    {
        let manifest = manifest.clone();
        if request.fsync {
            deliver::flush(&manifest, out.path())?;
        }
        return already(job, out, &state, request.state.is_some(), manifest, started);
    }
    let resumed = is_claimed && found != Found::Nothing;
    let engines = match engines(&request.recipe).await {
        Ok(engines) => engines,
        Err(failure) => {
            out.leave();
            return Err(failure);
        }
    };
    let job = EmbeddedJob { job, source, out, state, request, reporter, resumed, started };
    job.run(engines, shutdown).await
}

fn already(
    job: JobId,
    out: OutDir,
    state: &Path,
    own_state: bool,
    manifest: Manifest,
    started: Instant,
) -> Result<Outcome, Failure> {
    let out_dir = out.path().to_owned();
    if own_state {
        remove_tree(state)?;
    }
    out.finish()?;
    let finished = Finished {
        job,
        out_dir,
        manifest,
        already: true,
        resumed: false,
        took: started.elapsed(),
        failed: Vec::new(),
        state: state.to_owned(),
    };
    Ok(Outcome::Finished(Box::new(finished)))
}
