//! A whole job in one process: the real roles over the embedded backend.

mod deliver;
mod disk;
mod identity;
mod length;
mod lock;
mod out_dir;
mod published;
mod roles;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use segue_domain::{Failure, JobId, JobRecord, JobState, Key, Manifest, Recipe};
use segue_pipeline::{Deps, progress, submit};
use segue_ports::{NewJob, Reporter};
use tokio_util::sync::CancellationToken;

pub use disk::free_bytes;
pub use identity::SourceFile;
pub use out_dir::{Marker, read_marker};
pub use roles::Engines;

use crate::backend::{Backend, BackendUrl};
use crate::failure;
use disk::{absolute, check_space, remove_tree};
use identity::{job_id, recipe_document};
use length::Overheard;
use out_dir::{Found, OutDir};
use roles::{Crew, Roles};
use watch::End;

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
    pub state: Option<BackendUrl>,
    /// Workers at the same time.
    pub workers: usize,
    /// Threads for all workers.
    pub threads: usize,
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
    /// Length of the source in milliseconds, where it is known.
    pub media_ms: Option<u64>,
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
/// record stays in `.segue/job.json` where it holds the last words of a program. Results that
/// cannot be put into their folder stay in the state, and the same request delivers them.
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
        Some(url) => absolute(url.folder())?.join(job.as_str()),
    };
    if let Found::Published(manifest) = found {
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
        media_ms: None,
    };
    Ok(Outcome::Finished(Box::new(finished)))
}

struct EmbeddedJob {
    job: JobId,
    source: SourceFile,
    out: OutDir,
    state: PathBuf,
    request: RunRequest,
    reporter: Arc<dyn Reporter>,
    resumed: bool,
    started: Instant,
}

impl EmbeddedJob {
    async fn run(self, engines: Engines, shutdown: CancellationToken) -> Result<Outcome, Failure> {
        let ended = self.drive(engines, &shutdown).await;
        let own_state = self.request.state.is_some();
        match ended {
            Ok(Ended::Delivered(manifest, media_ms)) => {
                let finished = Finished {
                    job: self.job,
                    out_dir: self.out.path().to_owned(),
                    manifest,
                    already: false,
                    resumed: self.resumed,
                    took: self.started.elapsed(),
                    media_ms,
                };
                if own_state {
                    remove_tree(&self.state)?;
                }
                self.out.finish()?;
                Ok(Outcome::Finished(Box::new(finished)))
            }
            Ok(Ended::Interrupted) => Ok(Outcome::Interrupted { job: self.job, state: self.state }),
            Ok(Ended::Undelivered(failure)) => Err(failure),
            Ok(Ended::Failed(failure, record)) => {
                self.clean_up(record.map(|record| *record))?;
                Err(failure)
            }
            Err(failure) => {
                self.clean_up(None)?;
                Err(failure)
            }
        }
    }

    fn marker(&self) -> Marker {
        Marker::new(&self.job, &self.source.path, &self.request.recipe.name, &self.state)
    }

    fn clean_up(self, record: Option<JobRecord>) -> Result<(), Failure> {
        if self.request.state.is_some() {
            remove_tree(&self.state)?;
        }
        let marker = self.marker();
        self.out.abandon(marker, record)
    }

    async fn drive(&self, engines: Engines, shutdown: &CancellationToken) -> Result<Ended, Failure> {
        if !self.resumed {
            if self.request.state.is_some() {
                remove_tree(&self.state)?;
            }
            self.out.claim(self.marker())?;
        }
        let scratch = self.state.join("scratch");
        remove_tree(&scratch)?;
        std::fs::create_dir_all(&scratch)
            .map_err(|error| failure::io(format!("state folder {}", self.state.display()), &error))?;
        check_space(&self.state, self.source.bytes, &self.request.recipe)?;
        let backend = Backend::open_folder(&self.state).await?;
        let deps = backend.deps(Arc::clone(&self.reporter));
        self.submit(&backend, &deps).await?;
        let overheard = Overheard::new(Arc::clone(&engines.planner));
        let engines = Engines { planner: overheard.clone(), ..engines };
        if self.resumed {
            overheard.read(&deps, &self.job).await;
            // only a display; a job that was published already has no plan any more
            if let Err(error) = progress::announce(&deps, &self.job).await {
                tracing::info!(error = format!("{error:#}"), "nothing to show of what is done");
            }
        }

        let crew =
            Crew { workers: self.request.workers, threads: self.request.threads, scratch: scratch.clone() };
        let mut roles = Roles::start(&deps, &engines, &crew)?;
        let end = watch::until_end(&deps, &self.job, &self.state, &mut roles, shutdown).await;
        roles.stop().await;
        let record = match end? {
            End::Job(record) => Some(*record),
            // it may have ended while the roles gave back what they held
            End::Interrupted => watch::look(&deps, &self.job).await?,
        };
        match record {
            Some(record) if record.state == JobState::Completed => {
                match deliver::deliver(&deps, &self.job, self.out.path(), &self.out.state()).await {
                    Ok(manifest) => Ok(Ended::Delivered(manifest, overheard.media_ms())),
                    Err(failure) => Ok(Ended::Undelivered(failure)),
                }
            }
            Some(record) => {
                let failure =
                    record.failure.clone().unwrap_or_else(|| failure::usage("the job was cancelled"));
                Ok(Ended::Failed(failure, Some(Box::new(record))))
            }
            None => Ok(Ended::Interrupted),
        }
    }

    async fn submit(&self, backend: &Backend, deps: &Deps) -> Result<(), Failure> {
        let key = Key::source(&self.job, &self.source.extension());
        backend.adopt(&key, &self.source.path).await?;
        let new = NewJob {
            id: self.job.clone(),
            source_key: key.to_string(),
            recipe: recipe_document(&self.request.recipe)?,
        };
        submit(deps, new).await.map(|_| ()).map_err(|error| failure::port(&error))
    }
}

enum Ended {
    Delivered(Manifest, Option<u64>),
    /// It is published in its state, which stays; the same command delivers it.
    Undelivered(Failure),
    Interrupted,
    Failed(Failure, Option<Box<JobRecord>>),
}
