//! The ledger in SQLite: each change is one transaction.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use segue_domain::HolderId;
use segue_ports::{Lease, PortError};

use crate::alive::Roll;
use crate::backend::{Instance, now_ms};
use crate::db::writing;
use crate::error;

mod completions;
mod jobs;
mod leases;
mod outbox;
mod tombstones;

/// Jobs, completions, leases and notices of a state folder.
#[derive(Debug)]
pub struct LocalLedger {
    shared: Arc<Instance>,
    records_notices: bool,
}

impl LocalLedger {
    pub(crate) fn of(shared: Arc<Instance>) -> LocalLedger {
        LocalLedger { shared, records_notices: false }
    }

    /// The same ledger, which records the notices of its changes: for a deployment that delivers them.
    #[must_use]
    pub fn recording_notices(&self) -> LocalLedger {
        LocalLedger { shared: Arc::clone(&self.shared), records_notices: true }
    }
}

/// A term in the database's type. Terms count acquisitions and never reach its maximum.
fn term_of(lease: &Lease) -> i64 {
    i64::try_from(lease.term.0).unwrap_or(i64::MAX)
}

fn has_its_term(transaction: &Transaction<'_>, lease: &Lease) -> Result<bool, PortError> {
    let sql = "SELECT 1 FROM leases WHERE name = ?1 AND term = ?2 AND holder = ?3";
    transaction
        .prepare_cached(sql)
        .and_then(|mut found| {
            found.exists(params![lease.name.as_str(), term_of(lease), lease.holder.as_str()])
        })
        .map_err(error::sql)
}

/// Releases the leases and the messages of every dead owner; returns whether there was one. Terms stay; a
/// message keeps its count of deliveries, and its receipt is void.
pub(crate) fn reclaim(connection: &mut Connection, roll: &Roll, me: &HolderId) -> Result<bool, PortError> {
    let owners = "SELECT owner FROM leases WHERE owner IS NOT NULL
                  UNION SELECT owner FROM messages WHERE owner IS NOT NULL";
    let owners: Vec<String> = connection
        .prepare_cached(owners)
        .and_then(|mut all| all.query_map([], |row| row.get(0))?.collect())
        .map_err(error::sql)?;
    // a process that has ended cannot become alive between this read and the transaction
    let dead: Vec<String> =
        owners.into_iter().filter(|owner| owner != me.as_str() && roll.is_dead(owner)).collect();
    if dead.is_empty() {
        return Ok(false);
    }
    writing(connection, |transaction| {
        for owner in &dead {
            let leases = transaction
                .execute("UPDATE leases SET owner = NULL, holder = NULL WHERE owner = ?1", [owner])
                .map_err(error::sql)?;
            let messages = transaction
                .execute(
                    "UPDATE messages SET owner = NULL, visible_at_ms = min(visible_at_ms, ?2) WHERE owner = ?1",
                    params![owner, now_ms()],
                )
                .map_err(error::sql)?;
            tracing::info!(owner, leases, messages, "reclaimed from a process that ended");
        }
        Ok(true)
    })
}

/// At most one row.
pub(crate) fn optional<T>(result: rusqlite::Result<T>) -> Result<Option<T>, PortError> {
    result.optional().map_err(error::sql)
}
