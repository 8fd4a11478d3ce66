//! The chunker: from a job to a sealed plan and one message per task.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use segue_domain::{
    JobId, JobRecord, JobState, Key, Message, Plan, PlanHash, Recipe, SealedPlan, TaskId, Term,
};
use segue_ports::{
    EngineError, Event, FileUse, JobChange, LeaseName, PlanRequest, Planner, PutOptions, QueueName, Run,
    Stage, mutant,
};
use tokio_util::sync::CancellationToken;

use crate::deps::{Deps, RoleConfig};
use crate::held::{Held, Hold};
use crate::ingest::{Intake, take_in};
use crate::progress::{completed_tasks, report_stages};
use crate::receive::{Outcome, serve, serve_all};
use crate::settle::{
    after_failure, as_engine_error, job_under_lease, load_plan, open_source, reassemble_if_all_in,
    says_it_lives, scratch, source_error, unless_cancelled, unless_killer,
};

/// Task messages that are sent at once.
const SEND_BATCH: usize = 100;

/// Plans jobs until `shutdown`.
///
/// # Errors
/// None that end the role: what fails is logged and comes again.
pub async fn run(
    deps: Deps,
    planner: Arc<dyn Planner>,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chunker = Chunker { deps: deps.clone(), planner, config: config.clone(), shutdown: shutdown.clone() };
    serve(&deps, &config, QueueName::Chunk, shutdown, |message| chunker.handle(message)).await;
    Ok(())
}

/// The same where notices of arrived sources come to the chunkers' queue as well.
///
/// # Errors
/// None that end the role: what fails is logged and comes again.
pub async fn run_with_intake(
    deps: Deps,
    planner: Arc<dyn Planner>,
    intake: Intake,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let chunker = Chunker { deps: deps.clone(), planner, config: config.clone(), shutdown: shutdown.clone() };
    let handle = |message| chunker.handle(message);
    let foreign = |text: String, _| {
        let (deps, intake, wait) = (&deps, &intake, config.visibility);
        async move { take_in(deps, intake, &text, wait).await }
    };
    serve_all(&deps, &config, QueueName::Chunk, shutdown, handle, foreign).await;
    Ok(())
}

/// The name under which failed attempts at planning are counted.
fn planning() -> TaskId {
    "chunk".parse().expect("a plain id")
}

/// The folder of an attempt at planning.
fn attempt(held: &Held) -> Term {
    if mutant!("plan-key-without-term") { Term(0) } else { held.term() }
}

struct Chunker {
    deps: Deps,
    planner: Arc<dyn Planner>,
    config: RoleConfig,
    shutdown: CancellationToken,
}

impl Chunker {
    async fn handle(&self, message: Message) -> anyhow::Result<Outcome> {
        let Message::Chunk { job } = message else {
            return Ok(Outcome::Poison("not a message for a chunker".into()));
        };
        let Some(record) = self.deps.ledger.job(&job).await? else { return Ok(Outcome::Done) };
        match record.state {
            JobState::Created => self.plan(record).await,
            JobState::Mapping => {
                // sealed before, perhaps by one who died before the tasks were sent
                let plan = load_plan(&self.deps, &record).await?;
                if !mutant!("sealed-is-sent") {
                    send_missing(&self.deps, &plan).await?;
                }
                Ok(Outcome::Done)
            }
            _ => Ok(Outcome::Done),
        }
    }

    async fn plan(&self, record: JobRecord) -> anyhow::Result<Outcome> {
        let name = LeaseName::chunk(&record.id);
        let held =
            match Held::acquire(&self.deps.ledger, &self.config, name, Some(&record.id), &self.shutdown)
                .await?
            {
                Hold::Held(held) => held,
                Hold::Busy(left) => return Ok(Outcome::Later(left)),
            };
        let outcome = match job_under_lease(&self.deps, &record).await {
            Ok(Some(now)) if now.state == JobState::Created => self.plan_held(&now, &held).await,
            Ok(_) => Ok(Outcome::Later(Duration::ZERO)),
            Err(error) => Err(error.into()),
        };
        held.release().await;
        says_it_lives(&self.deps, &self.config, &record.id, &planning(), &outcome, &self.shutdown).await;
        outcome
    }

