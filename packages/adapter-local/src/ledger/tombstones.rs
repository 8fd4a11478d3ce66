//! Tombstones of deleted jobs: written in the transaction of the deletion, replaced by the next job.

use rusqlite::{Connection, Transaction, params};
use segue_domain::{JobId, Tombstone};
use segue_ports::{PortError, PortErrorKind, TombstonePage, is_tombstone_old};

use super::jobs::{limit, read_job};
use super::optional;
use crate::backend::now_ms;
use crate::db::writing;
use crate::error;

fn decode(document: &str) -> Result<Tombstone, PortError> {
    Tombstone::decode(document).map_err(|e| error::document("a tombstone", e))
}

fn read(connection: &Connection, job: &JobId) -> Result<Option<Tombstone>, PortError> {
    let sql = "SELECT document FROM tombstones WHERE job = ?1";
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    let document = optional(found.query_row([job.as_str()], |row| row.get::<_, String>(0)))?;
    document.as_deref().map(decode).transpose()
}

fn delete(transaction: &Transaction<'_>, job: &JobId) -> Result<(), PortError> {
    let sql = "DELETE FROM tombstones WHERE job = ?1";
    transaction.execute(sql, [job.as_str()]).map_err(error::sql)?;
    Ok(())
}

/// Writes a tombstone; that of an earlier job of its id is replaced.
pub(super) fn put(transaction: &Transaction<'_>, tombstone: &Tombstone) -> Result<(), PortError> {
    let sql = "INSERT INTO tombstones (job, document) VALUES (?1, ?2)
               ON CONFLICT (job) DO UPDATE SET document = ?2";
    transaction.execute(sql, params![tombstone.job.as_str(), tombstone.encode()]).map_err(error::sql)?;
    Ok(())
}

/// Removes and returns the tombstone of the id.
pub(super) fn take(transaction: &Transaction<'_>, job: &JobId) -> Result<Option<Tombstone>, PortError> {
    let found = read(transaction, job)?;
    if found.is_some() {
        delete(transaction, job)?;
    }
    Ok(found)
}

/// A page in order of the ids. Tombstones of a newer build and damaged ones are left out.
pub(super) fn page(connection: &Connection, from: &str, max: usize) -> Result<TombstonePage, PortError> {
    let sql = "SELECT job, document FROM tombstones WHERE job > ?1 ORDER BY job LIMIT ?2";
    let rows: Vec<(String, String)> = connection
        .prepare_cached(sql)
        .and_then(|mut found| {
            found.query_map(params![from, limit(max)], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .map_err(error::sql)?;
    let shown = &rows[..rows.len().min(max)];
    let next = shown.last().filter(|_| rows.len() > max).map(|(job, _)| job.clone());
    let mut tombstones = Vec::with_capacity(shown.len());
    for (job, document) in shown {
        match decode(document) {
            Ok(tombstone) => tombstones.push(tombstone),
            Err(error) if error.kind == PortErrorKind::Newer => {
                tracing::debug!(job, %error, "a tombstone is left to a newer build");
            }
            Err(error) => tracing::error!(job, %error, "a tombstone is left out"),
        }
    }
    Ok(TombstonePage { tombstones, next })
}

/// Removes a tombstone that is old enough.
pub(super) fn remove(connection: &mut Connection, tombstone: &Tombstone) -> Result<bool, PortError> {
    writing(connection, |transaction| {
        if read_job(transaction, &tombstone.job)?.is_some() {
            return Ok(false);
        }
        let Some(found) = read(transaction, &tombstone.job)? else { return Ok(true) };
        if found != *tombstone || !is_tombstone_old(&found, now_ms()) {
            return Ok(false);
        }
        delete(transaction, &tombstone.job)?;
        Ok(true)
    })
}
