//! Leases: by this machine's clock, and released at once when their process is dead.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use segue_domain::{HolderId, JobId, OutputId, TaskId, Term};
use segue_ports::{Acquired, Lease, LeaseLedger, LeaseName, PortError};

use super::{LocalLedger, has_its_term, optional, term_of};
use crate::alive::Roll;
use crate::backend::{ms, now_ms};
use crate::db::writing;
use crate::error::{self, odd};

/// The last lease of a name.
struct Last {
    term: i64,
    held: bool,
    owner: Option<String>,
    until_ms: i64,
}

impl Last {
    /// Remaining duration, milliseconds; zero when it is free.
    fn left_ms(&self, roll: &Roll, me: &str) -> i64 {
        let left = self.until_ms.saturating_sub(now_ms());
        if !self.held || left <= 0 {
            return 0;
        }
        let dead = self.owner.as_deref().is_some_and(|owner| owner != me && roll.is_dead(owner));
        if dead { 0 } else { left }
    }
}

struct Wanted {
    name: LeaseName,
    holder: HolderId,
    owner: HolderId,
    ttl: Duration,
}

fn acquire(connection: &mut Connection, wanted: &Wanted, roll: &Roll) -> Result<Acquired, PortError> {
    let name = wanted.name.as_str();
    writing(connection, |transaction| {
        let sql = "SELECT term, holder IS NOT NULL, owner, until_ms FROM leases WHERE name = ?1";
        let mut found = transaction.prepare_cached(sql).map_err(error::sql)?;
        let last = optional(found.query_row([name], |row| {
            Ok(Last { term: row.get(0)?, held: row.get(1)?, owner: row.get(2)?, until_ms: row.get(3)? })
        }))?;
        let left_ms = last.as_ref().map_or(0, |last| last.left_ms(roll, wanted.owner.as_str()));
        if left_ms > 0 {
            return Ok(Acquired::Busy(Duration::from_millis(left_ms.unsigned_abs())));
        }
        let term = last.map_or(0, |last| last.term) + 1;
        let sql = "INSERT INTO leases (name, term, holder, owner, until_ms) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (name) DO UPDATE
                   SET term = ?2, holder = ?3, owner = ?4, until_ms = ?5";
        let until = now_ms().saturating_add(ms(wanted.ttl));
        transaction
            .prepare_cached(sql)
            .and_then(|mut write| {
                let (holder, owner) = (wanted.holder.as_str(), wanted.owner.as_str());
                write.execute(params![name, term, holder, owner, until])
            })
            .map_err(error::sql)?;
        let term = Term(u64::try_from(term).map_err(|e| odd("a term", e))?);
        Ok(Acquired::Held(Lease { name: wanted.name.clone(), holder: wanted.holder.clone(), term }))
    })
}

fn renew(connection: &mut Connection, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
    writing(connection, |transaction| {
        if !has_its_term(transaction, lease)? {
            return Ok(false);
        }
        transaction
            .prepare_cached("UPDATE leases SET until_ms = ?2 WHERE name = ?1")
            .and_then(|mut update| {
                update.execute(params![lease.name.as_str(), now_ms().saturating_add(ms(ttl))])
            })
            .map_err(error::sql)?;
        Ok(true)
    })
}

fn release(connection: &mut Connection, lease: &Lease) -> Result<(), PortError> {
    let sql = "UPDATE leases SET holder = NULL, owner = NULL WHERE name = ?1 AND term = ?2 AND holder = ?3";
    writing(connection, |transaction| {
        transaction
            .execute(sql, params![lease.name.as_str(), term_of(lease), lease.holder.as_str()])
            .map_err(error::sql)?;
        Ok(())
    })
}

fn leased_tasks(
    connection: &Connection,
    job: &JobId,
    output: &OutputId,
    roll: &Roll,
    me: &str,
) -> Result<Vec<TaskId>, PortError> {
    let prefix = format!("task/{job}/{output}/");
    // '0' follows '/'
    let end = format!("task/{job}/{output}0");
    let sql = "SELECT name, term, holder IS NOT NULL, owner, until_ms FROM leases
               WHERE name > ?1 AND name < ?2 AND holder IS NOT NULL ORDER BY name";
    let row = |row: &rusqlite::Row<'_>| {
        let last = Last { term: row.get(1)?, held: row.get(2)?, owner: row.get(3)?, until_ms: row.get(4)? };
        Ok((row.get::<_, String>(0)?, last))
    };
    let rows: Vec<(String, Last)> = connection
        .prepare_cached(sql)
        .and_then(|mut found| found.query_map([&prefix, &end], row)?.collect())
        .map_err(error::sql)?;
    let held = rows.iter().filter(|(_, last)| last.left_ms(roll, me) > 0);
    let task = |(name, _): &(String, Last)| {
        name[prefix.len()..].parse::<TaskId>().map_err(|e| odd("the name of a lease", e))
    };
    held.map(task).collect()
}

/// Releases a lease whose caller was dropped before it had the result.
fn undo_acquire(connection: &mut Connection, acquired: Acquired) {
    if let Acquired::Held(lease) = acquired
        && let Err(error) = release(connection, &lease)
    {
        tracing::warn!(lease = lease.name.as_str(), %error, "cannot release the lease of an abandoned call; it expires by itself");
    }
}

#[async_trait]
impl LeaseLedger for LocalLedger {
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError> {
        let owner = self.shared.holder.clone();
        let wanted = Wanted { name: name.clone(), holder: holder.clone(), owner, ttl };
        let roll = self.shared.roll.clone();
        self.shared.db.call_or_undo(move |db| acquire(db, &wanted, &roll), undo_acquire).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        let lease = lease.clone();
        self.shared.db.call(move |db| renew(db, &lease, ttl)).await
    }

    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        let (job, output) = (job.clone(), output.clone());
        let (roll, me) = (self.shared.roll.clone(), self.shared.holder.clone());
        self.shared.db.call(move |db| leased_tasks(db, &job, &output, &roll, me.as_str())).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let lease = lease.clone();
        self.shared.db.call(move |db| release(db, &lease)).await
    }
}
