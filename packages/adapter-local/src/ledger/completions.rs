//! Completions, counted per output in the transaction that creates them; failures.
//!
//! Each output has a row in `counters` while its job exists. Recording a completion updates
//! that row and never reads or writes the job's document.

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use segue_domain::{Completion, JobRecord, OutputRef, TaskId};
use segue_ports::{CompletionLedger, Lease, PortError, PortErrorKind, Recorded};

use super::{LocalLedger, has_its_term, optional};
use crate::db::writing;
use crate::error::{self, odd, say};

/// The columns that name an output.
fn key(output: &OutputRef) -> [&str; 3] {
    [output.job.as_str(), output.epoch.as_str(), output.output.as_str()]
}

/// Creates a counter for every output of the job that has none.
pub(super) fn add_counters(transaction: &Transaction<'_>, job: &JobRecord) -> Result<(), PortError> {
    let sql = "INSERT INTO counters (job, epoch, output) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let mut insert = transaction.prepare_cached(sql).map_err(error::sql)?;
    for output in &job.outputs {
        insert.execute(key(&job.output_ref(output.id()))).map_err(error::sql)?;
    }
    Ok(())
}

pub(super) fn completed(connection: &Connection, output: &OutputRef) -> Result<u64, PortError> {
    let sql = "SELECT completed FROM counters WHERE job = ?1 AND epoch = ?2 AND output = ?3";
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    let count: Option<i64> = optional(found.query_row(key(output), |row| row.get(0)))?;
    u64::try_from(count.unwrap_or(0)).map_err(|e| odd("a count", e))
}

/// Resets the failure counts of the output's tasks.
pub(super) fn reset_failures(transaction: &Transaction<'_>, output: &OutputRef) -> Result<(), PortError> {
    let sql = "DELETE FROM failures WHERE job = ?1 AND epoch = ?2 AND output = ?3";
    transaction.execute(sql, key(output)).map_err(error::sql)?;
    Ok(())
}

fn decode(document: &str) -> Result<Completion, PortError> {
    Completion::decode(document).map_err(|e| error::document("a completion", e))
}

fn read(connection: &Connection, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
    let sql = "SELECT document FROM completions
               WHERE job = ?1 AND epoch = ?2 AND output = ?3 AND task = ?4";
    let [job, epoch, name] = key(output);
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    let row = found.query_row([job, epoch, name, task.as_str()], |row| row.get::<_, String>(0));
    optional(row)?.as_deref().map(decode).transpose()
}

fn read_page(
    connection: &Connection,
    output: &OutputRef,
    after: &str,
    max: usize,
) -> Result<Vec<Completion>, PortError> {
    let sql = "SELECT document FROM completions
               WHERE job = ?1 AND epoch = ?2 AND output = ?3 AND task > ?4 ORDER BY task LIMIT ?5";
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let [job, epoch, name] = key(output);
    let rows: Vec<String> = connection
        .prepare_cached(sql)
        .and_then(|mut found| {
            found.query_map(params![job, epoch, name, after, max], |row| row.get(0))?.collect()
        })
        .map_err(error::sql)?;
    rows.iter().map(|document| decode(document)).collect()
}

fn record(
    connection: &mut Connection,
    completion: &Completion,
    lease: &Lease,
) -> Result<Recorded, PortError> {
    let ([job, epoch, output], task) = (key(&completion.output), completion.task.as_str());
    let document = completion.encode();
    writing(connection, |transaction| {
        let exists = "SELECT 1 FROM completions WHERE job = ?1 AND epoch = ?2 AND output = ?3 AND task = ?4";
        let existed = transaction
            .prepare_cached(exists)
            .and_then(|mut found| found.exists([job, epoch, output, task]))
            .map_err(error::sql)?;
        if existed {
            return Ok(Recorded::Existed);
        }
        if !has_its_term(transaction, lease)? {
            return Ok(Recorded::Stale);
        }
        let count = "UPDATE counters SET completed = completed + 1
                     WHERE job = ?1 AND epoch = ?2 AND output = ?3";
        let counted = transaction
            .prepare_cached(count)
            .and_then(|mut update| update.execute([job, epoch, output]))
            .map_err(error::sql)?;
        if counted == 0 {
            return Ok(Recorded::Stale);
        }
        let insert =
            "INSERT INTO completions (job, epoch, output, task, document) VALUES (?1, ?2, ?3, ?4, ?5)";
        transaction
            .prepare_cached(insert)
            .and_then(|mut insert| insert.execute([job, epoch, output, task, &document]))
            .map_err(error::sql)?;
        Ok(Recorded::Created)
    })
}

fn count_failure(connection: &mut Connection, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
    let [job, epoch, name] = key(output);
    writing(connection, |transaction| {
        let is_there = transaction
            .prepare_cached("SELECT 1 FROM counters WHERE job = ?1 AND epoch = ?2 AND output = ?3")
            .and_then(|mut found| found.exists([job, epoch, name]))
            .map_err(error::sql)?;
        if !is_there {
            return Err(say(PortErrorKind::NotFound, format_args!("{output} is not in the ledger")));
        }
        let sql = "INSERT INTO failures (job, epoch, output, task, count) VALUES (?1, ?2, ?3, ?4, 1)
                   ON CONFLICT (job, epoch, output, task) DO UPDATE SET count = count + 1 RETURNING count";
        transaction.query_row(sql, [job, epoch, name, task.as_str()], |row| row.get(0)).map_err(error::sql)
    })
}

fn failures(connection: &Connection, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
    let sql = "SELECT count FROM failures WHERE job = ?1 AND epoch = ?2 AND output = ?3 AND task = ?4";
    let [job, epoch, name] = key(output);
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    Ok(optional(found.query_row([job, epoch, name, task.as_str()], |row| row.get(0)))?.unwrap_or(0))
}

#[async_trait]
impl CompletionLedger for LocalLedger {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        lease.check_is_for(completion)?;
        let (completion, lease) = (completion.clone(), lease.clone());
        self.shared.db.call(move |db| record(db, &completion, &lease)).await
    }

    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError> {
        let output = output.clone();
        self.shared.db.call(move |db| completed(db, &output)).await
    }

    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
        let (output, task) = (output.clone(), task.clone());
        self.shared.db.call(move |db| read(db, &output, &task)).await
    }

    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        let (output, after) = (output.clone(), after.map(TaskId::to_string).unwrap_or_default());
        self.shared.db.call(move |db| read_page(db, &output, &after, max)).await
    }

    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        let (output, task) = (output.clone(), task.clone());
        self.shared.db.call(move |db| count_failure(db, &output, &task)).await
    }

    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        let (output, task) = (output.clone(), task.clone());
        self.shared.db.call(move |db| failures(db, &output, &task)).await
    }
}
