//! The worker: runs one task at a time, under a lease, and records its completion.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use segue_domain::completion::COMPLETION_VERSION;
use segue_domain::{
    Completion, FaultKind, JobRecord, Key, Message, OutputRecord, OutputRef, OutputState, PartFile, Plan,
    PlanHash, Task, TaskId, TaskKind,
};
use segue_ports::{
    EngineError, FileUse, Lane, LeaseName, MapEngine, NoReport, ProducedFile, PutOptions, Recorded, Reporter,
    TaskRequest, TaskResult, WorkContext,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempts::{count_start, count_survivor, fail_if_poison, job_under_lease, record_failure};
use crate::config::{Deps, RoleConfig};
use crate::inputs::{as_engine_error, internal, load_plan, open_inputs, scratch, unless_cancelled};
use crate::lease_guard::{Hold, LeaseGuard, WorkFor};
use crate::receive::{Outcome, serve};
use crate::stragglers::{Pace, Watch, Watched};
use crate::task_reporter::TaskReporter;
use crate::wake::{assemble_if_last, assemble_if_ready};

/// Maximum size of the facts of a completion, bytes; an item of the ledger stays small.
const FACTS_LIMIT: usize = 64 << 10;

/// Number of starts of a spare attempt; the other attempts detect a task that kills workers.
const SPARE_TRIES: u32 = 2;

/// Runs tasks until `shutdown`.
///
/// # Errors
/// None that end the role: failures are logged and the message is redelivered.
pub async fn run(
    deps: Deps,
    engines: Vec<Arc<dyn MapEngine>>,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut by_kind = HashMap::new();
    for engine in engines {
        for kind in engine.kinds() {
            by_kind.insert(*kind, Arc::clone(&engine));
        }
    }
    let worker = Worker {
        deps: deps.clone(),
        engines: by_kind,
        config: config.clone(),
        shutdown: shutdown.clone(),
        last_plan: Mutex::new(None),
        pace: Pace::default(),
    };
    let lane = Lane::Task(config.resource);
    serve(&deps, &config, lane, shutdown, |message| worker.handle(message)).await;
    Ok(())
}

/// One attempt at a task.
struct Attempt<'a> {
    output: &'a OutputRef,
    task: &'a Task,
    /// The id of the task, or of a spare attempt at it; part of the names of its lease and its keys.
    name: TaskId,
    held: &'a LeaseGuard,
}

impl Attempt<'_> {
    fn is_spare(&self) -> bool {
        self.name != self.task.id
    }
}

struct Worker {
    deps: Deps,
    engines: HashMap<TaskKind, Arc<dyn MapEngine>>,
    config: RoleConfig,
    shutdown: CancellationToken,
    last_plan: Mutex<Option<(PlanHash, Arc<Plan>)>>,
    pace: Pace,
}

impl Worker {
    async fn handle(&self, message: Message) -> anyhow::Result<Outcome> {
        let Message::Task { job, output, task } = message else {
            return Ok(Outcome::Poison("not a message for a worker".into()));
        };
        let Some(record) = self.deps.ledger.job(&job).await? else { return Ok(Outcome::Done) };
        let Some(mapping) = mapping(&record, &output) else { return Ok(Outcome::Done) };
        let output = record.output_ref(&output);
        // a spare attempt has a lease and keys of its own; all else is shared with the task
        let attempt = task.clone();
        let task = attempt.of_spare().unwrap_or(task);
        if self.deps.ledger.completion(&output, &task).await?.is_some() {
            assemble_if_ready(&self.deps, &output).await?;
            return Ok(Outcome::Done);
        }
        let plan = self.plan(mapping).await?;
        let Some(task) = plan.task(&task).cloned() else {
            return Ok(Outcome::Poison(format!("the plan of {output} has no task {task}")));
        };
        let name = LeaseName::task(&output.job, &output.output, &attempt);
        let work_for = WorkFor::Output(output.clone());
        let hold =
            LeaseGuard::acquire(&self.deps.ledger, &self.config, name, work_for, &self.shutdown).await?;
        let held = match hold {
            Hold::Held(held) => held,
            Hold::Busy(left) => return Ok(Outcome::Later(left)),
        };
        let now = job_under_lease(&self.deps, &record).await;
        let outcome = match now {
            Ok(Some(now)) if is_unchanged(&now, &record, mapping) => {
                let attempt = Attempt { output: &output, task: &task, name: attempt.clone(), held: &held };
                self.attempt(attempt, plan).await
            }
            Ok(_) => Ok(Outcome::Later(Duration::ZERO)),
            Err(error) => Err(error.into()),
        };
        held.release().await;
        // a spare is tried twice, whatever its outcome
        if attempt == task.id {
            count_survivor(&self.deps, &self.config, &output, &attempt, &outcome, &self.shutdown).await;
        }
        outcome
    }

