//! The worker: one task at a time, under a lease, to a completion.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use segue_domain::{
    Completion, FaultKind, JobId, JobRecord, JobState, Key, Message, PartFile, Plan, PlanHash, Task, TaskId,
    TaskKind, Term,
};
use segue_ports::{
    EngineError, FileUse, LeaseName, MapEngine, NoReport, ProducedFile, PutOptions, QueueName, Recorded,
    Reporter, Run, TaskRequest, TaskResult, mutant,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::deps::{Deps, RoleConfig};
use crate::held::{Held, Hold};
use crate::late::{Pace, Watch, Watched};
use crate::receive::{Outcome, serve};
use crate::settle::{
    after_failure, as_engine_error, begun_again, fetch_inputs, job_under_lease, load_plan,
    reassemble_if_all_in, says_it_lives, scratch, unless_cancelled, unless_killer,
};
use crate::task_reporter::TaskReporter;

/// Most bytes of facts that a completion carries; an item of the ledger stays small.
const FACTS_LIMIT: usize = 64 << 10;

/// Times that a spare attempt may be begun; a task that kills workers is not a spare's to tell.
const SPARE_TRIES: u32 = 2;

/// Does tasks until `shutdown`.
///
/// # Errors
/// None that end the role: what fails is logged and comes again.
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
    serve(&deps, &config, QueueName::Map, shutdown, |message| worker.handle(message)).await;
    Ok(())
}

