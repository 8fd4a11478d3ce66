//! Jobs: one document in one row, read and replaced inside one transaction.

use async_trait::async_trait;
use rusqlite::{Connection, Row, Transaction, params};
use segue_domain::{Epoch, JobId, JobRecord, JobState, Tombstone};
use segue_ports::{
    CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, NewJob, OutputChange, PortError,
    PortErrorKind, TombstonePage, notices,
};

use super::{LocalLedger, completions, has_its_term, optional, outbox, tombstones};
use crate::backend::now_ms;
use crate::db::writing;
use crate::error;

fn decode(document: &str) -> Result<JobRecord, PortError> {
    JobRecord::decode(document).map_err(|e| error::document("a job", e))
}

pub(super) fn read_job(connection: &Connection, id: &JobId) -> Result<Option<JobRecord>, PortError> {
    let sql = "SELECT document FROM jobs WHERE id = ?1";
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    let document = optional(found.query_row([id.as_str()], |row| row.get::<_, String>(0)))?;
    document.as_deref().map(decode).transpose()
}

/// A page from rows of `id, document`, one more than its maximum. Documents of a newer build and
/// damaged ones are left out, so that it may have fewer jobs and still a next page.
fn page(rows: &[(String, String)], max: usize) -> JobPage {
    let shown = &rows[..rows.len().min(max)];
    let next = shown.last().filter(|_| rows.len() > max).map(|(id, _)| id.clone());
    let mut jobs = Vec::with_capacity(shown.len());
    for (id, document) in shown {
        match decode(document) {
            Err(error) if error.kind == PortErrorKind::Newer => {
                tracing::debug!(job = id, %error, "left out of a listing");
            }
            // one document that cannot be decoded does not hide the others
            Err(error) => tracing::error!(job = id, %error, "left out of a listing"),
            Ok(job) => jobs.push(job),
        }
    }
    JobPage { jobs, next }
}

/// The maximum number of rows of a page, plus the one behind it.
pub(super) fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX).saturating_add(1)
}

fn id_and_document(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn read_page(
    connection: &Connection,
    filter: &JobFilter,
    from: &str,
    max: usize,
) -> Result<JobPage, PortError> {
    let sql = "SELECT id, document FROM jobs WHERE id > ?1 AND (?2 IS NULL OR state = ?2)
               AND (?3 IS NULL OR updated_at_ms < ?3) ORDER BY id LIMIT ?4";
    let values = params![from, filter.state.map(JobState::as_str), filter.updated_before_ms, limit(max)];
    let rows: Vec<_> = connection
        .prepare_cached(sql)
        .and_then(|mut found| found.query_map(values, id_and_document)?.collect())
        .map_err(error::sql)?;
    Ok(page(&rows, max))
}

fn read_open_page(
    connection: &Connection,
    updated_before_ms: i64,
    from: &str,
    max: usize,
) -> Result<JobPage, PortError> {
    let sql = "SELECT id, document FROM jobs WHERE open = 1 AND id > ?1 AND updated_at_ms < ?2
               ORDER BY id LIMIT ?3";
    let rows: Vec<_> = connection
        .prepare_cached(sql)
        .and_then(|mut found| {
            found.query_map(params![from, updated_before_ms, limit(max)], id_and_document)?.collect()
        })
        .map_err(error::sql)?;
    Ok(page(&rows, max))
}

fn create(transaction: &Transaction<'_>, new: NewJob) -> Result<CreatedJob, PortError> {
    if let Some(job) = read_job(transaction, &new.id)? {
        return Ok(CreatedJob { created: false, job });
    }
    let tombstone = tombstones::take(transaction, &new.id)?;
    let salt = uuid::Uuid::new_v4().as_u64_pair().1;
    let epoch = Epoch::following(tombstone.map(|tombstone| tombstone.epoch).as_ref(), now_ms(), salt);
    let job = new.into_record(epoch, now_ms())?;
    let sql = "INSERT INTO jobs (id, epoch, state, open, updated_at_ms, document)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![
        job.id.as_str(),
        job.epoch.as_str(),
        job.state().as_str(),
        job.is_open_job(),
        job.updated_at_ms,
        job.encode()
    ];
    transaction.prepare_cached(sql).and_then(|mut insert| insert.execute(values)).map_err(error::sql)?;
    completions::add_counters(transaction, &job)?;
    Ok(CreatedJob { created: true, job })
}

