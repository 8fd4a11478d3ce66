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
    /// The source.
    pub source: PathBuf,
    /// Where the results go.
    pub out_dir: PathBuf,
    /// What is wanted.
    pub recipe: Recipe,
    /// Where unfinished work is kept, in a folder for each job; absent for `.segue` in the
    /// output folder.
    pub state: Option<PathBuf>,
    /// Workers at the same time.
    pub workers: usize,
    /// Threads for all workers.
    pub threads: usize,
    /// Whether to wait until the results are on the disk. Parts are always flushed; results can
    /// be made again, and what a power cut left of them is noticed by their hashes.
    pub fsync: bool,
}

/// A job whose results are in their folder.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The job.
    pub job: JobId,
    /// The folder.
    pub out_dir: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// Whether it was there before, and nothing was done.
    pub already: bool,
    /// Whether it went on from where another process stopped.
    pub resumed: bool,
    /// Time this process took.
    pub took: Duration,
    /// Optional outputs that failed, and why.
    pub failed: Vec<(OutputId, Failure)>,
}

/// How a run ended that did not fail.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The results are there.
    Finished(Box<Finished>),
    /// It was asked to stop; the same command goes on.
    Interrupted {
        /// The job.
        job: JobId,
        /// Where its work is kept.
        state: PathBuf,
    },
}

/// Runs a job from its source to its results, or on from where it stopped.
///
/// `engines` is called once, when it is certain that there is work to do. The same request
/// is the same job: a completed one is left alone, an interrupted one goes on, a failed one
/// begins anew.
///
/// # Errors
/// Whose fault it is and one line of what to do. The work of a failed job is removed; its
/// record stays in `.segue/job.json` where it holds the last words of a program. Where the machine
/// kept a job from going on, and where results cannot be put into their folder, all stays in the
/// state, and the same request goes on.
pub async fn run_embedded(
    request: RunRequest,
    engines: impl AsyncFnOnce(&Recipe) -> Result<Engines, Failure>,
    reporter: Arc<dyn Reporter>,
    shutdown: CancellationToken,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let source = SourceFile::look(&request.source)?;
    let mut out = OutDir::open(&request.out_dir)?;
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
    if let Found::Published(manifest) = found {
        if request.fsync {
            deliver::flush(&manifest, out.path())?;
        }
        return already(job, out, &state, request.state.is_some(), manifest, started);
    }
    let resumed = found == Found::Unfinished;
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
    };
    Ok(Outcome::Finished(Box::new(finished)))
}