    async fn plan(&self, output: &OutputRecord) -> anyhow::Result<Arc<Plan>> {
        let Some(sealed) = &output.plan else { anyhow::bail!("output {} has no sealed plan", output.id()) };
        let cached = self.last_plan.lock().expect("never poisoned").clone();
        if let Some((known, plan)) = cached
            && known == sealed.hash
        {
            return Ok(plan);
        }
        let plan = load_plan(&self.deps, output).await?;
        *self.last_plan.lock().expect("never poisoned") = Some((sealed.hash.clone(), Arc::clone(&plan)));
        Ok(plan)
    }

    async fn attempt(&self, attempt: Attempt<'_>, plan: Arc<Plan>) -> anyhow::Result<Outcome> {
        let Attempt { output, task, held, .. } = attempt;
        if attempt.is_spare() {
            if count_start(&self.deps, output, &attempt.name, held.lease()).await? >= SPARE_TRIES {
                return Ok(Outcome::Done);
            }
        } else if let Some(poison) =
            fail_if_poison(&self.deps, &self.config, output, &task.id, task.attempts, held.lease()).await?
        {
            return Ok(poison);
        }
        let folder = match scratch(&self.config) {
            Ok(folder) => folder,
            Err(error) => return self.failed(&attempt, error).await,
        };
        let progress: Arc<dyn Reporter> =
            if attempt.is_spare() { Arc::new(NoReport) } else { Arc::clone(&self.deps.reporter) };
        let reporter = Arc::new(TaskReporter::new(progress, &output.job, task));
        let watch = self.watch(&attempt, &plan);
        let started = Instant::now();
        let tasks = plan.tasks.len();
        let made = self.make(&attempt, plan, folder.path(), &reporter).await;
        drop(watch);
        let completion = match made {
            Ok(completion) => completion,
            Err(error) => {
                self.discard(&attempt).await;
                return self.failed(&attempt, error).await;
            }
        };
        self.pace.note(task, started.elapsed());
        match self.deps.ledger.record(&completion, held.lease()).await? {
            Recorded::Created => reporter.finish(),
            Recorded::Existed => {
                // recorded by this attempt, where the response to an earlier try was lost: its files are the result
                let counted = self.deps.ledger.completion(output, &task.id).await?;
                if counted.is_some_and(|counted| counted != completion) {
                    self.discard(&attempt).await;
                }
            }
            Recorded::Stale => self.discard(&attempt).await,
        }
        assemble_if_last(&self.deps, output, tasks).await?;
        Ok(Outcome::Done)
    }

    /// A spare that fails is discarded: the attempt that requested it continues, and if that
    /// one is killed, its own message is redelivered.
    async fn failed(&self, attempt: &Attempt<'_>, error: EngineError) -> anyhow::Result<Outcome> {
        let Attempt { output, task, held, .. } = attempt;
        if attempt.is_spare() && !error.cancelled {
            tracing::info!(%output, task = %task.id, %error, "a spare attempt failed");
            return Ok(Outcome::Done);
        }
        record_failure(&self.deps, &self.config, output, &task.id, task.attempts, held.lease(), error).await
    }

