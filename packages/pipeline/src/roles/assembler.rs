//! The assembler: assembles the parts of an output and publishes the result.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use segue_domain::manifest::INDEX_VERSION;
use segue_domain::{
    CommittedIndex, Completion, FaultKind, Gate, JobRecord, Key, Message, OutputIndex, OutputRecord,
    OutputState, Plan, PublishedFile, Task, TaskId, Term,
};
use segue_ports::{
    AssembleRequest, Assembled, AssembledFile, Assembler, EngineError, FileUse, JobChange, Lane, LeaseName,
    OutputChange, Part, PutOptions, WorkContext,
};
use tokio_util::sync::CancellationToken;

use crate::attempts::{count_survivor, fail_if_poison, job_under_lease, record_failure, report_state};
use crate::cleanup::cleanup_completed;
use crate::config::{Deps, RoleConfig};
use crate::inputs::{
    as_engine_error, fetch, internal, load_plan, open_inputs, open_needs, scratch, unless_cancelled,
};
use crate::lease_guard::{Hold, LeaseGuard, WorkFor};
use crate::progress::PAGE;
use crate::publish::{publish, publish_held};
use crate::receive::{Outcome, serve};
use crate::wake::wake_dependents;

/// Maximum number of concurrent downloads of parts.
const FETCHED_AT_ONCE: usize = 16;

/// Assembles outputs until `shutdown`.
///
/// # Errors
/// None that end the role: failures are logged and the message is redelivered.
pub async fn run(
    deps: Deps,
    assembler: Arc<dyn Assembler>,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let role = Role { deps: deps.clone(), assembler, config: config.clone(), shutdown: shutdown.clone() };
    serve(&deps, &config, Lane::Assemble, shutdown, |message| role.handle(message)).await;
    Ok(())
}

struct Role {
    deps: Deps,
    assembler: Arc<dyn Assembler>,
    config: RoleConfig,
    shutdown: CancellationToken,
}

impl Role {
    async fn handle(&self, message: Message) -> anyhow::Result<Outcome> {
        let Message::Assemble { job, output } = message else {
            return Ok(Outcome::Poison("not a message for an assembler".into()));
        };
        let Some(record) = self.deps.ledger.job(&job).await? else { return Ok(Outcome::Done) };
        if record.deleting {
            return Ok(Outcome::Done);
        }
        let Some(found) = record.output(&output) else { return Ok(Outcome::Done) };
        match found.state {
            OutputState::Mapping | OutputState::Assembling => {
                let completed = self.deps.ledger.completed(&record.output_ref(&output)).await?;
                let is_early = !found.is_mapped(completed) || !record.needs_are_met(found, Gate::Assembly);
                if is_early { Ok(Outcome::Done) } else { self.assemble(&record, found).await }
            }
            OutputState::Publishing => {
                let busy = publish(&self.deps, &self.config, &record, found, &self.shutdown).await?;
                Ok(busy.map_or(Outcome::Done, Outcome::Later))
            }
            // by one that may have died before it woke those that need the output
            OutputState::Completed => {
                wake_dependents(&self.deps, &record, &output).await?;
                cleanup_completed(&self.deps, &job, &output).await?;
                Ok(Outcome::Done)
            }
            _ => Ok(Outcome::Done),
        }
    }

    async fn assemble(&self, record: &JobRecord, output: &OutputRecord) -> anyhow::Result<Outcome> {
        let name = LeaseName::assemble(&record.id, output.id());
        let output_ref = record.output_ref(output.id());
        let work_for = WorkFor::Output(output_ref.clone());
        let hold =
            LeaseGuard::acquire(&self.deps.ledger, &self.config, name, work_for, &self.shutdown).await?;
        let held = match hold {
            Hold::Held(held) => held,
            Hold::Busy(left) => return Ok(Outcome::Later(left)),
        };
        let outcome = match job_under_lease(&self.deps, record).await {
            Ok(Some(now)) if now.epoch == record.epoch && !now.deleting => match now.output(output.id()) {
                Some(output) if matches!(output.state, OutputState::Mapping | OutputState::Assembling) => {
                    self.assemble_held(&now, output, &held).await
                }
                _ => Ok(Outcome::Later(Duration::ZERO)),
            },
            Ok(_) => Ok(Outcome::Later(Duration::ZERO)),
            Err(error) => Err(error.into()),
        };
        held.release().await;
        let assembly = TaskId::assembly();
        count_survivor(&self.deps, &self.config, &output_ref, &assembly, &outcome, &self.shutdown).await;
        outcome
    }

    async fn assemble_held(
        &self,
        job: &JobRecord,
        output: &OutputRecord,
        held: &LeaseGuard,
    ) -> anyhow::Result<Outcome> {
        let (id, name, assembly) = (output.id(), job.output_ref(output.id()), TaskId::assembly());
        let poison = fail_if_poison(&self.deps, &self.config, &name, &assembly, None, held.lease()).await?;
        if let Some(outcome) = poison {
            return Ok(outcome);
        }
        if output.state == OutputState::Mapping {
            let change = JobChange::output(id, OutputChange::Assemble);
            let Some(changed) = self.deps.ledger.change(&job.id, change, Some(held.lease())).await? else {
                return Ok(Outcome::Later(Duration::ZERO));
            };
            report_state(&self.deps, &changed, id);
        }
        // a plan of a newer build is left to a newer assembler, not counted as a failure
        let plan = load_plan(&self.deps, output).await?;
        let index = match self.make_index(job, output, plan, held).await {
            Ok(index) => index,
            Err(error) => {
                let lease = held.lease();
                return record_failure(&self.deps, &self.config, &name, &assembly, None, lease, error).await;
            }
        };
        let commit = JobChange::output(id, OutputChange::Commit(index));
        let Some(committed) = self.deps.ledger.change(&job.id, commit, Some(held.lease())).await? else {
            // another holder took over, or the output ended: the files of this attempt are swept
            return Ok(Outcome::Later(Duration::ZERO));
        };
        report_state(&self.deps, &committed, id);
        if let Some(output) = committed.output(id) {
            publish_held(&self.deps, &committed, output, held).await?;
        }
        Ok(Outcome::Done)
    }

