//! The sweeper: finds what stalled anywhere and drives it on.
//!
//! It never decides anything: it sends messages that somebody should have sent, finishes
//! what is committed, and removes what nobody names. A job that failed or was cancelled keeps
//! what its completions name, so that it can be driven on by hand.

use std::collections::HashMap;
use std::sync::Arc;

use segue_domain::{JobId, JobRecord, JobState};
use segue_ports::{Clock, JobFilter, LeaseName, mutant};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chunker::resend;
use crate::deps::{Deps, RoleConfig};
use crate::held::{Held, Hold};
use crate::publish::publish;
use crate::tidy::tidy_store;

/// Jobs that are looked at at once.
const PAGE: usize = 100;

/// The store is looked through at the first sweep and at every one whose number this
/// divides: that costs a listing of everything that is on its way, and nobody waits for it.
const STORE_EVERY: u32 = 5;

/// Sweeps for which a job is remembered that gets on, at least: twice the longest wait.
const MEMORY: u32 = 128;

/// States in which a job can stand still.
const LIVING: [JobState; 4] =
    [JobState::Created, JobState::Mapping, JobState::Reassembling, JobState::Publishing];

/// Sweeps until `shutdown`.
///
/// # Errors
/// None that end the role: what fails is logged and tried again.
pub async fn run(
    deps: Deps,
    clock: Arc<dyn Clock>,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut sweeper = Sweeper { deps, clock, config, shutdown, seen: HashMap::new(), sweeps: 0 };
    loop {
        tokio::select! {
            biased;
            () = sweeper.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(sweeper.config.sweep_every) => {}
        }
        if let Err(error) = sweeper.sweep_held().await {
            tracing::warn!(error = format!("{error:#}"), "sweep not finished, it will be done again");
        }
    }
}

/// When a job was driven on last, and how often without getting further than this.
struct Seen {
    /// One that is made again under the same id is another.
    created_at_ms: i64,
    state: JobState,
    all_in: bool,
    at: Instant,
    times: u32,
}

struct Sweeper {
    deps: Deps,
    clock: Arc<dyn Clock>,
    config: RoleConfig,
    shutdown: CancellationToken,
    seen: HashMap<JobId, Seen>,
    sweeps: u32,
}

impl Sweeper {
    async fn sweep_held(&mut self) -> anyhow::Result<()> {
        let name = LeaseName::sweep();
        let held = match Held::acquire(&self.deps.ledger, &self.config, name, None, &self.shutdown).await? {
            Hold::Held(held) => held,
            Hold::Busy(_) => return Ok(()),
        };
        let lost = held.lost().clone();
        let swept = tokio::select! {
            biased;
            () = lost.cancelled() => Ok(()),
            swept = self.sweep() => swept,
        };
        held.release().await;
        swept
    }

    async fn sweep(&mut self) -> anyhow::Result<()> {
        let quiet_since = self.clock.now_ms() - self.config.sweep_every.as_millis() as i64;
        let mut still = HashMap::new();
        for state in LIVING {
            let filter = JobFilter { state: Some(state), updated_before_ms: Some(quiet_since) };
            let mut from: Option<String> = None;
            loop {
                let page = self.deps.ledger.jobs(filter.clone(), from.as_deref(), PAGE).await?;
                for record in page.jobs {
                    let seen = self.seen.remove(&record.id);
                    let (seen, is_due) = self.look_at(seen, &record);
                    if is_due {
                        self.drive_on(&record).await;
                    }
                    still.insert(record.id, seen);
                }
                match page.next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        // a job that gets on is quiet only now and then, and keeps its waits
        let (now, memory) = (Instant::now(), self.config.sweep_every * MEMORY);
        self.seen.retain(|_, seen| now < seen.at + memory);
        self.seen.extend(still);
        let number = self.sweeps;
        self.sweeps += 1;
        if number.is_multiple_of(STORE_EVERY) {
            tidy_store(&self.deps, &self.config.holder, self.config.lease_ttl).await?;
        }
        Ok(())
    }

    /// Drives one job on. What fails does not keep the others waiting.
    async fn drive_on(&self, record: &JobRecord) {
        tracing::info!(job = %record.id, state = %record.state, "driving on");
        let driven = match record.state {
            _ if mutant!("sweeper-does-not-resend") => Ok(()),
            JobState::Publishing if mutant!("sweeper-skips-publishing") => Ok(()),
            JobState::Publishing => publish(&self.deps, &self.config, record, &self.shutdown).await.map(drop),
            state => resend(&self.deps, &record.id, state).await,
        };
        if let Err(error) = driven {
            tracing::warn!(job = %record.id, error = format!("{error:#}"), "not driven on, it will be tried again");
        }
    }

    /// Whether to drive a quiet job on now: after waits that double while it is in one state,
    /// so that a queue does not fill with repeats, however long its tasks take. So what was
    /// lost costs a job at most about as long as it was under way.
    fn look_at(&self, seen: Option<Seen>, record: &JobRecord) -> (Seen, bool) {
        let at = Instant::now();
        let now = Seen {
            created_at_ms: record.created_at_ms,
            state: record.state,
            all_in: record.all_tasks_in(),
            at,
            times: 0,
        };
        let wait = |times: u32| self.config.sweep_every * waits(times);
        let same = |seen: &Seen| {
            (seen.created_at_ms, seen.state, seen.all_in) == (now.created_at_ms, now.state, now.all_in)
        };
        match seen.filter(same) {
            Some(seen) if at < seen.at + wait(seen.times) => (seen, false),
            Some(seen) => (Seen { times: seen.times + 1, ..now }, true),
            None => (now, true),
        }
    }
}

/// Sweeps until a job is driven on again that was so many times.
fn waits(times: u32) -> u32 {
    1 << times.min(6)
}
