//! Runs one job that this process has claimed, and cleans up its folders.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use segue_domain::{Failure, FaultKind, JobId, JobRecord, JobState, Key, Manifest, OutputId, OutputState};
use segue_engines::Engines;
use segue_pipeline::{Deps, control, new_job, progress, submit};
use segue_ports::{Event, Reporter};
use tokio_util::sync::CancellationToken;

use super::deliver::{deliver, lost};
use super::disk::{check_space, remove_tree};
use super::identity::SourceFile;
use super::out_dir::{Marker, OutDir};
use super::roles::{Crew, Roles};
use super::watch::{self, End};
use super::{Finished, Outcome, RunRequest};
use crate::backend::{self, Backend};
use crate::failure;
use crate::private::make_folders;

/// A job and the folder that it owns.
pub(super) struct EmbeddedJob {
    pub(super) job: JobId,
    pub(super) source: SourceFile,
    pub(super) out: OutDir,
    pub(super) state: PathBuf,
    pub(super) request: RunRequest,
    pub(super) reporter: Arc<dyn Reporter>,
    pub(super) resumed: bool,
    pub(super) started: Instant,
}

impl EmbeddedJob {
    /// Runs the job and cleans up after it.
    pub(super) async fn run(
        mut self,
        engines: Engines,
        shutdown: CancellationToken,
    ) -> Result<Outcome, Failure> {
        let ended = self.drive(engines, &shutdown).await;
        let own_state = self.request.state.is_some();
        match ended {
            Ok(Ended::Delivered(manifest, failed)) => {
                let keeps_state = !failed.is_empty();
                let finished = Finished {
                    job: self.job,
                    out_dir: self.out.path().to_owned(),
                    manifest,
                    already: false,
                    resumed: self.resumed,
                    took: self.started.elapsed(),
                    failed,
                    state: self.state.clone(),
                };
                // the same command tries the outputs that failed again, and only those
                if keeps_state {
                    return Ok(Outcome::Finished(Box::new(finished)));
                }
                if own_state {
                    remove_tree(&self.state)?;
                }
                self.out.finish()?;
                Ok(Outcome::Finished(Box::new(finished)))
            }
            Ok(Ended::Interrupted) => Ok(Outcome::Interrupted { job: self.job, state: self.state }),
            Ok(Ended::Kept(failure)) => Err(failure),
            Ok(Ended::Failed(failure, record)) => {
                self.clean_up(record.map(|record| *record))?;
                Err(failure)
            }
            // an environment failure does not discard finished work: the same command resumes the job
            Err(failure) if self.resumed && failure.kind == FaultKind::Environment => Err(failure),
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

    async fn drive(&mut self, engines: Engines, shutdown: &CancellationToken) -> Result<Ended, Failure> {
        if self.resumed
            && let Some(name) = self.lost_result().await?
        {
            let message = format!(
                "{name} was not flushed before this machine stopped, and is damaged: the job starts again"
            );
            self.reporter.report(Event::Warning { job: self.job.clone(), message });
            self.out.withdraw()?;
            self.resumed = false;
        }
        if !self.resumed {
            if self.request.state.is_some() {
                remove_tree(&self.state)?;
            }
            self.out.claim(self.marker())?;
        }
        let scratch = self.state.join("scratch");
        remove_tree(&scratch)?;
        make_folders(&self.state)
            .and_then(|()| make_folders(&scratch))
            .map_err(|error| failure::io(format!("state folder {}", self.state.display()), &error))?;
        check_space(&self.state, self.source.bytes, &self.request.recipe)?;
        let backend = Backend::open_folder(&self.state).await?;
        let deps = backend::deps(&backend, Arc::clone(&self.reporter));
        self.submit(&backend, &deps).await?;
        if self.resumed {
            // only for display; an output that is published already has no plan any more
            if let Err(error) = progress::announce(&deps, &self.job).await {
                tracing::info!(error = format!("{error:#}"), "the progress of an earlier run is not shown");
            }
        }

        let crew =
            Crew { workers: self.request.workers, threads: self.request.threads, scratch: scratch.clone() };
        let mut roles = Roles::start(&deps, Arc::clone(&backend.results), &engines, &crew)?;
        let end = watch::until_end(&deps, &self.job, &self.state, &mut roles, shutdown).await;
        roles.stop().await;
        let record = match end {
            Ok(End::Job(record)) => Ok(Some(*record)),
            // it may have ended while the roles drained
            Ok(End::Interrupted) => watch::look(&deps, &self.job).await,
            Err(failure) => Err(failure),
        };
        let record = match record {
            Err(failure) if self.resumed && failure.kind == FaultKind::Environment => {
                return Ok(Ended::Kept(failure));
            }
            record => record?,
        };
        match record {
            Some(record) if record.state() == JobState::Completed => {
                let (dir, state, fsync) = (self.out.path(), self.out.state(), self.request.fsync);
                match deliver(&deps, &self.job, dir, &state, fsync).await {
                    Ok(manifest) => Ok(Ended::Delivered(manifest, self.failed_outputs(&record, &backend))),
                    Err(failure) => Ok(Ended::Kept(failure)),
                }
            }
            Some(record) => self.failed(record, &backend, &deps).await,
            None => Ok(Ended::Interrupted),
        }
    }

    /// A job of which a required output failed. The outputs that are published are delivered, and their work
    /// stays: the same command tries the others again.
    async fn failed(&self, mut record: JobRecord, backend: &Backend, deps: &Deps) -> Result<Ended, Failure> {
        for output in &mut record.outputs {
            let failure = output.failure.take();
            output.failure = failure.map(|failure| self.in_words_of_the_user(failure, backend));
        }
        let failure = match record.failed_output() {
            Some((output, failure)) if record.outputs.len() > 1 => {
                Failure { cause: format!("output {output}: {}", failure.cause), ..failure.clone() }
            }
            Some((_, failure)) => failure.clone(),
            None => failure::usage("the job was cancelled"),
        };
        if !record.outputs.iter().any(|output| output.state == OutputState::Completed) {
            return Ok(Ended::Failed(failure, Some(Box::new(record))));
        }
        let (dir, state, fsync) = (self.out.path(), self.out.state(), self.request.fsync);
        let manifest = match deliver(deps, &self.job, dir, &state, fsync).await {
            Ok(manifest) => manifest,
            // the work stays, as where every output was made
            Err(failure) => return Ok(Ended::Kept(failure)),
        };
        let made = manifest.outputs.keys().map(OutputId::as_str).collect::<Vec<_>>().join(", ");
        let message = format!(
            "{} holds the other outputs ({made}); the same command tries again what failed",
            self.request.out_dir.display()
        );
        self.reporter.report(Event::Warning { job: self.job.clone(), message });
        Ok(Ended::Kept(failure))
    }

    /// The first result of an earlier process that was lost in a power cut.
    async fn lost_result(&self) -> Result<Option<String>, Failure> {
        let backend = Backend::open_folder(&self.state).await?;
        let deps = backend::deps(&backend, Arc::clone(&self.reporter));
        let record = deps.ledger.job(&self.job).await.map_err(|error| failure::port(&error))?;
        match record {
            Some(record) => lost(&deps, &record, &self.out.state()).await,
            None => Ok(None),
        }
    }

    /// The optional outputs that failed, with causes that name the user's files.
    fn failed_outputs(&self, record: &JobRecord, backend: &Backend) -> Vec<(OutputId, Failure)> {
        let failed = record.outputs.iter().filter(|output| output.state == OutputState::Failed);
        failed
            .filter_map(|output| {
                let failure = self.in_words_of_the_user(output.failure.clone()?, backend);
                Some((output.id().clone(), failure))
            })
            .collect()
    }

    fn source_key(&self) -> Key {
        Key::source(&self.job, &self.source.extension())
    }

    /// The source under the name that the user gave.
    fn in_words_of_the_user(&self, failure: Failure, backend: &Backend) -> Failure {
        let Some(inner) = backend.sources.adopted_path(&self.source_key()) else { return failure };
        let inner = inner.display().to_string();
        let outer = self.request.source.display().to_string();
        let rename = |text: &String| text.replace(&inner, &outer);
        Failure {
            cause: rename(&failure.cause),
            stderr_tail: failure.stderr_tail.iter().map(rename).collect(),
            ..failure
        }
    }

    async fn submit(&self, backend: &Backend, deps: &Deps) -> Result<(), Failure> {
        let key = self.source_key();
        let adopted = backend.sources.adopt(&key, &self.source.path).await;
        adopted.map_err(|error| failure::port(&error))?;
        let new = new_job(&self.job, key.to_string(), &self.request.recipe);
        let record = submit(deps, new).await.map_err(|error| failure::port(&error))?;
        if record.outputs.iter().any(|output| output.state.is_unsuccessful()) {
            control::retry(deps, &self.job, None).await.map_err(|error| failure::port(&error))?;
        }
        Ok(())
    }
}

enum Ended {
    Delivered(Manifest, Vec<(OutputId, Failure)>),
    /// The job itself has not failed: the state of a resumed job is kept, also when its results could
    /// not be delivered, and the same command resumes it.
    Kept(Failure),
    Interrupted,
    Failed(Failure, Option<Box<JobRecord>>),
}