/// One attempt at a task.
struct Attempt<'a> {
    job: &'a JobId,
    task: &'a Task,
    /// That of the task, or of a spare attempt at it: its lease and its keys are named so.
    name: TaskId,
    held: &'a Held,
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
        let Message::Task { job, task } = message else {
            return Ok(Outcome::Poison("not a message for a worker".into()));
        };
        let Some(record) = self.deps.ledger.job(&job).await? else { return Ok(Outcome::Done) };
        if record.state != JobState::Mapping {
            return Ok(Outcome::Done);
        }
        // a lease and keys of its own; all else is that of the task
        let attempt = task.clone();
        let task = attempt.of_spare().unwrap_or(task);
        if self.deps.ledger.completion(&job, &task).await?.is_some() {
            if !mutant!("only-recorder-asks") {
                reassemble_if_all_in(&self.deps, &job).await?;
            }
            return Ok(Outcome::Done);
        }
        let plan = self.plan(&record).await?;
        let Some(task) = plan.task(&task).cloned() else {
            return Ok(Outcome::Poison(format!("the plan of {job} has no task {task}")));
        };
        let name = LeaseName::task(&job, &attempt);
        let held =
            match Held::acquire(&self.deps.ledger, &self.config, name, Some(&job), &self.shutdown).await? {
                Hold::Held(held) => held,
                Hold::Busy(_) if mutant!("busy-is-done") => return Ok(Outcome::Done),
                Hold::Busy(left) => return Ok(Outcome::Later(left)),
            };
        let now = job_under_lease(&self.deps, &record).await;
        let outcome = match now {
            Ok(Some(now)) if now.state == JobState::Mapping && now.plan == record.plan => {
                let attempt = Attempt { job: &job, task: &task, name: attempt.clone(), held: &held };
                self.attempt(attempt, plan).await
            }
            Ok(_) => Ok(Outcome::Later(Duration::ZERO)),
            Err(error) => Err(error.into()),
        };
        held.release().await;
        // a spare is tried twice, whatever became of it
        if attempt == task.id {
            says_it_lives(&self.deps, &self.config, &job, &attempt, &outcome, &self.shutdown).await;
        }
        outcome
    }

    async fn plan(&self, record: &JobRecord) -> anyhow::Result<Arc<Plan>> {
        let hash = &record.plan.as_ref().context("the job has no sealed plan")?.hash;
        let cached = self.last_plan.lock().expect("never poisoned").clone();
        if let Some((known, plan)) = cached
            && known == *hash
        {
            return Ok(plan);
        }
        let plan = load_plan(&self.deps, record).await?;
        *self.last_plan.lock().expect("never poisoned") = Some((hash.clone(), Arc::clone(&plan)));
        Ok(plan)
    }

    async fn attempt(&self, attempt: Attempt<'_>, plan: Arc<Plan>) -> anyhow::Result<Outcome> {
        let Attempt { job, task, held, .. } = attempt;
        if attempt.is_spare() {
            if begun_again(&self.deps, job, &attempt.name, held.lease()).await? >= SPARE_TRIES {
                return Ok(Outcome::Done);
            }
        } else if let Some(killer) =
            unless_killer(&self.deps, &self.config, job, &task.id, task.attempts, held.lease()).await?
        {
            return Ok(killer);
        }
        let folder = match scratch(&self.config) {
            Ok(folder) => folder,
            Err(error) => return self.after_failure(&attempt, error).await,
        };
        let progress: Arc<dyn Reporter> =
            if attempt.is_spare() { Arc::new(NoReport) } else { Arc::clone(&self.deps.reporter) };
        let reporter = Arc::new(TaskReporter::new(progress, job, task));
        let watch = self.watch(&attempt, &plan);
        let started = Instant::now();
        let made = self.make(&attempt, plan, folder.path(), &reporter).await;
        drop(watch);
        let completion = match made {
            Ok(completion) => completion,
            Err(error) => {
                self.discard(&attempt).await;
                return self.after_failure(&attempt, error).await;
            }
        };
        self.pace.note(task, started.elapsed());
        match self.deps.ledger.record(&completion, held.lease()).await? {
            Recorded::Created => reporter.finish(),
            Recorded::Existed => {
                // ours, where the answer to an earlier try was lost: its files are the result
                let counted = self.deps.ledger.completion(job, &task.id).await?;
                if counted.is_some_and(|counted| counted != completion || mutant!("existed-discards-own")) {
                    self.discard(&attempt).await;
                }
            }
            Recorded::Stale => self.discard(&attempt).await,
        }
        if !mutant!("recorder-does-not-ask") {
            reassemble_if_all_in(&self.deps, job).await?;
        }
        Ok(Outcome::Done)
    }

    /// A spare that fails is forgotten: the attempt that asked for it goes on, and where that
    /// one dies, its own message comes again.
    async fn after_failure(&self, attempt: &Attempt<'_>, error: EngineError) -> anyhow::Result<Outcome> {
        let Attempt { job, task, held, .. } = attempt;
        if attempt.is_spare() && !error.cancelled {
            tracing::info!(%job, task = %task.id, %error, "a spare attempt failed");
            return Ok(Outcome::Done);
        }
        if error.cancelled && mutant!("given-back-is-done") {
            return Ok(Outcome::Done);
        }
        after_failure(&self.deps, &self.config, job, &task.id, task.attempts, held.lease(), error).await
    }

    fn watch(&self, attempt: &Attempt<'_>, plan: &Plan) -> Option<Watch> {
        let watched = Watched {
            deps: self.deps.clone(),
            job: attempt.job.clone(),
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
        let Attempt { job, task, held, .. } = attempt;
        let engine = self.engines.get(&task.kind).ok_or_else(|| {
            let why = format!("this worker has no engine for {}; start one that has", task.kind);
            EngineError { retryable: true, ..EngineError::new(FaultKind::Environment, why) }
        })?;
        let lost = held.lost();
        let inputs = unless_cancelled(lost, fetch_inputs(&self.deps, &plan, folder)).await?;
        let run = Run {
            job: (*job).clone(),
            cancel: held.lost().clone(),
            reporter: Arc::clone(reporter) as _,
            threads: self.config.threads,
            scratch: folder.to_owned(),
        };
        let result = engine.run(TaskRequest { run, plan, task: (*task).clone(), inputs }).await?;
        unless_cancelled(lost, self.store(attempt, result)).await
    }

    async fn store(&self, attempt: &Attempt<'_>, result: TaskResult) -> Result<Completion, EngineError> {
        let Attempt { job, task, held, name: folder } = attempt;
        let (term, folder) = (held.term(), if mutant!("spare-shares-keys") { &task.id } else { folder });
        let size = result.facts.to_string().len();
        if size > FACTS_LIMIT {
            let why = format!("{} came to {size} bytes of facts, more than {FACTS_LIMIT}", task.id);
            return Err(EngineError::new(FaultKind::Internal, why));
        }
        let mut files = Vec::with_capacity(result.files.len());
        for ProducedFile { name, path } in result.files {
            let attempt = if mutant!("part-key-without-term") { Term(0) } else { term };
            let key = Key::work(job, folder, attempt, &name)
                .map_err(|e| EngineError::new(FaultKind::Internal, e.to_string()))?;
            let bytes = std::fs::metadata(&path).map(|m| m.len()).map_err(|e| {
                EngineError::new(FaultKind::Internal, format!("{} did not leave {name}: {e}", task.id))
            })?;
            let stored = self.deps.store.upload(&key, &path, FileUse::Consume, &PutOptions::default()).await;
            if !mutant!("store-errors-ignored") {
                stored.map_err(as_engine_error)?;
            }
            files.push(PartFile { name, key: key.to_string(), bytes });
        }
        Ok(Completion { job: (*job).clone(), task: task.id.clone(), term, files, facts: result.facts })
    }

    /// Removes what an attempt that does not count has stored; the sweeper gets the rest.
    async fn discard(&self, attempt: &Attempt<'_>) {
        let folder = format!("{}{}/", Key::work_prefix(attempt.job), attempt.name);
        let mut prefix = format!("{folder}{}/", attempt.held.term());
        if mutant!("discard-all-attempts") {
            prefix = folder;
        }
        if let Err(error) = crate::publish::delete_prefix(&self.deps, &prefix).await {
            tracing::warn!(%prefix, error = format!("{error:#}"), "an attempt's files are left for the sweeper");
        }
    }
}
