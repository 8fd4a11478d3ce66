//! Stragglers: attempts that take much longer than the usual time of such tasks.
//!
//! The worker of the attempt detects them: it has the start time and the usual time of its tasks for
//! their predicted work. While other tasks wait, a first attempt returns its task to the queue: a
//! slow machine then costs a few tasks' time. When none waits, other workers are idle, so it requests
//! a *spare* attempt and continues: the first of them to record wins, and the others see the completion
//! at their next check and stop. A spare that is late by the same rule requests a second one, which is the
//! last.
//!
//! Jobs end without any of this, and none of it affects correctness: a spare attempt has a
//! lease, terms and keys of its own, its completion is created once like every other, and a
//! spare that fails is discarded.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use segue_domain::{Message, OutputRef, Task, TaskId, TaskKind};
use segue_ports::PortError;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{Deps, LateRule};

/// Number of tasks of a kind after which a worker has an estimate of their usual time.
const REMEMBERED: usize = 15;

/// Durations of a worker's tasks, relative to their predicted work.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<TaskKind, VecDeque<f64>>>);

impl Pace {
    /// Adds the duration of a task.
    pub fn note(&self, task: &Task, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ratios = all.entry(task.kind).or_default();
        if ratios.len() == REMEMBERED {
            ratios.pop_front();
        }
        ratios.push_back(took.as_secs_f64() / task.work_ms.max(1) as f64);
    }

    /// The usual time of such a task here: by the median, so that late ones do not count.
    pub fn usual(&self, task: &Task) -> Option<Duration> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ratios: Vec<f64> = all.get(&task.kind)?.iter().copied().collect();
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(ratios.len() / 2)?;
        Duration::try_from_secs_f64(median * task.work_ms.max(1) as f64).ok()
    }
}

impl LateRule {
    /// Whether an attempt of this duration is late, for a task with this usual time.
    pub fn is_late(&self, took: Duration, usual: Duration) -> bool {
        took >= self.after(usual)
    }

    /// Time after which an attempt at a task with this usual time is late.
    pub fn after(&self, usual: Duration) -> Duration {
        self.at_least.max(usual.saturating_mul(self.percent) / 100)
    }

    /// The same if the worker has completed no such task yet: most of the job is completed, and
    /// no task of it was completed in the second half of the attempt's duration.
    pub fn is_last_and_late(&self, took: Duration, quiet: Duration, most_are_in: bool) -> bool {
        most_are_in && took >= self.at_least && quiet * 2 >= took
    }
}

/// Watches one attempt until it is dropped.
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A watched attempt.
pub(crate) struct Watched {
    pub(crate) deps: Deps,
    pub(crate) output: OutputRef,
    pub(crate) task: Task,
    /// Number of tasks of its plan.
    pub(crate) tasks: u64,
    /// Id of the task, or of this spare attempt.
    pub(crate) name: TaskId,
    /// Whether it may return its task to the queue.
    pub(crate) may_give_back: bool,
    /// The usual time of such a task, if the worker has an estimate.
    pub(crate) usual: Option<Duration>,
    pub(crate) rule: LateRule,
    /// Interval of the checks.
    pub(crate) every: Duration,
    /// Cancels the attempt.
    pub(crate) cancel: CancellationToken,
}

impl Watched {
    pub(crate) fn watch(self) -> Watch {
        Watch(tokio::spawn(async move {
            let started = Instant::now();
            // a spare has another attempt from its start
            let mut company = Company { has_any: self.name != self.task.id, has_asked: false };
            let mut quiet = Quiet { done: 0, since: started };
            loop {
                tokio::time::sleep_until(self.next_look(started, &company)).await;
                let looked = match company.has_any {
                    true => self.look_at_others().await,
                    false => Ok(Look::On),
                };
                let looked = match looked {
                    Ok(Look::On) if !company.has_asked => self.look(started, &mut quiet).await,
                    looked => looked,
                };
                match looked {
                    Ok(Look::On) => {}
                    Ok(Look::Asked) => company = Company { has_any: true, has_asked: true },
                    Ok(Look::End) => return self.cancel.cancel(),
                    // the check is repeated
                    Err(error) => {
                        tracing::warn!(output = %self.output, %error, "cannot check whether an attempt is late")
                    }
                }
            }
        }))
    }

    /// Checks the other attempts at intervals; itself at the time at which it will be late, if
    /// that is known.
    fn next_look(&self, started: Instant, company: &Company) -> Instant {
        let now = Instant::now();
        let late_at = self.usual.and_then(|usual| started.checked_add(self.rule.after(usual)));
        match late_at.filter(|at| !company.has_asked && *at > now) {
            Some(late_at) if company.has_any => late_at.min(now + self.every),
            Some(late_at) => late_at,
            None => now + self.every,
        }
    }

    async fn look_at_others(&self) -> Result<Look, PortError> {
        let done = self.deps.ledger.completion(&self.output, &self.task.id).await?;
        Ok(if done.is_some() { Look::End } else { Look::On })
    }

    async fn look(&self, started: Instant, quiet: &mut Quiet) -> Result<Look, PortError> {
        let Some(spare) = self.name.spare() else { return Ok(Look::On) };
        if !self.is_late(started, quiet).await? {
            return Ok(Look::On);
        }
        let (output, task) = (&self.output, &self.task.id);
        let lane = self.deps.lane_of(self.task.kind);
        if self.may_give_back && self.deps.queue.depth(lane).await?.waiting > 0 {
            tracing::info!(%output, %task, "late, returned to the queue");
            return Ok(Look::End);
        }
        tracing::info!(%output, %task, "late, a spare attempt is requested");
        let body = Message::Task { job: output.job.clone(), output: output.output.clone(), task: spare };
        self.deps.queue.send(lane, &[body.encode()], Duration::ZERO).await?;
        Ok(Look::Asked)
    }

    /// Whether it takes much longer than the usual time.
    async fn is_late(&self, started: Instant, quiet: &mut Quiet) -> Result<bool, PortError> {
        let took = started.elapsed();
        if let Some(usual) = self.usual {
            return Ok(self.rule.is_late(took, usual));
        }
        let done = self.deps.ledger.completed(&self.output).await?;
        if done != quiet.done {
            *quiet = Quiet { done, since: Instant::now() };
        }
        let most_are_in = done * 2 >= self.tasks;
        Ok(self.rule.is_last_and_late(took, quiet.since.elapsed(), most_are_in))
    }
}

/// Decision of a check.
enum Look {
    /// It continues.
    On,
    /// A spare attempt was requested.
    Asked,
    /// It must stop.
    End,
}

/// Whether another attempt at the task exists, and whether this one requested it.
struct Company {
    has_any: bool,
    has_asked: bool,
}

/// Number of completed tasks of the output, and the time of the last change.
struct Quiet {
    done: u64,
    since: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(work_ms: u64) -> Task {
        let (id, kind) = (TaskId::of(TaskKind::Digest, 0), TaskKind::Digest);
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
