//! Attempts that take much longer than such tasks usually take, and what a fleet does then.
//!
//! The worker at it notices first: it knows since when it is at it and what its tasks usually
//! take for the work that was predicted. While other tasks wait, a first attempt gives its task
//! back: one bad machine then costs a few tasks' time and not ten. When nothing waits, others
//! are idle, so it asks for a *spare* attempt and goes on: the first of the two to record wins,
//! and the other hears of it at its next look and stops.
//!
//! None of this is needed for a job to end, and none of it can break one: a spare attempt has a
//! lease, terms and keys of its own, its completion is created once like every other, and a
//! spare that fails is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use segue_domain::{JobId, Message, Task, TaskKind};
use segue_ports::{PortError, QueueName};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::deps::{Deps, LateRule};

/// Tasks of a kind from which a worker says what such tasks usually take.
const REMEMBERED: usize = 15;

/// What a worker's tasks took for their predicted work.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<TaskKind, VecDeque<f64>>>);

impl Pace {
    /// Notes what a task took.
    pub fn note(&self, task: &Task, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ratios = all.entry(task.kind).or_default();
        if ratios.len() == REMEMBERED {
            ratios.pop_front();
        }
        ratios.push_back(took.as_secs_f64() / task.work_ms.max(1) as f64);
    }

    /// What such a task usually takes here: by the median, so that late ones do not count.
    pub fn usual(&self, task: &Task) -> Option<Duration> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ratios: Vec<f64> = all.get(&task.kind)?.iter().copied().collect();
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(ratios.len() / 2)?;
        Duration::try_from_secs_f64(median * task.work_ms.max(1) as f64).ok()
    }
}

impl LateRule {
    /// Whether an attempt is late that has taken so long, of a task that usually takes so long.
    pub fn is_late(&self, took: Duration, usual: Duration) -> bool {
        took >= self.at_least.max(usual * self.times)
    }

    /// The same where the worker has done no such task yet: most of the job is in, and nobody
    /// has finished anything of it in the second half of the time that the attempt has taken.
    pub fn is_last_and_late(&self, took: Duration, quiet: Duration, most_are_in: bool) -> bool {
        most_are_in && took >= self.at_least && quiet * 2 >= took
    }
}

/// Looks after one attempt until it is dropped.
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An attempt that is looked after.
pub(crate) struct Watched {
    pub(crate) deps: Deps,
    pub(crate) job: JobId,
    pub(crate) task: Task,
    /// Tasks of its plan.
    pub(crate) tasks: u64,
    pub(crate) is_spare: bool,
    /// Whether it may give its task back.
    pub(crate) may_give_back: bool,
    /// What such a task usually takes, where the worker knows.
    pub(crate) usual: Option<Duration>,
    pub(crate) rule: LateRule,
    /// How often to look.
    pub(crate) every: Duration,
    /// Ends the attempt.
    pub(crate) cancel: CancellationToken,
}

impl Watched {
    pub(crate) fn watch(self) -> Watch {
        Watch(tokio::spawn(async move {
            let started = Instant::now();
            let (mut quiet, mut has_company) = (Quiet { done: 0, since: started }, self.is_spare);
            loop {
                tokio::time::sleep(self.every).await;
                let looked = match has_company {
                    true => {
                        self.is_done_by_another().await.map(|done| if done { Look::End } else { Look::On })
                    }
                    false => self.look(started, &mut quiet).await,
                };
                match looked {
                    Ok(Look::On) => {}
                    Ok(Look::Asked) => has_company = true,
                    Ok(Look::End) => return self.cancel.cancel(),
                    // it looks again
                    Err(error) => tracing::warn!(job = %self.job, %error, "an attempt is not looked after"),
                }
            }
        }))
    }

    async fn is_done_by_another(&self) -> Result<bool, PortError> {
        Ok(self.deps.ledger.completion(&self.job, &self.task.id).await?.is_some())
    }

    async fn look(&self, started: Instant, quiet: &mut Quiet) -> Result<Look, PortError> {
        let Some(spare) = self.task.id.spare() else { return Ok(Look::On) };
        if !self.is_late(started, quiet).await? {
            return Ok(Look::On);
        }
        let (job, task) = (&self.job, &self.task.id);
        if self.may_give_back && self.deps.queue.depth(QueueName::Map).await?.waiting > 0 {
            tracing::info!(%job, %task, "late, given back");
            return Ok(Look::End);
        }
        tracing::info!(%job, %task, "late, a spare is asked for");
        let body = Message::Task { job: job.clone(), task: spare }.encode();
        self.deps.queue.send(QueueName::Map, &[body], Duration::ZERO).await?;
        Ok(Look::Asked)
    }

    /// Whether it takes much longer than such tasks usually take.
    async fn is_late(&self, started: Instant, quiet: &mut Quiet) -> Result<bool, PortError> {
        let took = started.elapsed();
        if let Some(usual) = self.usual {
            return Ok(self.rule.is_late(took, usual));
        }
        let Some(job) = self.deps.ledger.job(&self.job).await? else { return Ok(false) };
        if job.completed_tasks != quiet.done {
            *quiet = Quiet { done: job.completed_tasks, since: Instant::now() };
        }
        let most_are_in = job.completed_tasks * 2 >= self.tasks;
        Ok(self.rule.is_last_and_late(took, quiet.since.elapsed(), most_are_in))
    }
}

/// What is to become of an attempt that was looked at.
enum Look {
    /// It goes on as before.
    On,
    /// A spare attempt was asked for.
    Asked,
    /// It is to end.
    End,
}

/// How many tasks of the job are in, and since when that is so.
struct Quiet {
    done: u64,
    since: Instant,
}

#[cfg(test)]
mod tests {
    use segue_domain::TaskId;

    use super::*;

    fn task(work_ms: u64) -> Task {
        let (id, kind) = (TaskId::of(TaskKind::Carry, 0), TaskKind::Carry);
        Task { id, kind, segment: Some(0), work_ms, attempts: None }
    }

    #[test]
    fn what_is_usual_goes_by_the_work_and_not_by_the_late() {
        let pace = Pace::default();
        assert_eq!(pace.usual(&task(10)), None);
        for seconds in [2, 2, 90, 2, 3] {
            pace.note(&task(1000), Duration::from_secs(seconds));
        }
        assert_eq!(pace.usual(&task(1000)), Some(Duration::from_secs(2)));
        assert_eq!(pace.usual(&task(5000)), Some(Duration::from_secs(10)));
        (0..REMEMBERED).for_each(|_| pace.note(&task(1000), Duration::from_secs(7)));
        assert_eq!(pace.usual(&task(1000)), Some(Duration::from_secs(7)), "the old is forgotten");
    }
}
