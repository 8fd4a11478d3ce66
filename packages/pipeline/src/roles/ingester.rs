//! The ingester: creates a job for each source that arrives.
//!
//! A source under `input/JOB/` is a request in itself. A notice of it may come twice, late, before an
//! older one, or for a job that was created before with a recipe of its own; the job is created once.

use std::sync::Arc;
use std::time::Duration;

use segue_domain::{JobState, Key, OutputState, Recipe};
use segue_ports::{ArrivalNotice, Lane, PortError, PortErrorKind, ReadArrivals, WorkQueue};
use tokio_util::sync::CancellationToken;

use crate::config::{Deps, RoleConfig};
use crate::receive::{Outcome, serve_all};
use crate::submit::new_job;
use crate::wake::ask_for_plan;

/// How sources become jobs in a deployment.
#[derive(Clone)]
pub struct Intake {
    /// Reads the store's notices.
    pub reader: Arc<dyn ReadArrivals>,
    /// The recipe of a job that was not created before its source arrived.
    pub recipe: Recipe,
}

/// Result of the arrival of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingested {
    /// It made a job, which a planner was asked to plan.
    Created,
    /// The job was there and is not planned yet; a planner was asked again.
    Asked,
    /// The job is past that, in this state; nothing was done.
    Known(JobState),
    /// The job has another source, which stays; nothing was done.
    OtherSource,
}

/// The source at `source` is there: its job is made with `recipe` unless it is known, and a
/// chunker is asked for its plan. A repeat makes no second job.
///
/// A job that has ended is left as it is, also when it failed: a notice that comes again
/// would otherwise try a bad source for ever.
///
/// # Errors
/// The ledger's and the queue's; the notice is to be handled again. `Misuse` for a key that is
/// no source's.
pub async fn ingest(deps: &Deps, recipe: &Recipe, source: &Key) -> Result<Ingested, PortError> {
    if !matches!(source, Key::Source { .. }) {
        return Err(PortError::new(PortErrorKind::Misuse, format!("{source} is no source")));
    }
    let (id, source_key) = (source.job().clone(), source.to_string());
    let created = deps.ledger.create_job(new_job(&id, source_key.clone(), recipe)).await?;
    let job = created.job;
    if job.source_key != source_key {
        tracing::warn!(job = %id, source = %source_key, has = %job.source_key, "a second source is left alone");
        return Ok(Ingested::OtherSource);
    }
    if !job.open_outputs().any(|output| output.state == OutputState::Created) {
        tracing::info!(job = %id, state = %job.state(), "a notice of a source that is known");
        return Ok(Ingested::Known(job.state()));
    }
    ask_for_plan(deps, &id).await?;
    tracing::info!(job = %id, source = %source_key, created = created.created, "a source has arrived");
    Ok(if created.created { Ingested::Created } else { Ingested::Asked })
}

/// Takes in every source of a notice, and says what is to become of the notice: it is done, it
/// is left for a newer build, or a person is to look at what else it says. `wait` is how long
/// one of a newer version is left to others.
///
/// # Errors
/// As [`ingest`]: some of the sources may be taken in, and a repeat takes in the others.
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

/// Takes sources in until `shutdown`, from notices on the lane of ingesters of
/// `notices`. Jobs and their messages go to `deps`.
///
/// # Errors
/// None that end the role: what fails is logged and comes again.
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
