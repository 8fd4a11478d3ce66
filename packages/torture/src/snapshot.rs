//! What the ledger of a job holds, and what may change in it from one life to the next.

use std::collections::BTreeMap;

use crate::fault::Stage;
use crate::finding::{Broken, Finding};

/// Failed attempts after which a task is poison.
const MOST_ATTEMPTS: i64 = 3;
/// Terms that one life can give to one lease: its attempts, and one that was taken back.
const TERMS_OF_A_LIFE: i64 = MOST_ATTEMPTS + 1;
/// Messages for one task, or one step of a job, that one life can leave: its own, and the one
/// of who finds it undone. The sweeper's come on top, after waits that double.
const MESSAGES_OF_A_LIFE: i64 = 2;
/// How often the sweeper of the embedded backend looks, seconds.
const SWEEP_S: u64 = 5;

/// The ledger and the queue of one job, at a moment when nobody works on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Id of the job.
    pub job: String,
    /// When it was created: another time is another incarnation.
    pub created: i64,
    /// Its state.
    pub state: String,
    /// Its own count of completions.
    pub counted: i64,
    /// Every completion as it was recorded, by its task.
    pub completions: BTreeMap<String, String>,
    /// The term of every lease, by its name.
    pub terms: BTreeMap<String, i64>,
    /// Counted failures, by task.
    pub failures: BTreeMap<String, i64>,
    /// Messages in the queues.
    pub messages: i64,
    /// Dead letters.
    pub dead_letters: i64,
}

impl Snapshot {
    /// How far the job is.
    pub fn stage(&self) -> Option<Stage> {
        Stage::of_state(&self.state)
    }

    /// What is wrong with it as it is, after so many lives that took so many seconds in all.
    pub fn findings(&self, lives: i64, seconds: u64) -> Vec<Finding> {
        let mut found = Vec::new();
        let recorded = self.completions.len() as i64;
        if self.counted != recorded {
            let what = format!("the job counts {} completions, {recorded} are recorded", self.counted);
            found.push(Finding::new(Broken::BadState, what));
        }
        let most = lives * TERMS_OF_A_LIFE;
        // what is begun again, and who says that he came back, takes a term of its lease each time
        let of_terms = |task: &str| task.starts_with("begun_") || task.starts_with("lived_");
        let bound = |task: &str| if of_terms(task) { most } else { MOST_ATTEMPTS };
        for (task, count) in self.failures.iter().filter(|(task, count)| **count > bound(task)) {
            found.push(Finding::new(Broken::Unbounded, format!("task {task} failed {count} times")));
        }
        // the sweeper takes its lease anew for every look
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

    /// What is wrong with it as the successor of `before`, of the same incarnation.
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

    /// Whoever takes the lease of a task whose completion was there before it started.
    fn done_again(&self, before: &Snapshot, task: &str) -> Option<Finding> {
        let of_task = |name: &&String| name.starts_with("task/") && name.ends_with(&format!("/{task}"));
        let name = before.terms.keys().find(of_task)?;
        let (was, is) = (before.terms.get(name)?, self.terms.get(name)?);
        (is > was).then(|| {
            let what = format!("task {task} was recorded under term {was} and begun again under {is}");
            Finding::new(Broken::Doubled, what)
        })
    }
}

/// How often the sweeper may have sent everything again: after 1, 2, 4 … 64 looks, and then
/// every 64 looks.
fn sweeps(seconds: u64) -> i64 {
    let looks = seconds / SWEEP_S;
    i64::from((looks + 1).ilog2().min(6)) + (looks / 64) as i64 + 1
}
