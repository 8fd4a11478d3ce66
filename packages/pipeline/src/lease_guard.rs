//! A lease that is renewed in the background, and the signal that it was lost.

use std::sync::Arc;
use std::time::Duration;

use segue_domain::{Epoch, JobId, OutputRef, Term};
use segue_ports::{Acquired, Lease, LeaseName, Ledger, PortError};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::RoleConfig;

/// Scope of the work: it is cancelled when the scope has ended.
#[derive(Debug, Clone)]
pub enum WorkFor {
    /// None.
    Nothing,
    /// One epoch of a job: until it is deleted.
    Job(JobId, Epoch),
    /// An output: until it has ended or its job is deleted.
    Output(OutputRef),
}

/// A lease that is renewed in the background until it is dropped or released.
///
/// It is valid from when the attempt to acquire it *started*, for four fifths of its ttl:
/// a slow response shortens the validity and never extends it. [`LeaseGuard::lost`] is cancelled
/// when the validity ends, when the lease was taken over, or when the work's output has ended.
pub struct LeaseGuard {
    lease: Lease,
    ledger: Arc<dyn Ledger>,
    lost: CancellationToken,
    heartbeat: JoinHandle<()>,
}

/// Result of an attempt to acquire a lease.
pub enum Hold {
    /// Acquired, and renewed in the background.
    Held(LeaseGuard),
    /// Another holder has it, for about this long.
    Busy(Duration),
}

impl LeaseGuard {
    /// Tries to acquire `name` for work on `work_for`. `parent` cancels the work from outside.
    ///
    /// # Errors
    /// Errors of the ledger.
    pub async fn acquire(
        ledger: &Arc<dyn Ledger>,
        config: &RoleConfig,
        name: LeaseName,
        work_for: WorkFor,
        parent: &CancellationToken,
    ) -> Result<Hold, PortError> {
        let started = Instant::now();
        let lease = match ledger.acquire(&name, &config.holder, config.lease_ttl).await? {
            Acquired::Held(lease) => lease,
            Acquired::Busy(left) => return Ok(Hold::Busy(left)),
        };
        let lost = parent.child_token();
        let beat = Beat {
            ledger: Arc::clone(ledger),
            lease: lease.clone(),
            work_for,
            ttl: config.lease_ttl,
            lost: lost.clone(),
        };
        let heartbeat = tokio::spawn(beat.run(started));
        Ok(Hold::Held(LeaseGuard { lease, ledger: Arc::clone(ledger), lost, heartbeat }))
    }

    /// The lease, to fence a commit with.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Its term.
    pub fn term(&self) -> Term {
        self.lease.term
    }

    /// Cancelled when the work must stop.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Releases the lease so that the next holder need not wait. A failure only delays that holder.
    pub async fn release(self) {
        self.heartbeat.abort();
        if let Err(error) = self.ledger.release(&self.lease).await {
            tracing::warn!(lease = self.lease.name.as_str(), %error, "lease not released, it will expire");
        }
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.heartbeat.abort();
        self.lost.cancel();
    }
}

struct Beat {
    ledger: Arc<dyn Ledger>,
    lease: Lease,
    work_for: WorkFor,
    ttl: Duration,
    lost: CancellationToken,
}

impl Beat {
    async fn run(self, started: Instant) {
        let trust = self.ttl * 4 / 5;
        let mut trusted_until = started + trust;
        loop {
            let next = Instant::now() + self.ttl / 5;
            tokio::time::sleep_until(next.min(trusted_until)).await;
            let asked = Instant::now();
            if asked >= trusted_until {
                return self.lose("not renewed in time");
            }
            let answer =
                tokio::time::timeout_at(trusted_until, self.ledger.renew(&self.lease, self.ttl)).await;
            match answer {
                Ok(Ok(true)) => trusted_until = asked + trust,
                Ok(Ok(false)) => return self.lose("taken over"),
                Ok(Err(error)) => tracing::warn!(lease = self.lease.name.as_str(), %error, "renewal failed"),
                Err(_) => return self.lose("not renewed in time"),
            }
            // a ledger that does not answer must not extend the validity
            match tokio::time::timeout_at(trusted_until, self.has_ended()).await {
                Ok(false) => {}
                Ok(true) => return self.lose("its output has ended"),
                Err(_) => return self.lose("not renewed in time"),
            }
        }
    }

    async fn has_ended(&self) -> bool {
        let (job, epoch, output) = match &self.work_for {
            WorkFor::Nothing => return false,
            WorkFor::Job(job, epoch) => (job, epoch, None),
            WorkFor::Output(output) => (&output.job, &output.epoch, Some(&output.output)),
        };
        match self.ledger.job(job).await {
            Ok(None) => true,
            Ok(Some(record)) if record.epoch != *epoch || record.deleting => true,
            Ok(Some(record)) => output
                .is_some_and(|output| record.output(output).is_none_or(|output| output.state.is_terminal())),
            Err(_) => false,
        }
    }

    fn lose(&self, why: &str) {
        tracing::info!(lease = self.lease.name.as_str(), term = self.lease.term.0, why, "lease lost");
        self.lost.cancel();
    }
}
