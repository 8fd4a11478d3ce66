//! The reassembler: all parts in, one result out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use segue_domain::manifest::MANIFEST_VERSION;
use segue_domain::{
    Completion, FaultKind, JobId, JobRecord, JobState, Key, Manifest, Message, Output, Plan, Task, TaskId,
    Term,
};
use segue_ports::{
    EngineError, Event, FileUse, JobChange, LeaseName, Part, PutOptions, QueueName, ReduceRequest, Reduced,
    Reducer, Run, mutant,
};
use tokio_util::sync::CancellationToken;

use crate::deps::{Deps, RoleConfig};
use crate::held::{Held, Hold};
use crate::progress::PAGE;
use crate::publish::{joining, publish, publish_held};
use crate::receive::{Outcome, serve};
use crate::settle::{
    after_failure, as_engine_error, fetch, fetch_inputs, job_under_lease, load_plan, says_it_lives, scratch,
    unless_cancelled, unless_killer,
};
use crate::tidy::tidy_completed;

/// Files of parts that are fetched at the same time.
const FETCHED_AT_ONCE: usize = 16;

/// Joins jobs until `shutdown`.
///
/// # Errors
/// None that end the role: what fails is logged and comes again.
pub async fn run(
    deps: Deps,
    reducer: Arc<dyn Reducer>,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let role =
        Reassembler { deps: deps.clone(), reducer, config: config.clone(), shutdown: shutdown.clone() };
    serve(&deps, &config, QueueName::Reassemble, shutdown, |message| role.handle(message)).await;
    Ok(())
}

struct Reassembler {
    deps: Deps,
    reducer: Arc<dyn Reducer>,
    config: RoleConfig,
    shutdown: CancellationToken,
}

impl Reassembler {
    async fn handle(&self, message: Message) -> anyhow::Result<Outcome> {
        let Message::Reassemble { job } = message else {
            return Ok(Outcome::Poison("not a message for a reassembler".into()));
        };
        let Some(record) = self.deps.ledger.job(&job).await? else { return Ok(Outcome::Done) };
        match record.state {
            JobState::Mapping if !record.all_tasks_in() && !mutant!("reassemble-before-all-in") => {
                Ok(Outcome::Done)
            }
            JobState::Mapping | JobState::Reassembling => self.join(record).await,
            JobState::Publishing => {
                let busy = publish(&self.deps, &self.config, &record, &self.shutdown).await?;
                Ok(busy.map_or(Outcome::Done, Outcome::Later))
            }
            JobState::Completed => {
                tidy_completed(&self.deps, &job).await?;
                Ok(Outcome::Done)
            }
            _ => Ok(Outcome::Done),
        }
    }

    async fn join(&self, record: JobRecord) -> anyhow::Result<Outcome> {
        let name = LeaseName::reassemble(&record.id);
        let held =
            match Held::acquire(&self.deps.ledger, &self.config, name, Some(&record.id), &self.shutdown)
                .await?
            {
                Hold::Held(held) => held,
                Hold::Busy(left) => return Ok(Outcome::Later(left)),
            };
        let outcome = match job_under_lease(&self.deps, &record).await {
            Ok(Some(now)) if matches!(now.state, JobState::Mapping | JobState::Reassembling) => {
                self.join_held(now, &held).await
            }
            Ok(_) => Ok(Outcome::Later(Duration::ZERO)),
            Err(error) => Err(error.into()),
        };
        held.release().await;
        says_it_lives(&self.deps, &self.config, &record.id, &joining(), &outcome, &self.shutdown).await;
        outcome
    }

    async fn join_held(&self, record: JobRecord, held: &Held) -> anyhow::Result<Outcome> {
        let job = record.id.clone();
        if let Some(killer) =
            unless_killer(&self.deps, &self.config, &job, &joining(), None, held.lease()).await?
        {
            return Ok(killer);
        }
        if record.state == JobState::Mapping {
            let Some(changed) =
                self.deps.ledger.change(&job, JobChange::Reassemble, Some(held.lease())).await?
            else {
                return Ok(Outcome::Later(Duration::ZERO));
            };
            self.deps.reporter.report(Event::State { job: job.clone(), state: changed.state });
        }
        let manifest_key = match self.reduce(&record, held).await {
            Ok(key) => key,
            Err(error) => {
                return after_failure(&self.deps, &self.config, &job, &joining(), None, held.lease(), error)
                    .await;
            }
        };
        let commit = JobChange::Commit { manifest_key: manifest_key.clone() };
        if mutant!("publish-before-commit") {
            let early = JobRecord { manifest_key: Some(manifest_key.clone()), ..record };
            publish_held(&self.deps, &early, held).await?;
        }
        let fence = Some(held.lease()).filter(|_| !mutant!("commit-unfenced"));
        let Some(committed) = self.deps.ledger.change(&job, commit, fence).await? else {
            // another holder came, or the job ended: what this attempt made is swept
            return Ok(Outcome::Later(Duration::ZERO));
        };
        self.deps.reporter.report(Event::State { job, state: committed.state });
        publish_held(&self.deps, &committed, held).await?;
        Ok(Outcome::Done)
    }