    async fn plan_held(&self, record: &JobRecord, held: &Held) -> anyhow::Result<Outcome> {
        let job = &record.id;
        if let Some(killer) =
            unless_killer(&self.deps, &self.config, job, &planning(), None, held.lease()).await?
        {
            return Ok(killer);
        }
        self.deps.reporter.report(Event::StageStarted {
            job: job.clone(),
            stage: Stage::Plan,
            total: 1,
            done: 0,
            unit: "plan".into(),
        });
        let plan = match self.derive(record, held).await {
            Ok(plan) => plan,
            Err(error) => {
                return after_failure(&self.deps, &self.config, job, &planning(), None, held.lease(), error)
                    .await;
            }
        };
        self.deps.reporter.report(Event::StageEnded { job: job.clone(), stage: Stage::Plan });
        if mutant!("send-before-seal") {
            send_missing(&self.deps, &plan).await?;
        }
        let Some(sealed) = self.seal(&plan, held).await? else {
            // sealed by another, or ended: look again
            return Ok(Outcome::Later(Duration::ZERO));
        };
        self.deps.reporter.report(Event::State { job: job.clone(), state: sealed.state });
        report_stages(&self.deps, &plan, &HashSet::new());
        if !mutant!("send-before-seal") {
            send_missing(&self.deps, &plan).await?;
        }
        reassemble_if_all_in(&self.deps, job).await?;
        Ok(Outcome::Done)
    }

    /// Plans and stores what goes with the plan, under keys of this attempt's term.
    async fn derive(&self, record: &JobRecord, held: &Held) -> Result<Plan, EngineError> {
        let usage =
            |e: segue_domain::DomainError| EngineError::new(segue_domain::FaultKind::Usage, e.to_string());
        let recipe: Recipe = serde_json::from_str(&record.recipe).map_err(|e| {
            EngineError::new(segue_domain::FaultKind::Usage, format!("the job's recipe cannot be read: {e}"))
        })?;
        recipe.check().map_err(usage)?;
        let folder = scratch(&self.config)?;
        let fetched = async {
            let source = open_source(&self.deps, &record.source_key, folder.path()).await;
            source.map_err(|e| source_error(&record.source_key, e))
        };
        let source = unless_cancelled(held.lost(), fetched).await?;
        let run = Run {
            job: record.id.clone(),
            cancel: held.lost().clone(),
            reporter: Arc::clone(&self.deps.reporter),
            threads: self.config.threads,
            scratch: folder.path().to_owned(),
        };
        let request = PlanRequest { run, source, source_key: record.source_key.clone(), recipe };
        let planned = self.planner.plan(request).await?;
        for message in planned.warnings {
            self.deps.reporter.report(Event::Warning { job: record.id.clone(), message });
        }
        let mut plan = planned.plan;
        for file in planned.files {
            let name = format!("{}/{}", attempt(held), file.name);
            let key = Key::segment(&record.id, &name)
                .map_err(|e| EngineError::new(segue_domain::FaultKind::Internal, e.to_string()))?;
            let options = PutOptions::default();
            let stored = self.deps.store.upload(&key, &file.path, FileUse::Consume, &options).await;
            stored.map_err(as_engine_error)?;
            plan.files.insert(file.name, key.to_string());
        }
        plan.check().map_err(|e| EngineError::new(segue_domain::FaultKind::Internal, e.to_string()))?;
        Ok(plan)
    }

    async fn seal(&self, plan: &Plan, held: &Held) -> anyhow::Result<Option<JobRecord>> {
        let (bytes, hash): (Vec<u8>, PlanHash) = plan.encode();
        let key = Key::segment(&plan.job, &format!("{}/plan.json", attempt(held)))?;
        self.deps.store.put_bytes(&key, Bytes::from(bytes), &PutOptions::default()).await?;
        let sealed = SealedPlan { hash, key: key.to_string(), tasks: plan.tasks.len() as u64 };
        let changed = self.deps.ledger.change(&plan.job, JobChange::Seal(sealed), Some(held.lease())).await;
        changed.context("the plan could not be sealed")
    }
}

/// Sends a message for every task that has no completion.
///
/// # Errors
/// The ledger's and the queue's; some messages may have been sent.
pub(crate) async fn send_missing(deps: &Deps, plan: &Plan) -> anyhow::Result<()> {
    let done = completed_tasks(deps, &plan.job).await?;
    let missing: Vec<String> = plan
        .tasks
        .iter()
        .filter(|task| !done.contains(&task.id))
        .map(|task| Message::Task { job: plan.job.clone(), task: task.id.clone() }.encode())
        .collect();
    for batch in missing.chunks(SEND_BATCH) {
        deps.queue.send(QueueName::Map, batch, Duration::ZERO).await?;
    }
    Ok(())
}

/// Sends again what a job that stands still is waiting for.
pub(crate) async fn resend(deps: &Deps, job: &JobId, state: JobState) -> anyhow::Result<()> {
    match state {
        JobState::Created => {
            let body = Message::Chunk { job: job.clone() }.encode();
            deps.queue.send(QueueName::Chunk, &[body], Duration::ZERO).await?;
        }
        JobState::Mapping => {
            let Some(record) = deps.ledger.job(job).await? else { return Ok(()) };
            if record.state == JobState::Mapping && !record.all_tasks_in() {
                send_missing(deps, &*load_plan(deps, &record).await?).await?;
            }
            reassemble_if_all_in(deps, job).await?;
        }
        _ => reassemble_if_all_in(deps, job).await?,
    }
    Ok(())
}
