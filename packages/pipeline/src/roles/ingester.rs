//! The ingester: creates a job for each source that arrives.
//!
//! A source under `input/JOB/` is a request in itself. A notice of it may be delivered twice, late, out of
//! order, or for a job that was created before with a recipe of its own; the job is created once.

use std::sync::Arc;
use std::time::Duration;

use segue_domain::{JobState, Key, OutputState, Recipe};
use segue_ports::{ArrivalNotice, Lane, PortError, PortErrorKind, ReadArrivals, WorkQueue};
use tokio_util::sync::CancellationToken;

use crate::config::{Deps, RoleConfig};
use crate::receive::{Outcome, serve_all};
use crate::submit::new_job;
use crate::wake::ask_for_plan;

/// Configuration of the creation of jobs from sources.
#[derive(Clone)]
pub struct Intake {
    /// Reads the store's notices.
    pub reader: Arc<dyn ReadArrivals>,
    /// The default recipe of a job that was not created before its source arrived.
    pub recipe: Recipe,
}

/// Result of ingesting a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingested {
    /// The job was created, and its plan requested.
    Created,
    /// The job existed and is not planned yet; its plan was requested again.
    Asked,
    /// The job is in this later state; nothing was done.
    Known(JobState),
    /// The job has another source, which is kept; nothing was done.
    OtherSource,
}

/// Creates the job of the source `source` with `recipe` unless it exists, and requests its plan from a
/// planner. A repeat creates no second job.
///
/// A job that has ended is unchanged, also when it failed: a repeated notice
/// would otherwise retry an invalid source without end.
///
/// # Errors
/// Errors of the ledger and the queue; the notice is to be handled again. `Misuse` for a key that is
/// not a source's.
pub async fn ingest(deps: &Deps, recipe: &Recipe, source: &Key) -> Result<Ingested, PortError> {
    if !matches!(source, Key::Source { .. }) {
        return Err(PortError::new(PortErrorKind::Misuse, format!("{source} is no source")));
    }
    let (id, source_key) = (source.job().clone(), source.to_string());
    let created = deps.ledger.create_job(new_job(&id, source_key.clone(), recipe)).await?;
    let job = created.job;
    if job.source_key != source_key {
        tracing::warn!(job = %id, source = %source_key, has = %job.source_key, "a second source of a job is ignored");
        return Ok(Ingested::OtherSource);
    }
    if !job.open_outputs().any(|output| output.state == OutputState::Created) {
        tracing::info!(job = %id, state = %job.state(), "a repeated notice of a source");
        return Ok(Ingested::Known(job.state()));
    }
    ask_for_plan(deps, &id).await?;
    tracing::info!(job = %id, source = %source_key, created = created.created, "a source has arrived");
    Ok(if created.created { Ingested::Created } else { Ingested::Asked })
}

/// Ingests every source of a notice, and returns the outcome of its message: removed,
/// left for a newer build, or dead-lettered because of its other entries. `wait` is the delay of
/// one that is left for a newer build.
///
/// # Errors
/// As [`ingest`]: some of the sources may be ingested, and a repeat ingests the others.
pub async fn ingest_notice(
    deps: &Deps,
    recipe: &Recipe,
    notice: &ArrivalNotice,
    wait: Duration,
) -> Result<Outcome, PortError> {
    match notice {
        ArrivalNotice::Sources { sources, odd } => {
            for source in sources {
                ingest(deps, recipe, source).await?;
            }
            Ok(if odd.is_empty() { Outcome::Done } else { Outcome::Poison(odd.join("; ")) })
        }
        ArrivalNotice::Newer(why) => {
            tracing::warn!(why, "a notice is left for a newer build");
            Ok(Outcome::Later(wait))
        }
        ArrivalNotice::Unreadable(why) => Ok(Outcome::Poison(why.clone())),
    }
}

pub(crate) async fn take_in(
    deps: &Deps,
    intake: &Intake,
    text: &str,
    wait: Duration,
) -> anyhow::Result<Outcome> {
    Ok(ingest_notice(deps, &intake.recipe, &intake.reader.read(text), wait).await?)
}

/// Ingests sources until `shutdown`, from notices on the ingesters' lane of
/// `notices`. Jobs and their messages go to `deps`.
///
/// # Errors
/// None that end the role: failures are logged and the message is redelivered.
pub async fn run(
    deps: Deps,
    notices: Arc<dyn WorkQueue>,
    intake: Intake,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let from = Deps { queue: notices, ..deps.clone() };
    let handle =
        async |_| Ok(Outcome::Poison("a message for another role on the queue of the notices".to_owned()));
    let foreign = |text: String, _| {
        let (deps, intake, wait) = (&deps, &intake, config.visibility);
        async move { take_in(deps, intake, &text, wait).await }
    };
    serve_all(&from, &config, Lane::Ingest, shutdown, handle, foreign).await;
    Ok(())
}
