//! The sweeper: finds outputs that have not changed for a while and resumes them.
//!
//! It makes no decisions: it sends lost messages again, publishes committed outputs, continues
//! deletions, and removes unreferenced files. An output that failed or was cancelled keeps the files
//! that its completions reference, so that it can be retried.

use std::collections::HashMap;
use std::sync::Arc;

use segue_domain::{Gate, JobRecord, OutputRecord, OutputRef, OutputState};
use segue_ports::{Clock, JobChange, LeaseName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cleanup::cleanup_store;
use crate::config::{Deps, RoleConfig};
use crate::delete::continue_deletion;
use crate::lease_guard::{Hold, LeaseGuard, WorkFor};
use crate::publish::publish;
use crate::tombstones::Tombstones;
use crate::wake::resume;

/// Page size of reading jobs.
const PAGE: usize = 100;

/// The store is cleaned up at the first sweep and at every one whose number this divides: it
/// requires a listing of `work/` and `segments/`, and is not urgent.
const STORE_EVERY: u32 = 5;

/// Minimum number of sweeps for which an output that makes progress is remembered: twice the longest backoff.
const MEMORY: u32 = 128;

/// Sweeps until `shutdown`.
///
/// # Errors
/// None that end the role: failures are logged and retried.
pub async fn run(
    deps: Deps,
    clock: Arc<dyn Clock>,
    config: RoleConfig,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut sweeper = Sweeper {
        deps,
        clock,
        config,
        shutdown,
        seen: HashMap::new(),
        tombstones: Tombstones::default(),
        sweeps: 0,
    };
    loop {
        tokio::select! {
            biased;
            () = sweeper.shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(sweeper.config.sweep_every) => {}
        }
        if let Err(error) = sweeper.sweep_held().await {
            tracing::warn!(error = format!("{error:#}"), "sweep failed, it will be repeated");
        }
    }
}

/// When an output was last resumed, and how often in the same state.
struct Seen {
    state: OutputState,
    mapped: bool,
    /// Whether the needs of its next step are met.
    has_its_needs: bool,
    completed: u64,
    at: Instant,
    times: u32,
}

struct Sweeper {
    deps: Deps,
    clock: Arc<dyn Clock>,
    config: RoleConfig,
    shutdown: CancellationToken,
    seen: HashMap<OutputRef, Seen>,
    tombstones: Tombstones,
    sweeps: u32,
}

impl Sweeper {
    async fn sweep_held(&mut self) -> anyhow::Result<()> {
        let name = LeaseName::sweep();
        let held = match LeaseGuard::acquire(
            &self.deps.ledger,
            &self.config,
            name,
            WorkFor::Nothing,
            &self.shutdown,
        )
        .await?
        {
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
        let mut from: Option<String> = None;
        loop {
            let page = self.deps.ledger.open_jobs(quiet_since, from.as_deref(), PAGE).await?;
            for job in page.jobs {
                if job.deleting {
                    self.continue_deletion(&job).await;
                } else if job.awaiting_until_ms.is_some() {
                    // refused before its timeout
                    self.deps.ledger.change(&job.id, JobChange::Expire, None).await?;
                } else {
                    self.look_at(&job, &mut still).await?;
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        // an output that makes progress is idle only now and then, and keeps its backoff
        let (now, memory) = (Instant::now(), self.config.sweep_every * MEMORY);
        self.seen.retain(|_, seen| now < seen.at + memory);
        self.seen.extend(still);
        let number = self.sweeps;
        self.sweeps += 1;
        if number.is_multiple_of(STORE_EVERY) {
            cleanup_store(&self.deps, &self.config.holder, self.config.lease_ttl).await?;
            let first = self.config.sweep_every * STORE_EVERY;
            self.tombstones.sweep(&self.deps, self.clock.now_ms(), first).await?;
        }
        Ok(())
    }

    async fn continue_deletion(&self, job: &JobRecord) {
        if let Err(error) = continue_deletion(&self.deps, job).await {
            tracing::warn!(job = %job.id, error = format!("{error:#}"), "deletion failed, it will be retried");
        }
    }

    async fn look_at(&mut self, job: &JobRecord, still: &mut HashMap<OutputRef, Seen>) -> anyhow::Result<()> {
        for output in job.open_outputs() {
            let name = job.output_ref(output.id());
            let completed = match output.state {
                OutputState::Mapping => self.deps.ledger.completed(&name).await?,
                _ => 0,
            };
            let (seen, is_due) = self.is_due(self.seen.get(&name), job, output, completed);
            if is_due {
                self.resume(job, output).await;
            }
            still.insert(name, seen);
        }
        Ok(())
    }

    /// Resumes one output. A failure does not block the others.
    async fn resume(&self, job: &JobRecord, output: &OutputRecord) {
        let name = job.output_ref(output.id());
        tracing::info!(output = %name, state = %output.state, "resuming");
        let resumed = match output.state {
            OutputState::Publishing => {
                publish(&self.deps, &self.config, job, output, &self.shutdown).await.map(drop)
            }
            _ => resume(&self.deps, job, output).await,
        };
        if let Err(error) = resumed {
            tracing::warn!(output = %name, error = format!("{error:#}"), "resuming failed, it will be retried");
        }
    }

    /// Whether to resume an idle output now: with a backoff that doubles while it is in one state, so
    /// that a lane does not fill with repeats, however long its tasks take. A lost message delays an
    /// output at most by about the time it has been in progress. One whose tasks are being completed is not
    /// idle.
    fn is_due(
        &self,
        seen: Option<&Seen>,
        job: &JobRecord,
        output: &OutputRecord,
        completed: u64,
    ) -> (Seen, bool) {
        let at = Instant::now();
        let mapped = output.is_mapped(completed);
        let gate = if output.state == OutputState::Created { Gate::Plan } else { Gate::Assembly };
        let has_its_needs = job.needs_are_met(output, gate);
        let now = Seen { state: output.state, mapped, has_its_needs, completed, at, times: 0 };
        let same = |seen: &&Seen| {
            (seen.state, seen.mapped, seen.has_its_needs) == (now.state, now.mapped, now.has_its_needs)
        };
        match seen.filter(same) {
            Some(seen) if seen.completed != completed && !mapped => {
                (Seen { at: seen.at, times: seen.times, ..now }, false)
            }
            Some(seen) if at < seen.at + self.config.sweep_every * waits(seen.times) => {
                (Seen { at: seen.at, times: seen.times, ..now }, false)
            }
            Some(seen) => (Seen { times: seen.times + 1, ..now }, true),
            // first seen while its tasks are being completed: the next sweep shows whether that continues
            None => {
                let is_moving = completed > 0 && !mapped;
                (now, !is_moving)
            }
        }
    }
}

/// Number of sweeps until an output is resumed again, after this many times.
fn waits(times: u32) -> u32 {
    1 << times.min(6)
}