    fn watch(&self, attempt: &Attempt<'_>, plan: &Plan) -> Option<Watch> {
        let watched = Watched {
            deps: self.deps.clone(),
            output: attempt.output.clone(),
            task: attempt.task.clone(),
            tasks: plan.tasks.len() as u64,
            name: attempt.name.clone(),
            may_give_back: !attempt.is_spare() && attempt.held.term().0 == 1,
            usual: self.pace.usual(attempt.task),
            rule: self.config.late?,
            every: self.config.lease_ttl / 5,
            cancel: attempt.held.lost().clone(),
        };
        Some(watched.watch())
    }

    async fn make(
        &self,
        attempt: &Attempt<'_>,
        plan: Arc<Plan>,
        folder: &Path,
        reporter: &Arc<TaskReporter>,
    ) -> Result<Completion, EngineError> {
        let Attempt { output, task, held, .. } = attempt;
        let engine = self.engines.get(&task.kind).ok_or_else(|| {
            let why = format!("this worker has no engine for {}; start one that has", task.kind);
            EngineError { retryable: true, ..EngineError::new(FaultKind::Environment, why) }
        })?;
        let lost = held.lost();
        let inputs = unless_cancelled(lost, open_inputs(&self.deps, &plan, folder)).await?;
        let run = WorkContext {
            job: output.job.clone(),
            cancel: held.lost().clone(),
            reporter: Arc::clone(reporter) as _,
            threads: self.config.threads,
            scratch: folder.to_owned(),
        };
        let result = engine.run(TaskRequest { run, plan, task: (*task).clone(), inputs }).await?;
        unless_cancelled(lost, self.store(attempt, result)).await
    }

    async fn store(&self, attempt: &Attempt<'_>, result: TaskResult) -> Result<Completion, EngineError> {
        let Attempt { output, task, held, name: folder } = attempt;
        let term = held.term();
        let size = result.facts.to_string().len();
        if size > FACTS_LIMIT {
            let why = format!("{} has {size} bytes of facts, more than {FACTS_LIMIT}", task.id);
            return Err(EngineError::new(FaultKind::Internal, why));
        }
        let mut files = Vec::with_capacity(result.files.len());
        for ProducedFile { name, path } in result.files {
            let key = Key::work(&output.job, &output.output, folder, term, &name).map_err(internal)?;
            let bytes = std::fs::metadata(&path).map(|m| m.len()).map_err(|e| {
                EngineError::new(FaultKind::Internal, format!("{} did not leave {name}: {e}", task.id))
            })?;
            let stored = self.deps.store.upload(&key, &path, FileUse::Consume, &PutOptions::default()).await;
            stored.map_err(as_engine_error)?;
            files.push(PartFile { name, key: key.to_string(), bytes });
        }
        let (output, task) = ((*output).clone(), task.id.clone());
        Ok(Completion { version: COMPLETION_VERSION, output, task, term, files, facts: result.facts })
    }

    /// Removes the files of an attempt that was not recorded; the sweeper removes the rest.
    async fn discard(&self, attempt: &Attempt<'_>) {
        let OutputRef { job, output, .. } = attempt.output;
        let folder = format!("{}{}/", Key::output_work_prefix(job, output), attempt.name);
        let prefix = format!("{folder}{}/", attempt.held.term());
        if let Err(error) = crate::cleanup::delete_prefix(&self.deps, &prefix).await {
            tracing::warn!(%prefix, error = format!("{error:#}"), "an attempt's files are left for the sweeper");
        }
    }
}

/// The output, if its tasks are to be run.
fn mapping<'a>(job: &'a JobRecord, output: &segue_domain::OutputId) -> Option<&'a OutputRecord> {
    job.output(output).filter(|output| output.state == OutputState::Mapping && !job.deleting)
}

/// Whether the job, read under the lease, still has the output as it was read before.
fn is_unchanged(now: &JobRecord, read: &JobRecord, output: &OutputRecord) -> bool {
    let now_mapping = mapping(now, output.id());
    now.epoch == read.epoch && now_mapping.is_some_and(|now| now.plan == output.plan)
}
