//! Ledger snapshots of a job, and the allowed changes from one life to the next.

use std::collections::BTreeMap;

use crate::fault::Stage;
use crate::finding::{Broken, Finding};

/// Failed attempts after which a task is poison.
const MOST_ATTEMPTS: i64 = 3;
/// Terms that one life may add to one lease: its attempts, and one that was returned.
const TERMS_OF_A_LIFE: i64 = MOST_ATTEMPTS + 1;
/// Messages that one life may leave per task, or step of a job: its own, and that of a process which
/// finds it unfinished. Those of the sweeper, at doubling intervals, are added.
const MESSAGES_OF_A_LIFE: i64 = 2;
/// Sweep interval of the embedded backend, seconds.
const SWEEP_S: u64 = 5;

/// Ledger and queue of one job, while no process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Id of the job.
    pub job: String,
    /// Its epoch, which identifies the incarnation.
    pub epoch: String,
    /// Its state.
    pub state: String,
    /// The count of completions of each output.
    pub counted: BTreeMap<String, i64>,
    /// The recorded completions, by `OUTPUT/TASK`.
    pub completions: BTreeMap<String, String>,
    /// The term of each lease, by name.
    pub terms: BTreeMap<String, i64>,
    /// Counted failures, by `OUTPUT/TASK`.
    pub failures: BTreeMap<String, i64>,
    /// Messages in the queues.
    pub messages: i64,
    /// Dead letters.
    pub dead_letters: i64,
}

impl Snapshot {
    /// Stage of the job.
    pub fn stage(&self) -> Option<Stage> {
        Stage::of_state(&self.state)
    }

    /// Inconsistencies, after this number of lives and seconds in total.
    pub fn findings(&self, lives: i64, seconds: u64) -> Vec<Finding> {
        let mut found = Vec::new();
        for (output, counted) in &self.counted {
            let of_output = |task: &&String| task.split_once('/').is_some_and(|(of, _)| of == output);
            let recorded = self.completions.keys().filter(of_output).count() as i64;
            if *counted != recorded {
                let what = format!("output {output} counts {counted} completions, {recorded} are recorded");
                found.push(Finding::new(Broken::BadState, what));
            }
        }
        let most = lives * TERMS_OF_A_LIFE;
        // starts and survivals are counted once per term of the lease
        let of_terms = |name: &str| {
            let task = name.rsplit('/').next().unwrap_or(name);
            task.starts_with("begun_") || task.starts_with("lived_")
        };
        let bound = |task: &str| if of_terms(task) { most } else { MOST_ATTEMPTS };
        for (task, count) in self.failures.iter().filter(|(task, count)| **count > bound(task)) {
            found.push(Finding::new(Broken::Unbounded, format!("task {task} failed {count} times")));
        }
        // the sweeper acquires its lease for every sweep
        let of_work = |(name, term): &(&String, &i64)| **term > most && *name != "sweep";
        for (name, term) in self.terms.iter().filter(of_work) {
            let what = format!("lease {name} is at term {term} after {lives} lives");
            found.push(Finding::new(Broken::Unbounded, what));
        }
        let tasks = self.terms.len().max(self.completions.len()) as i64 + 3;
        if self.messages > tasks * (MESSAGES_OF_A_LIFE * lives + sweeps(seconds)) {
            let what =
                format!("{} messages for some {tasks} tasks after {lives} lives, {seconds} s", self.messages);
            found.push(Finding::new(Broken::Unbounded, what));
        }
        if self.dead_letters > 0 && self.state != "failed" {
            let what = format!("{} dead letters of a job that is {}", self.dead_letters, self.state);
            found.push(Finding::new(Broken::Lost, what));
        }
        found
    }

    /// Forbidden changes since `before`, a snapshot of the same incarnation.
    pub fn findings_since(&self, before: &Snapshot) -> Vec<Finding> {
        let mut found = Vec::new();
        for (task, document) in &before.completions {
            match self.completions.get(task) {
                None => {
                    let what = format!("the completion of {task} was recorded and is gone");
                    found.push(Finding::new(Broken::Lost, what));
                }
                Some(now) if now != document => {
                    let what = format!("the completion of {task} was recorded twice: {document}, then {now}");
                    found.push(Finding::new(Broken::Doubled, what));
                }
                Some(_) => found.extend(self.done_again(before, task)),
            }
        }
        for (name, term) in &before.terms {
            let now = self.terms.get(name).copied().unwrap_or(0);
            if now < *term {
                let what = format!("lease {name} went back from term {term} to {now}");
                found.push(Finding::new(Broken::BadState, what));
            }
        }
        if let (Some(was), Some(is)) = (before.stage(), self.stage())
            && is < was
        {
            let what = format!("the job went back from {} to {}", before.state, self.state);
            found.push(Finding::new(Broken::BadState, what));
        }
        found
    }

    /// A finding if the lease of a completed task was acquired again.
    fn done_again(&self, before: &Snapshot, task: &str) -> Option<Finding> {
        let of_task = |name: &&String| name.starts_with("task/") && name.ends_with(&format!("/{task}"));
        let name = before.terms.keys().find(of_task)?;
        let (was, is) = (before.terms.get(name)?, self.terms.get(name)?);
        (is > was).then(|| {
            let what = format!("task {task} was recorded under term {was} and started again under {is}");
            Finding::new(Broken::Doubled, what)
        })
    }
}

/// How often the sweeper may have sent each message again: after 1, 2, 4 … 64 sweeps, then every
/// 64 sweeps.
fn sweeps(seconds: u64) -> i64 {
    let sweeps = seconds / SWEEP_S;
    i64::from((sweeps + 1).ilog2().min(6)) + (sweeps / 64) as i64 + 1
}
