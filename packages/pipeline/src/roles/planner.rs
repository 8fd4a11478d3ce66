//! The planner: seals plans of a job's outputs and sends one message per task.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use segue_domain::{
    DomainError, FaultKind, JobRecord, Key, Message, OutputId, OutputIndex, OutputRecord, OutputState, Plan,
    Recipe, SealedPlan, TaskId,
};
use segue_ports::{
    EngineError, Event, FileUse, JobChange, Lane, LeaseName, PlanRequest, Planned, PlannedOutput, Planner,
    PutOptions, Stage, WorkContext,
};
use tokio_util::sync::CancellationToken;

use super::ingester::{Intake, take_in};
use crate::attempts::{count_survivor, fail_if_poison, job_under_lease, record_failure, report_state};
use crate::config::{Deps, RoleConfig};
use crate::inputs::{
    as_engine_error, internal, load_plan, open_source, published_index, scratch, source_error,
    unless_cancelled,
};
use crate::lease_guard::{Hold, LeaseGuard, WorkFor};
use crate::progress::report_stages;
use crate::receive::{Outcome, serve, serve_all};
use crate::wake::{assemble_if_ready, is_ready_to_plan, send_missing, send_waiting};

/// Plans outputs until `shutdown`.
///
/// # Errors
/// None that end the role: failures are logged and the message is redelivered.
pub async fn run(
    deps: Deps,
    planner: Arc<dyn Planner>,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let role = Role { deps: deps.clone(), planner, config: config.clone(), shutdown: shutdown.clone() };
    serve(&deps, &config, Lane::Plan, shutdown, |message| role.handle(message)).await;
    Ok(())
}

/// The same where notices of arrived sources are delivered on the planners' lane as well.
///
/// # Errors
/// None that end the role: failures are logged and the message is redelivered.
pub async fn run_with_intake(
    deps: Deps,
    planner: Arc<dyn Planner>,
    intake: Intake,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let role = Role { deps: deps.clone(), planner, config: config.clone(), shutdown: shutdown.clone() };
    let handle = |message| role.handle(message);
    let foreign = |text: String, _| {
        let (deps, intake, wait) = (&deps, &intake, config.visibility);
        async move { take_in(deps, intake, &text, wait).await }
    };
    serve_all(&deps, &config, Lane::Plan, shutdown, handle, foreign).await;
    Ok(())
}

struct Role {
    deps: Deps,
    planner: Arc<dyn Planner>,
    config: RoleConfig,
    shutdown: CancellationToken,
}

impl Role {
    async fn handle(&self, message: Message) -> anyhow::Result<Outcome> {
        let Message::Plan { job } = message else {
            return Ok(Outcome::Poison("not a message for a planner".into()));
        };
        let Some(record) = self.deps.ledger.job(&job).await? else { return Ok(Outcome::Done) };
        if record.deleting || record.awaiting_until_ms.is_some() {
            return Ok(Outcome::Done);
        }
        let is_ready = record.outputs.iter().any(|output| is_ready_to_plan(&record, output));
        let sent = self.send_again(&record, is_ready).await;
        let outcome = if is_ready { self.plan(record).await? } else { Outcome::Done };
        match sent {
            Err(error) if matches!(outcome, Outcome::Done | Outcome::Poison(_)) => Err(error),
            _ => Ok(outcome),
        }
    }

    /// Sends the tasks of outputs that were sealed before, perhaps by a planner that died before it sent them.
    /// Where the message is for others, those of which nothing has begun. An output whose plan cannot be read
    /// does not block the others; its error is returned after them.
    async fn send_again(&self, record: &JobRecord, is_for_others: bool) -> anyhow::Result<()> {
        let mut sent = Ok(());
        for output in record.outputs.iter().filter(|output| output.state == OutputState::Mapping) {
            let name = record.output_ref(output.id());
            let result = match load_plan(&self.deps, output).await {
                Ok(plan) => send_waiting(&self.deps, &name, &plan, !is_for_others).await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(output = %name, error = format!("{error:#}"), "tasks are not sent again");
                sent = Err(error);
            }
        }
        sent
    }

