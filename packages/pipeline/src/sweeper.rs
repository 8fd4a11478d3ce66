//! The sweeper: finds what stalled anywhere and drives it on.
//!
//! It never decides anything: it sends messages that somebody should have sent, finishes
//! what is committed, and removes what nobody names.

use std::collections::HashMap;
use std::sync::Arc;

use segue_domain::{JobId, JobState};
use segue_ports::{Clock, JobFilter, LeaseName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chunker::resend;
use crate::deps::{Deps, RoleConfig};
use crate::held::{Held, Hold};
use crate::publish::{clean, publish};

/// Jobs that are looked at at once.
const PAGE: usize = 100;

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
    let mut sweeper = Sweeper { deps, clock, config, shutdown, seen: HashMap::new() };
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

/// When a job was driven on last, and how often without effect.
struct Seen {
    state: JobState,
    at: Instant,
    times: u32,
}

struct Sweeper {
    deps: Deps,
    clock: Arc<dyn Clock>,
    config: RoleConfig,
    shutdown: CancellationToken,
    seen: HashMap<JobId, Seen>,
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
        for state in JobState::ALL {
            let filter = JobFilter { state: Some(state), updated_before_ms: Some(quiet_since) };
            let mut from: Option<String> = None;
            loop {
                let page = self.deps.ledger.jobs(filter.clone(), from.as_deref(), PAGE).await?;
                for record in &page.jobs {
                    if self.is_due(&record.id, state) {
                        tracing::info!(job = %record.id, %state, "driving on");
                        match state {
                            JobState::Publishing => publish(&self.deps, record).await?,
                            s if s.is_terminal() => clean(&self.deps, &record.id, s).await?,
                            _ => resend(&self.deps, &record.id, state).await?,
                        }
                    }
                }
                match page.next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Whether to drive a quiet job on now: ended ones once, living ones after waits that
    /// double, so that a queue does not fill with repeats.
    fn is_due(&mut self, job: &JobId, state: JobState) -> bool {
        let now = Instant::now();
        let wait = |times: u32| self.config.sweep_every * (1 << times.min(6));
        match self.seen.get_mut(job) {
            Some(seen) if seen.state == state => {
                if state.is_terminal() || now < seen.at + wait(seen.times) {
                    return false;
                }
                seen.at = now;
                seen.times += 1;
                true
            }
            _ => {
                self.seen.insert(job.clone(), Seen { state, at: now, times: 0 });
                true
            }
        }
    }
}