    /// Joins and stores the result under this attempt's keys; the key of its manifest.
    async fn reduce(&self, record: &JobRecord, held: &Held) -> Result<String, EngineError> {
        let job = &record.id;
        let internal = |e: anyhow::Error| EngineError {
            retryable: true,
            ..EngineError::new(FaultKind::Internal, format!("{e:#}"))
        };
        let plan = load_plan(&self.deps, record).await.map_err(internal)?;
        let folder = scratch(&self.config)?;
        let lost = held.lost();
        let inputs = unless_cancelled(lost, fetch_inputs(&self.deps, &plan, folder.path())).await?;
        let parts = unless_cancelled(lost, self.parts(&plan, folder.path())).await?;
        let run = Run {
            job: job.clone(),
            cancel: held.lost().clone(),
            reporter: Arc::clone(&self.deps.reporter),
            threads: self.config.threads,
            scratch: folder.path().to_owned(),
        };
        let plan_hash = record.plan.as_ref().map(|p| p.hash.to_string()).unwrap_or_default();
        let request = ReduceRequest { run, plan: Arc::clone(&plan), plan_hash, inputs, parts };
        let reduced = self.reducer.reduce(request).await?;
        unless_cancelled(lost, self.store(record, &plan, held.term(), reduced)).await
    }

    /// The completions of every task, with their files on this machine.
    async fn parts(&self, plan: &Plan, folder: &Path) -> Result<Vec<Part>, EngineError> {
        let mut found = BTreeMap::new();
        let mut after: Option<TaskId> = None;
        loop {
            let page = self
                .deps
                .ledger
                .completions(&plan.job, after.as_ref(), PAGE)
                .await
                .map_err(as_engine_error)?;
            let Some(last) = page.last() else { break };
            if mutant!("first-page-only") && after.is_some() {
                break;
            }
            after = Some(last.task.clone());
            found.extend(page.into_iter().map(|completion| (completion.task.clone(), completion)));
        }
        let mut all = Vec::with_capacity(plan.tasks.len());
        for task in &plan.tasks {
            let completion = found.remove(&task.id).ok_or_else(|| {
                EngineError::new(
                    FaultKind::Internal,
                    format!("all tasks are in, but {} has no completion", task.id),
                )
            })?;
            all.push((task, completion));
        }
        let fetched = all.into_iter().map(|(task, completion)| self.part(task, completion, folder).boxed());
        let fetched: Vec<_> = fetched.collect();
        let mut parts: Vec<Part> = stream::iter(fetched).buffered(FETCHED_AT_ONCE).try_collect().await?;
        if mutant!("parts-by-name") {
            parts.sort_by(|a: &Part, b| a.task.id.cmp(&b.task.id));
        }
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
        record: &JobRecord,
        plan: &Plan,
        term: Term,
        reduced: Reduced,
    ) -> Result<String, EngineError> {
        let job: &JobId = &record.id;
        let internal = |e: segue_domain::DomainError| EngineError::new(FaultKind::Internal, e.to_string());
        let mut outputs = Vec::with_capacity(reduced.files.len());
        for file in reduced.files {
            let key = Key::work(job, &joining(), term, &file.name).map_err(internal)?;
            let options = PutOptions::media_type(file.media_type.clone());
            let stored = self.deps.store.upload(&key, &file.path, FileUse::Consume, &options).await;
            stored.map_err(as_engine_error)?;
            outputs.push(Output {
                name: file.name,
                kind: file.kind,
                media_type: file.media_type,
                bytes: file.bytes,
                sha256: file.sha256,
                made: file.made,
                work_key: key.to_string(),
            });
        }
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            job: job.clone(),
            recipe: plan.recipe.name.clone(),
            plan: record.plan.as_ref().expect("loaded before").hash.clone(),
            term,
            source_bytes: plan.source_bytes,
            segments: plan.segments.len() as u32,
            tools: reduced.tools,
            notes: reduced.notes,
            outputs,
        };
        let key = Key::work(job, &joining(), term, "manifest.json").map_err(internal)?;
        let bytes = Bytes::from(manifest.encode());
        self.deps.store.put_bytes(&key, bytes, &PutOptions::default()).await.map_err(as_engine_error)?;
        Ok(key.to_string())
    }
}