    async fn plan(&self, record: JobRecord) -> anyhow::Result<Outcome> {
        let name = LeaseName::plan(&record.id);
        let work_for = WorkFor::Job(record.id.clone(), record.epoch.clone());
        let hold =
            LeaseGuard::acquire(&self.deps.ledger, &self.config, name, work_for, &self.shutdown).await?;
        let held = match hold {
            Hold::Held(held) => held,
            Hold::Busy(left) => return Ok(Outcome::Later(left)),
        };
        let now = job_under_lease(&self.deps, &record).await;
        let ready = |job: &JobRecord| -> Vec<OutputRecord> {
            job.outputs.iter().filter(|output| is_ready_to_plan(job, output)).cloned().collect()
        };
        let (outcome, ready) = match now {
            Ok(Some(now)) if now.epoch == record.epoch && !now.deleting => {
                let (was_ready, ready) = (ready(&record), ready(&now));
                let planned = self.plan_held(&now, &ready, &held).await;
                // sealed since it was read, perhaps by a planner that died before the tasks were sent
                let is_sent = was_ready.iter().all(|was| ready.iter().any(|now| now.id() == was.id()));
                let outcome = match planned {
                    Ok(Outcome::Done) if !is_sent => Ok(Outcome::Later(Duration::ZERO)),
                    planned => planned,
                };
                (outcome, ready)
            }
            Ok(_) => (Ok(Outcome::Later(Duration::ZERO)), Vec::new()),
            Err(error) => (Err(error.into()), Vec::new()),
        };
        held.release().await;
        for output in ready {
            let (output, planning) = (record.output_ref(output.id()), TaskId::planning());
            count_survivor(&self.deps, &self.config, &output, &planning, &outcome, &self.shutdown).await;
        }
        outcome
    }

    /// Plans the outputs that are ready, all of them from one probe of the source.
    async fn plan_held(
        &self,
        job: &JobRecord,
        ready: &[OutputRecord],
        held: &LeaseGuard,
    ) -> anyhow::Result<Outcome> {
        let mut outcomes = Vec::new();
        let mut wanted = Vec::new();
        for output in ready {
            let name = job.output_ref(output.id());
            let poison =
                fail_if_poison(&self.deps, &self.config, &name, &TaskId::planning(), None, held.lease())
                    .await?;
            match poison {
                Some(outcome) => outcomes.push(outcome),
                None => wanted.push(output),
            }
        }
        if wanted.is_empty() {
            return Ok(Outcome::worst(outcomes));
        }
        let job_id = job.id.clone();
        let stage = Stage::Plan;
        let started =
            Event::StageStarted { job: job_id.clone(), stage, total: 1, done: 0, unit: "plan".into() };
        self.deps.reporter.report(started);
        let mut plans = Vec::new();
        match self.derive(job, &wanted, held).await {
            Ok(derived) => {
                for (output, derived) in derived {
                    match derived {
                        Ok(plan) => plans.push(plan),
                        Err(error) => outcomes.push(self.failed(job, &output, held, error).await?),
                    }
                }
            }
            Err(error) => {
                for output in wanted {
                    outcomes.push(self.failed(job, output.id(), held, error.clone()).await?);
                }
            }
        }
        if plans.is_empty() {
            return Ok(Outcome::worst(outcomes));
        }
        self.deps.reporter.report(Event::StageEnded { job: job_id, stage });
        outcomes.push(self.seal_and_send(job, plans, held).await?);
        Ok(Outcome::worst(outcomes))
    }

    async fn failed(
        &self,
        job: &JobRecord,
        output: &OutputId,
        held: &LeaseGuard,
        error: EngineError,
    ) -> anyhow::Result<Outcome> {
        let name = job.output_ref(output);
        record_failure(&self.deps, &self.config, &name, &TaskId::planning(), None, held.lease(), error).await
    }

    async fn seal_and_send(
        &self,
        job: &JobRecord,
        mut plans: Vec<Plan>,
        held: &LeaseGuard,
    ) -> anyhow::Result<Outcome> {
        let priority = |plan: &Plan| job.output(&plan.output).map_or(0, |output| output.asked.priority);
        plans.sort_by_key(|plan| std::cmp::Reverse(priority(plan)));
        let Some(sealed) = self.seal(job, &plans, held).await? else {
            // sealed by another planner, or one of them has ended: check again
            return Ok(Outcome::Later(Duration::ZERO));
        };
        for plan in &plans {
            report_state(&self.deps, &sealed, &plan.output);
        }
        let plans: Vec<_> = plans.into_iter().map(|plan| (Arc::new(plan), HashSet::new())).collect();
        report_stages(&self.deps, &job.id, &plans);
        for (plan, _) in &plans {
            let output = job.output_ref(&plan.output);
            send_missing(&self.deps, &output, plan).await?;
            assemble_if_ready(&self.deps, &output).await?;
        }
        Ok(Outcome::Done)
    }

