//! Jobs: a row, read and written inside one transaction.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use segue_domain::{JobId, JobRecord, JobState};
use segue_ports::{CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, NewJob, PortError};
use serde_json::{from_str, to_string};

use super::{LocalLedger, has_its_term, optional};
use crate::backend::now_ms;
use crate::db::writing;
use crate::error::{self, odd};

const COLUMNS: &str = "id, epoch, state, source_key, recipe, plan, completed_tasks, manifest_key, failure, \
                       created_at_ms, updated_at_ms";

/// A row before its texts are read.
struct RawJob {
    id: String,
    epoch: String,
    state: String,
    plan: Option<String>,
    failure: Option<String>,
    completed_tasks: i64,
    source_key: String,
    recipe: String,
    manifest_key: Option<String>,
    created_at_ms: i64,
    updated_at_ms: i64,
}

impl RawJob {
    fn read(row: &Row<'_>) -> rusqlite::Result<RawJob> {
        Ok(RawJob {
            id: row.get(0)?,
            epoch: row.get(1)?,
            state: row.get(2)?,
            source_key: row.get(3)?,
            recipe: row.get(4)?,
            plan: row.get(5)?,
            completed_tasks: row.get(6)?,
            manifest_key: row.get(7)?,
            failure: row.get(8)?,
            created_at_ms: row.get(9)?,
            updated_at_ms: row.get(10)?,
        })
    }

    fn parse(self) -> Result<JobRecord, PortError> {
        let state = JobState::parse(&self.state)
            .ok_or_else(|| odd("a job state", format_args!("{:?} is none", self.state)))?;
        let plan = self.plan.map(|text| from_str(&text)).transpose().map_err(|e| odd("a plan", e))?;
        let failure =
            self.failure.map(|text| from_str(&text)).transpose().map_err(|e| odd("a failure", e))?;
        Ok(JobRecord {
            id: self.id.parse().map_err(|e| odd("a job id", e))?,
            epoch: self.epoch.parse().map_err(|e| odd("an epoch", e))?,
            state,
            source_key: self.source_key,
            recipe: self.recipe,
            plan,
            completed_tasks: u64::try_from(self.completed_tasks).map_err(|e| odd("a count", e))?,
            manifest_key: self.manifest_key,
            failure,
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
        })
    }
}

pub(super) fn read_job(connection: &Connection, id: &JobId) -> Result<Option<JobRecord>, PortError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
    let mut found = connection.prepare_cached(&sql).map_err(error::sql)?;
    optional(found.query_row([id.as_str()], RawJob::read))?.map(RawJob::parse).transpose()
}

fn read_page(
    connection: &Connection,
    filter: &JobFilter,
    from: &str,
    max: usize,
) -> Result<JobPage, PortError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE id > ?1 AND (?2 IS NULL OR state = ?2)
         AND (?3 IS NULL OR updated_at_ms < ?3) ORDER BY id LIMIT ?4"
    );
    let state = filter.state.map(JobState::as_str);
    let limit = i64::try_from(max).unwrap_or(i64::MAX).saturating_add(1);
    let rows: Vec<RawJob> = connection
        .prepare_cached(&sql)
        .and_then(|mut found| {
            found.query_map(params![from, state, filter.updated_before_ms, limit], RawJob::read)?.collect()
        })
        .map_err(error::sql)?;
    let more = rows.len() > max;
    let jobs: Vec<JobRecord> =
        rows.into_iter().take(max).map(RawJob::parse).collect::<Result<_, PortError>>()?;
    let next = jobs.last().filter(|_| more).map(|job| job.id.to_string());
    Ok(JobPage { jobs, next })
}

fn write_change(connection: &Connection, job: &JobRecord) -> Result<(), PortError> {
    let text = |e| odd("a job", e);
    let plan = job.plan.as_ref().map(to_string).transpose().map_err(text)?;
    let failure = job.failure.as_ref().map(to_string).transpose().map_err(text)?;
    let sql = "UPDATE jobs SET state = ?2, plan = ?3, manifest_key = ?4, failure = ?5, updated_at_ms = ?6
               WHERE id = ?1";
    let values =
        params![job.id.as_str(), job.state.as_str(), plan, job.manifest_key, failure, job.updated_at_ms];
    connection.prepare_cached(sql).and_then(|mut update| update.execute(values)).map_err(error::sql)?;
    Ok(())
}

fn create(connection: &Connection, job: &NewJob) -> Result<CreatedJob, PortError> {
    let sql = "INSERT INTO jobs (id, epoch, state, source_key, recipe, created_at_ms, updated_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (id) DO NOTHING";
    let (state, epoch) = (JobState::Created.as_str(), uuid::Uuid::new_v4().simple().to_string());
    let rows = connection
        .execute(sql, params![job.id.as_str(), epoch, state, job.source_key, job.recipe, now_ms()])
        .map_err(error::sql)?;
    let stands = read_job(connection, &job.id)?.ok_or_else(|| odd("a job", "it is not there"))?;
    Ok(CreatedJob { created: rows == 1, job: stands })
}

fn change_job(
    connection: &mut Connection,
    id: &JobId,
    change: &JobChange,
    fence: Option<&Lease>,
) -> Result<Option<JobRecord>, PortError> {
    writing(connection, |transaction| {
        if let Some(lease) = fence
            && !has_its_term(transaction, lease)?
        {
            return Ok(None);
        }
        let job = read_job(transaction, id)?;
        let Some(after) = job.and_then(|job| change.applied_to(&job, now_ms())) else { return Ok(None) };
        write_change(transaction, &after)?;
        if *change == JobChange::Retry {
            transaction.execute("DELETE FROM failures WHERE job = ?1", [id.as_str()]).map_err(error::sql)?;
        }
        Ok(Some(after))
    })
}

fn delete(connection: &mut Connection, read: &JobRecord) -> Result<bool, PortError> {
    writing(connection, |transaction| {
        let Some(stands) = read_job(transaction, &read.id)? else { return Ok(true) };
        if (&stands.epoch, stands.state) != (&read.epoch, read.state) {
            return Ok(false);
        }
        let job = read.id.as_str();
        transaction.execute("DELETE FROM jobs WHERE id = ?1", [job]).map_err(error::sql)?;
        // '0' comes right after '/': everything below task/JOB/. The rows stay for their terms
        let sql = "UPDATE leases SET holder = NULL, owner = NULL
                   WHERE name IN ('chunk/' || ?1, 'reassemble/' || ?1)
                   OR (name > 'task/' || ?1 || '/' AND name < 'task/' || ?1 || '0')";
        transaction.execute(sql, [job]).map_err(error::sql)?;
        Ok(true)
    })
}

#[async_trait]
impl JobLedger for LocalLedger {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        self.shared.db.call(move |db| writing(db, |transaction| create(transaction, &job))).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        let id = id.clone();
        self.shared.db.call(move |db| read_job(db, &id)).await
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        let from = from.unwrap_or_default().to_owned();
        self.shared.db.call(move |db| read_page(db, &filter, &from, max)).await
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        let (id, fence) = (id.clone(), fence.cloned());
        self.shared.db.call(move |db| change_job(db, &id, &change, fence.as_ref())).await
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        let read = read.clone();
        self.shared.db.call(move |db| delete(db, &read)).await
    }
}
