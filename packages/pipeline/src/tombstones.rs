//! Files that reach the store after their job was deleted.
//!
//! A request that was sent before the deletion can make a file public after it. Keys below `work/` and
//! `segments/` are found by the cleanup of the store; public names are found by the tombstone of the job: they are
//! listed again while it stays, at intervals that double. After its time it is removed, after one more listing.

use std::collections::HashMap;
use std::time::Duration;

use segue_domain::{Epoch, JobId, Key, Tombstone};
use segue_ports::is_tombstone_old;
use tokio::time::Instant;

use crate::config::Deps;
use crate::delete::remove;

/// Page size of reading tombstones.
const PAGE: usize = 100;

/// When the public files of a deleted job are listed again.
struct Next {
    at: Instant,
    wait: Duration,
}

/// The tombstones that a sweeper knows.
#[derive(Default)]
pub(crate) struct Tombstones {
    known: HashMap<(JobId, Epoch), Next>,
}

impl Tombstones {
    /// Removes the late public files of deleted jobs, and tombstones that are old enough. `first` is the first
    /// interval between two listings. A failure at one job does not block the others.
    ///
    /// # Errors
    /// The tombstones cannot be read.
    pub async fn sweep(&mut self, deps: &Deps, now_ms: i64, first: Duration) -> anyhow::Result<()> {
        let mut known = HashMap::new();
        let mut from: Option<String> = None;
        loop {
            let page = deps.ledger.tombstones(from.as_deref(), PAGE).await?;
            for tombstone in page.tombstones {
                let name = (tombstone.job.clone(), tombstone.epoch.clone());
                let is_old = is_tombstone_old(&tombstone, now_ms);
                let next = self.known.remove(&name);
                let now = Instant::now();
                let next = match next {
                    Some(next) if now < next.at && !is_old => next,
                    next => {
                        let wait = next.map_or(first, |next| next.wait.saturating_mul(2));
                        list_again(deps, &tombstone, is_old).await;
                        Next { at: now + wait, wait }
                    }
                };
                known.insert(name, next);
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        self.known = known;
        Ok(())
    }
}

async fn list_again(deps: &Deps, tombstone: &Tombstone, is_old: bool) {
    let job = &tombstone.job;
    let listed = async {
        if remove(deps, &Key::published_prefix(job), job, None).await?.is_some() && is_old {
            deps.ledger.remove_tombstone(tombstone).await?;
        }
        anyhow::Ok(())
    };
    if let Err(error) = listed.await {
        tracing::warn!(%job, error = format!("{error:#}"), "late files are not removed, it will be repeated");
    }
}