    /// Assembles, and stores the result under this attempt's keys; returns the key of its index.
    async fn make_index(
        &self,
        job: &JobRecord,
        output: &OutputRecord,
        plan: Arc<Plan>,
        held: &LeaseGuard,
    ) -> Result<CommittedIndex, EngineError> {
        if plan.reason.is_some() {
            return self.store(job, output, &plan, held.term(), Assembled::default()).await;
        }
        let folder = scratch(&self.config)?;
        let lost = held.lost();
        let inputs = unless_cancelled(lost, open_inputs(&self.deps, &plan, folder.path())).await?;
        let needs = unless_cancelled(lost, open_needs(&self.deps, job, output, folder.path())).await?;
        let parts = unless_cancelled(lost, self.parts(job, &plan, folder.path())).await?;
        let run = WorkContext {
            job: job.id.clone(),
            cancel: lost.clone(),
            reporter: Arc::clone(&self.deps.reporter),
            threads: self.config.threads,
            scratch: folder.path().to_owned(),
        };
        let plan_hash = output.plan.as_ref().map(|plan| plan.hash.to_string()).unwrap_or_default();
        let request = AssembleRequest { run, plan: Arc::clone(&plan), plan_hash, inputs, parts, needs };
        let assembled = self.assembler.assemble(request).await?;
        unless_cancelled(lost, self.store(job, output, &plan, held.term(), assembled)).await
    }

    /// Every completion of the plan with its files, in the plan's order.
    async fn parts(&self, job: &JobRecord, plan: &Plan, folder: &Path) -> Result<Vec<Part>, EngineError> {
        let output = job.output_ref(&plan.output);
        let mut found = HashMap::<TaskId, Completion>::new();
        let mut after: Option<TaskId> = None;
        loop {
            let page = self.deps.ledger.completions(&output, after.as_ref(), PAGE).await;
            let page = page.map_err(as_engine_error)?;
            let Some(last) = page.last() else { break };
            after = Some(last.task.clone());
            found.extend(page.into_iter().map(|completion| (completion.task.clone(), completion)));
        }
        let mut all = Vec::with_capacity(plan.tasks.len());
        for task in &plan.tasks {
            let completion = found.remove(&task.id).ok_or_else(|| {
                let why = format!("all tasks are completed, but {} has no completion", task.id);
                EngineError::new(FaultKind::Internal, why)
            })?;
            all.push((task, completion));
        }
        let fetched = all.into_iter().map(|(task, completion)| self.part(task, completion, folder).boxed());
        let fetched: Vec<_> = fetched.collect();
        let parts: Vec<Part> = stream::iter(fetched).buffered(FETCHED_AT_ONCE).try_collect().await?;
        Ok(parts)
    }

    async fn part(&self, task: &Task, completion: Completion, folder: &Path) -> Result<Part, EngineError> {
        let mut files = BTreeMap::new();
        for file in completion.files {
            files.insert(file.name, fetch(&self.deps, &file.key, folder).await.map_err(as_engine_error)?);
        }
        Ok(Part { task: task.clone(), files, facts: completion.facts })
    }

    async fn store(
        &self,
        job: &JobRecord,
        output: &OutputRecord,
        plan: &Plan,
        term: Term,
        assembled: Assembled,
    ) -> Result<CommittedIndex, EngineError> {
        let (id, assembly) = (output.id(), TaskId::assembly());
        let mut files = Vec::with_capacity(assembled.files.len());
        for file in assembled.files {
            let AssembledFile { name, path, kind, media_type, bytes, sha256, made } = file;
            let key = Key::work(&job.id, id, &assembly, term, &name).map_err(internal)?;
            let options = PutOptions::media_type(media_type.clone());
            let stored = self.deps.store.upload(&key, &path, FileUse::Consume, &options).await;
            stored.map_err(as_engine_error)?;
            let work_key = key.to_string();
            files.push(PublishedFile { name, kind, media_type, bytes, sha256, made, work_key });
        }
        let needs = output.asked.needs.iter().filter_map(|need| {
            Some((need.output.clone(), job.output(&need.output)?.index.as_ref()?.hash.clone()))
        });
        let index = OutputIndex {
            version: INDEX_VERSION,
            job: job.id.clone(),
            epoch: job.epoch.clone(),
            output: id.clone(),
            kind: output.asked.kind.clone(),
            recipe: plan.recipe.clone(),
            plan: output.plan.as_ref().map(|plan| plan.hash.clone()).ok_or_else(|| {
                EngineError::new(FaultKind::Internal, "an output is assembled without a plan")
            })?,
            term,
            needs: needs.collect(),
            source_bytes: plan.source_bytes,
            duration_ms: plan.duration_ms,
            segments: plan.segments.len() as u32,
            tools: if plan.reason.is_some() { plan.tools.clone() } else { assembled.tools },
            notes: assembled.notes,
            reason: plan.reason.clone(),
            files,
        };
        let (bytes, hash) = index.encode();
        let key = Key::work(&job.id, id, &assembly, term, "index.json").map_err(internal)?;
        let options = PutOptions::media_type("application/json");
        self.deps.store.put_bytes(&key, Bytes::from(bytes), &options).await.map_err(as_engine_error)?;
        Ok(CommittedIndex { key: key.to_string(), hash })
    }
}
