//! SQL of the queues. A receipt is the message's number and the count of
//! its deliveries, so that the next delivery voids it; a message without an owner has no
//! valid receipt.

use std::time::Duration;

use rusqlite::{Connection, Transaction, params};
use segue_domain::HolderId;
use segue_ports::{Delivery, Lane, PortError, QueueDepth, Receipt};

use crate::backend::{ms, now_ms};
use crate::db::writing;
use crate::error;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Increases with each letter; the cursor of pages.
    pub number: i64,
    /// The message body.
    pub body: String,
    /// Number of its deliveries.
    pub deliveries: u32,
    /// The reason.
    pub reason: String,
    /// When it was dead-lettered, milliseconds since 1970.
    pub died_at_ms: i64,
}

/// Result of a receive.
#[derive(Debug, Default)]
pub struct Taken {
    pub deliveries: Vec<Delivery>,
    /// When the next message becomes visible, if none is now.
    pub next_visible_ms: Option<i64>,
}

fn parse(receipt: &Receipt) -> Option<(i64, i64)> {
    let (id, deliveries) = receipt.0.split_once('-')?;
    let parsed = (id.parse().ok()?, deliveries.parse().ok()?);
    (format(parsed.0, parsed.1) == *receipt).then_some(parsed)
}

fn format(id: i64, deliveries: i64) -> Receipt {
    Receipt(format!("{id}-{deliveries}"))
}

pub fn insert(
    transaction: &Transaction<'_>,
    queue: Lane,
    bodies: &[String],
    delay: Duration,
) -> Result<(), PortError> {
    let visible_at = now_ms().saturating_add(ms(delay));
    let sql = "INSERT INTO messages (queue, body, visible_at_ms) VALUES (?1, ?2, ?3)";
    let mut insert = transaction.prepare_cached(sql).map_err(error::sql)?;
    for body in bodies {
        insert.execute(params![queue.as_str(), body, visible_at]).map_err(error::sql)?;
    }
    Ok(())
}

/// Reads first and locks only if there is a message: a waiting receiver costs only reads.
pub fn take(
    connection: &mut Connection,
    queue: Lane,
    max: usize,
    visibility: Duration,
    owner: &HolderId,
) -> Result<Taken, PortError> {
    let next: Option<i64> = connection
        .prepare_cached("SELECT min(visible_at_ms) FROM messages WHERE queue = ?1")
        .and_then(|mut first| first.query_row([queue.as_str()], |row| row.get(0)))
        .map_err(error::sql)?;
    if max == 0 || next.is_none_or(|next| next > now_ms()) {
        return Ok(Taken { deliveries: Vec::new(), next_visible_ms: next });
    }
    writing(connection, |transaction| {
        let now = now_ms();
        let until = now.saturating_add(ms(visibility));
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        // oldest first, so that a message that is redelivered repeatedly does not starve others
        let sql = "UPDATE messages SET visible_at_ms = ?1, deliveries = deliveries + 1, owner = ?2
                   WHERE id IN (SELECT id FROM messages WHERE queue = ?3 AND visible_at_ms <= ?4
                                ORDER BY visible_at_ms, id LIMIT ?5)
                   RETURNING id, body, deliveries";
        let mut update = transaction.prepare_cached(sql).map_err(error::sql)?;
        let rows = update.query_map(params![until, owner.as_str(), queue.as_str(), now, max], |row| {
            let deliveries: u32 = row.get(2)?;
            let receipt = format(row.get(0)?, i64::from(deliveries));
            Ok(Delivery { body: row.get(1)?, receipt, deliveries })
        });
        let deliveries = rows.and_then(Iterator::collect).map_err(error::sql)?;
        Ok(Taken { deliveries, next_visible_ms: None })
    })
}

/// Hides the message for `visibility` from now.
pub fn show_again(
    connection: &mut Connection,
    queue: Lane,
    receipt: &Receipt,
    visibility: Duration,
) -> Result<bool, PortError> {
    let Some((id, deliveries)) = parse(receipt) else { return Ok(false) };
    let sql = "UPDATE messages SET visible_at_ms = ?1
               WHERE id = ?2 AND deliveries = ?3 AND queue = ?4 AND owner IS NOT NULL";
    writing(connection, |transaction| {
        let visible_at = now_ms().saturating_add(ms(visibility));
        let rows = transaction
            .execute(sql, params![visible_at, id, deliveries, queue.as_str()])
            .map_err(error::sql)?;
        Ok(rows == 1)
    })
}

