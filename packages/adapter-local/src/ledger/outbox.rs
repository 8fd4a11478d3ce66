//! Outbox: notices that were written with a change, in the order of writing.

use async_trait::async_trait;
use rusqlite::{Connection, Transaction};
use segue_domain::{DomainError, OutboxEntry};
use segue_ports::{OutboxLedger, PortError};

use super::LocalLedger;
use crate::db::writing;
use crate::error;

/// Adds a notice unless one with its id exists.
pub(super) fn add(transaction: &Transaction<'_>, notice: &OutboxEntry) -> Result<(), PortError> {
    let sql = "INSERT INTO outbox (id, document) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
    transaction
        .prepare_cached(sql)
        .and_then(|mut insert| insert.execute([&notice.id, &notice.encode()]))
        .map_err(error::sql)?;
    Ok(())
}

/// Notices of a newer build are left out, so that they do not stop the delivery of others; so are damaged ones.
fn read(connection: &Connection, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
    let mut found =
        connection.prepare_cached("SELECT id, document FROM outbox ORDER BY number").map_err(error::sql)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let rows = found.query_map([], row).map_err(error::sql)?;
    let mut all = Vec::new();
    for row in rows {
        if all.len() >= max {
            break;
        }
        let (id, document): (String, String) = row.map_err(error::sql)?;
        match OutboxEntry::decode(&document) {
            Ok(notice) => all.push(notice),
            Err(DomainError::Version { found, .. }) => {
                tracing::debug!(notice = id, found, "a notice is left to a newer build");
            }
            Err(error) => tracing::error!(notice = id, %error, "a notice is left out"),
        }
    }
    Ok(all)
}

fn remove(connection: &mut Connection, id: &str) -> Result<(), PortError> {
    writing(connection, |transaction| {
        transaction.execute("DELETE FROM outbox WHERE id = ?1", [id]).map_err(error::sql)?;
        Ok(())
    })
}

#[async_trait]
impl OutboxLedger for LocalLedger {
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        self.shared.db.call(move |db| read(db, max)).await
    }

    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError> {
        let id = id.to_owned();
        self.shared.db.call(move |db| remove(db, &id)).await
    }
}
