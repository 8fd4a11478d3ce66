//! Completions: created and counted in one transaction.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use segue_domain::{Completion, JobId, TaskId};
use segue_ports::{CompletionLedger, Lease, PortError, PortErrorKind, Recorded};

use super::{LocalLedger, has_its_term, optional};
use crate::backend::now_ms;
use crate::db::writing;
use crate::error::{self, odd, say};

fn parse(document: &str) -> Result<Completion, PortError> {
    serde_json::from_str(document).map_err(|e| odd("a completion", e))
}

fn read(connection: &Connection, job: &JobId, task: &TaskId) -> Result<Option<Completion>, PortError> {
    let sql = "SELECT document FROM completions WHERE job = ?1 AND task = ?2";
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    let row = found.query_row([job.as_str(), task.as_str()], |row| row.get::<_, String>(0));
    optional(row)?.map(|document| parse(&document)).transpose()
}

fn read_page(
    connection: &Connection,
    job: &JobId,
    after: &str,
    max: usize,
) -> Result<Vec<Completion>, PortError> {
    let sql = "SELECT document FROM completions WHERE job = ?1 AND task > ?2 ORDER BY task LIMIT ?3";
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let rows: Vec<String> = connection
        .prepare_cached(sql)
        .and_then(|mut found| found.query_map(params![job.as_str(), after, max], |row| row.get(0))?.collect())
        .map_err(error::sql)?;
    rows.iter().map(|document| parse(document)).collect()
}

fn record(
    connection: &mut Connection,
    completion: &Completion,
    lease: &Lease,
) -> Result<Recorded, PortError> {
    let (job, task) = (completion.job.as_str(), completion.task.as_str());
    let document = serde_json::to_string(completion).map_err(|e| odd("a completion", e))?;
    writing(connection, |transaction| {
        let existed = transaction
            .prepare_cached("SELECT 1 FROM completions WHERE job = ?1 AND task = ?2")
            .and_then(|mut found| found.exists([job, task]))
            .map_err(error::sql)?;
        if existed {
            return Ok(Recorded::Existed);
        }
        if !has_its_term(transaction, lease)? {
            return Ok(Recorded::Stale);
        }
        let count = "UPDATE jobs SET completed_tasks = completed_tasks + 1,
                     updated_at_ms = max(updated_at_ms, ?2) WHERE id = ?1";
        let counted = transaction
            .prepare_cached(count)
            .and_then(|mut update| update.execute(params![job, now_ms()]))
            .map_err(error::sql)?;
        if counted == 0 {
            return Ok(Recorded::Stale);
        }
        transaction
            .prepare_cached("INSERT INTO completions (job, task, document) VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute([job, task, &document]))
            .map_err(error::sql)?;
        Ok(Recorded::Created)
    })
}

fn count_failure(connection: &mut Connection, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
    writing(connection, |transaction| {
        if super::jobs::read_job(transaction, job)?.is_none() {
            return Err(say(PortErrorKind::NotFound, format_args!("job {job} is not in the ledger")));
        }
        let sql = "INSERT INTO failures (job, task, count) VALUES (?1, ?2, 1)
                   ON CONFLICT (job, task) DO UPDATE SET count = count + 1 RETURNING count";
        transaction.query_row(sql, [job.as_str(), task.as_str()], |row| row.get(0)).map_err(error::sql)
    })
}

fn failures(connection: &Connection, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
    let sql = "SELECT count FROM failures WHERE job = ?1 AND task = ?2";
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    Ok(optional(found.query_row([job.as_str(), task.as_str()], |row| row.get(0)))?.unwrap_or(0))
}

#[async_trait]
impl CompletionLedger for LocalLedger {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        lease.check_is_for(completion)?;
        let (completion, lease) = (completion.clone(), lease.clone());
        self.shared.db.call(move |db| record(db, &completion, &lease)).await
    }

    async fn completion(&self, job: &JobId, task: &TaskId) -> Result<Option<Completion>, PortError> {
        let (job, task) = (job.clone(), task.clone());
        self.shared.db.call(move |db| read(db, &job, &task)).await
    }

    async fn completions(
        &self,
        job: &JobId,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        let (job, after) = (job.clone(), after.map(TaskId::to_string).unwrap_or_default());
        self.shared.db.call(move |db| read_page(db, &job, &after, max)).await
    }

    async fn count_failure(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        let (job, task) = (job.clone(), task.clone());
        self.shared.db.call(move |db| count_failure(db, &job, &task)).await
    }

    async fn failures(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        let (job, task) = (job.clone(), task.clone());
        self.shared.db.call(move |db| failures(db, &job, &task)).await
    }
}