    /// Plans, and stores the files of the plans under keys of this attempt's term.
    async fn derive(
        &self,
        job: &JobRecord,
        wanted: &[&OutputRecord],
        held: &LeaseGuard,
    ) -> Result<BTreeMap<OutputId, Result<Plan, EngineError>>, EngineError> {
        let recipe = Recipe::from_json(&job.recipe).map_err(|error| match error {
            DomainError::Version { .. } => EngineError::newer(error.to_string()),
            error => EngineError::new(FaultKind::Usage, format!("the job's recipe: {error}")),
        })?;
        let folder = scratch(&self.config)?;
        let mut plans = BTreeMap::new();
        let mut readable = Vec::new();
        let mut indexes = BTreeMap::new();
        for output in wanted {
            match unless_cancelled(held.lost(), self.read_needs(job, output, &mut indexes)).await {
                Ok(()) => readable.push(*output),
                Err(error) => drop(plans.insert(output.id().clone(), Err(error))),
            }
        }
        let wanted = readable;
        if wanted.is_empty() {
            return Ok(plans);
        }
        let request = self.request(job, recipe, &wanted, indexes, folder.path(), held);
        let request = unless_cancelled(held.lost(), request).await?;
        let needs: BTreeMap<OutputId, String> = wanted
            .iter()
            .flat_map(|output| &output.asked.needs)
            .filter_map(|need| {
                Some((need.output.clone(), job.output(&need.output)?.index.as_ref()?.hash.clone()))
            })
            .collect();
        let Planned { outputs, warnings } = self.planner.plan(request).await?;
        for message in warnings {
            self.deps.reporter.report(Event::Warning { job: job.id.clone(), message });
        }
        for (output, planned) in outputs {
            let plan = match planned {
                Ok(planned) => self
                    .store_files(job, planned, held)
                    .await
                    .map(|plan| Plan { needs: needs_of(job, &output, &needs), ..plan }),
                Err(error) => Err(error),
            };
            plans.insert(output, plan);
        }
        Ok(plans)
    }

    /// Reads the published indexes that the plan of `output` is made from, each once for a message.
    async fn read_needs(
        &self,
        job: &JobRecord,
        output: &OutputRecord,
        indexes: &mut BTreeMap<OutputId, OutputIndex>,
    ) -> Result<(), EngineError> {
        for need in output.asked.needs.iter().filter(|need| need.gate == segue_domain::Gate::Plan) {
            if !indexes.contains_key(&need.output) {
                let index = published_index(&self.deps, job, &need.output).await?;
                indexes.insert(need.output.clone(), index);
            }
        }
        Ok(())
    }

    async fn request(
        &self,
        job: &JobRecord,
        recipe: Recipe,
        wanted: &[&OutputRecord],
        needs: BTreeMap<OutputId, OutputIndex>,
        folder: &Path,
        held: &LeaseGuard,
    ) -> Result<PlanRequest, EngineError> {
        let source = open_source(&self.deps, &job.source_key, folder).await;
        let source = source.map_err(|e| source_error(&job.source_key, e))?;
        let run = WorkContext {
            job: job.id.clone(),
            cancel: held.lost().clone(),
            reporter: Arc::clone(&self.deps.reporter),
            threads: self.config.threads,
            scratch: folder.to_owned(),
        };
        let outputs = wanted.iter().map(|output| output.id().clone()).collect();
        Ok(PlanRequest { run, source, source_key: job.source_key.clone(), recipe, outputs, needs })
    }

    async fn store_files(
        &self,
        job: &JobRecord,
        planned: PlannedOutput,
        held: &LeaseGuard,
    ) -> Result<Plan, EngineError> {
        let mut plan = planned.plan;
        for file in planned.files {
            let key = Key::segment(&job.id, &plan.output, held.term(), &file.name).map_err(internal)?;
            let options = PutOptions::default();
            let stored = self.deps.store.upload(&key, &file.path, FileUse::Consume, &options).await;
            stored.map_err(as_engine_error)?;
            plan.files.insert(file.name, key.to_string());
        }
        plan.check().map_err(internal)?;
        Ok(plan)
    }

    async fn seal(
        &self,
        job: &JobRecord,
        plans: &[Plan],
        held: &LeaseGuard,
    ) -> anyhow::Result<Option<JobRecord>> {
        let mut sealed = Vec::with_capacity(plans.len());
        for plan in plans {
            let (bytes, hash) = plan.encode();
            let key = Key::segment(&job.id, &plan.output, held.term(), "plan.json")?;
            self.deps.store.put_bytes(&key, Bytes::from(bytes), &PutOptions::default()).await?;
            let tasks = plan.tasks.len() as u64;
            sealed.push((plan.output.clone(), SealedPlan { hash, key: key.to_string(), tasks }));
        }
        let changed = self.deps.ledger.change(&job.id, JobChange::Seal(sealed), Some(held.lease())).await;
        changed.context("the plans could not be sealed")
    }
}

/// The hashes of the indexes that the plan of `output` was made from.
fn needs_of(
    job: &JobRecord,
    output: &OutputId,
    hashes: &BTreeMap<OutputId, String>,
) -> BTreeMap<OutputId, String> {
    let needs = job.output(output).map(|output| output.asked.needs.as_slice()).unwrap_or_default();
    let gates_the_plan = needs.iter().filter(|need| need.gate == segue_domain::Gate::Plan);
    gates_the_plan.filter_map(|need| Some((need.output.clone(), hashes.get(&need.output)?.clone()))).collect()
}