fn replace(transaction: &Transaction<'_>, job: &JobRecord) -> Result<(), PortError> {
    let sql = "UPDATE jobs SET state = ?2, open = ?3, updated_at_ms = ?4, document = ?5 WHERE id = ?1";
    let values =
        params![job.id.as_str(), job.state().as_str(), job.is_open_job(), job.updated_at_ms, job.encode()];
    transaction.prepare_cached(sql).and_then(|mut update| update.execute(values)).map_err(error::sql)?;
    Ok(())
}

/// Ends the leases of the job; their rows are kept for the terms.
fn end_leases(transaction: &Transaction<'_>, id: &JobId) -> Result<(), PortError> {
    // '0' follows '/': the range is everything below PREFIX/JOB/
    let sql = "UPDATE leases SET holder = NULL, owner = NULL WHERE name = 'plan/' || ?1
               OR (name > 'task/' || ?1 || '/' AND name < 'task/' || ?1 || '0')
               OR (name > 'assemble/' || ?1 || '/' AND name < 'assemble/' || ?1 || '0')";
    transaction.execute(sql, [id.as_str()]).map_err(error::sql)?;
    Ok(())
}

fn change_job(
    connection: &mut Connection,
    id: &JobId,
    change: &JobChange,
    fence: Option<&Lease>,
    records_notices: bool,
) -> Result<Option<JobRecord>, PortError> {
    writing(connection, |transaction| {
        if let Some(lease) = fence
            && !has_its_term(transaction, lease)?
        {
            return Ok(None);
        }
        let Some(job) = read_job(transaction, id)? else { return Ok(None) };
        let completed = match change.counted_output() {
            Some(output) => completions::completed(transaction, &job.output_ref(output))?,
            None => 0,
        };
        let Some(after) = change.applied_to(&job, completed, now_ms()) else { return Ok(None) };
        replace(transaction, &after)?;
        if records_notices {
            notices(&job, &after).iter().try_for_each(|notice| outbox::add(transaction, notice))?;
        }
        match change {
            JobChange::Output { output, change: OutputChange::Retry } => {
                completions::reset_failures(transaction, &after.output_ref(output))?;
            }
            JobChange::Add { .. } => completions::add_counters(transaction, &after)?,
            JobChange::Delete { .. } => end_leases(transaction, id)?,
            JobChange::Output { .. }
            | JobChange::Seal(_)
            | JobChange::Cancel
            | JobChange::Confirm
            | JobChange::Expire => {}
        }
        Ok(Some(after))
    })
}

fn delete(connection: &mut Connection, read: &JobRecord) -> Result<bool, PortError> {
    writing(connection, |transaction| {
        let Some(current) = read_job(transaction, &read.id)? else { return Ok(true) };
        if current.epoch != read.epoch || !current.deleting {
            return Ok(false);
        }
        // counters, completions and failures are deleted by cascade
        let sql = "DELETE FROM jobs WHERE id = ?1";
        transaction.execute(sql, [read.id.as_str()]).map_err(error::sql)?;
        tombstones::put(transaction, &Tombstone::new(current.id, current.epoch, now_ms()))?;
        end_leases(transaction, &read.id)?;
        Ok(true)
    })
}

#[async_trait]
impl JobLedger for LocalLedger {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        self.shared.db.call(move |db| writing(db, |transaction| create(transaction, job))).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        let id = id.clone();
        self.shared.db.call(move |db| read_job(db, &id)).await
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        let from = from.unwrap_or_default().to_owned();
        self.shared.db.call(move |db| read_page(db, &filter, &from, max)).await
    }

    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        let from = from.unwrap_or_default().to_owned();
        self.shared.db.call(move |db| read_open_page(db, updated_before_ms, &from, max)).await
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        let (id, fence) = (id.clone(), fence.cloned());
        let records_notices = self.records_notices;
        self.shared.db.call(move |db| change_job(db, &id, &change, fence.as_ref(), records_notices)).await
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        let read = read.clone();
        self.shared.db.call(move |db| delete(db, &read)).await
    }

    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError> {
        let from = from.unwrap_or_default().to_owned();
        self.shared.db.call(move |db| tombstones::page(db, &from, max)).await
    }

    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError> {
        let read = read.clone();
        self.shared.db.call(move |db| tombstones::remove(db, &read)).await
    }
}