pub fn remove(connection: &mut Connection, queue: Lane, receipt: &Receipt) -> Result<bool, PortError> {
    let Some((id, deliveries)) = parse(receipt) else { return Ok(false) };
    writing(connection, |transaction| remove_row(transaction, queue, id, deliveries))
}

fn remove_row(
    transaction: &Transaction<'_>,
    queue: Lane,
    id: i64,
    deliveries: i64,
) -> Result<bool, PortError> {
    let sql = "DELETE FROM messages WHERE id = ?1 AND deliveries = ?2 AND queue = ?3 AND owner IS NOT NULL";
    let rows = transaction.execute(sql, params![id, deliveries, queue.as_str()]).map_err(error::sql)?;
    Ok(rows == 1)
}

pub fn put_aside(
    connection: &mut Connection,
    queue: Lane,
    receipt: &Receipt,
    reason: &str,
) -> Result<bool, PortError> {
    let Some((id, deliveries)) = parse(receipt) else { return Ok(false) };
    let sql = "INSERT INTO dead_letters (id, queue, body, deliveries, reason, died_at_ms)
               SELECT id, queue, body, deliveries, ?1, ?2 FROM messages
               WHERE id = ?3 AND deliveries = ?4 AND queue = ?5 AND owner IS NOT NULL";
    writing(connection, |transaction| {
        transaction
            .execute(sql, params![reason, now_ms(), id, deliveries, queue.as_str()])
            .map_err(error::sql)?;
        remove_row(transaction, queue, id, deliveries)
    })
}

pub fn depth(connection: &Connection, queue: Lane) -> Result<QueueDepth, PortError> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE owner IS NOT NULL AND visible_at_ms > ?2),
               (SELECT count(*) FROM dead_letters WHERE queue = ?1) FROM messages WHERE queue = ?1";
    let (all, in_flight, dead): (u32, u32, u32) = connection
        .query_row(sql, params![queue.as_str(), now_ms()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(error::sql)?;
    Ok(QueueDepth { waiting: (all - in_flight).into(), in_flight: in_flight.into(), dead: dead.into() })
}

pub fn dead_letters(
    connection: &Connection,
    queue: Lane,
    after: i64,
    max: usize,
) -> Result<Vec<DeadLetter>, PortError> {
    let sql = "SELECT id, body, deliveries, reason, died_at_ms FROM dead_letters
               WHERE queue = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    let rows = found.query_map(params![queue.as_str(), after, max], |row| {
        Ok(DeadLetter {
            number: row.get(0)?,
            body: row.get(1)?,
            deliveries: row.get(2)?,
            reason: row.get(3)?,
            died_at_ms: row.get(4)?,
        })
    });
    rows.and_then(Iterator::collect).map_err(error::sql)
}

/// Sends the oldest letters again, as new messages; returns their number.
pub fn redrive(connection: &mut Connection, queue: Lane, max: usize) -> Result<usize, PortError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    writing(connection, |transaction| {
        let send = "INSERT INTO messages (queue, body, visible_at_ms)
                    SELECT queue, body, ?1 FROM dead_letters WHERE queue = ?2 ORDER BY id LIMIT ?3";
        transaction.execute(send, params![now_ms(), queue.as_str(), max]).map_err(error::sql)?;
        let forget = "DELETE FROM dead_letters WHERE id IN
                      (SELECT id FROM dead_letters WHERE queue = ?1 ORDER BY id LIMIT ?2)";
        transaction.execute(forget, params![queue.as_str(), max]).map_err(error::sql)
    })
}

/// Deletes every letter of the queue; returns their number.
pub fn purge(connection: &mut Connection, queue: Lane) -> Result<usize, PortError> {
    let sql = "DELETE FROM dead_letters WHERE queue = ?1";
    writing(connection, |transaction| transaction.execute(sql, [queue.as_str()]).map_err(error::sql))
}
