//! Outbox: notices that were written with a change, in the order of writing.

use async_trait::async_trait;
use rusqlite::{Connection, Transaction};
use segue_domain::OutboxEntry;
use segue_ports::{OutboxLedger, PortError};

use super::LocalLedger;
use crate::db::writing;
use crate::error;

/// Adds a notice unless one with its id exists.
pub(super) fn add(transaction: &Transaction<'_>, notice: &OutboxEntry) -> Result<(), PortError> {
    let sql = "INSERT INTO outbox (id, kind, body) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
    transaction
        .prepare_cached(sql)
        .and_then(|mut insert| insert.execute([&notice.id, &notice.kind, &notice.body]))
        .map_err(error::sql)?;
    Ok(())
}

fn read(connection: &Connection, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    connection
        .prepare_cached("SELECT id, kind, body FROM outbox ORDER BY number LIMIT ?1")
        .and_then(|mut found| {
            let entry = |row: &rusqlite::Row<'_>| {
                Ok(OutboxEntry { id: row.get(0)?, kind: row.get(1)?, body: row.get(2)? })
            };
            found.query_map([max], entry)?.collect()
        })
        .map_err(error::sql)
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
