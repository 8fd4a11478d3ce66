//! Jobs: created once, replaced if revision and epoch are unchanged since the read.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use segue_domain::{Epoch, JobId, JobRecord, Tombstone};
use segue_ports::{
    CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, NewJob, PortError, PortErrorKind,
    TombstonePage, notices,
};

use super::item::{n, s};
use super::row::{DELETED, Found, Row};
use super::transaction::Outcome;
use super::{DynamoLedger, TRIES};
use crate::error::{back_off, odd, say};

/// Index of the lease check in the transaction of a change.
const FENCE: usize = 1;

impl DynamoLedger {
    /// Puts the row of a new job where there is none, or the tombstone that was read.
    async fn create(&self, row: &Row, tombstone: Option<&Tombstone>) -> Result<Outcome, PortError> {
        let mut put = Put::builder().table_name(&self.tables.jobs).set_item(Some(row.to_item()?));
        put = match tombstone {
            None => put.condition_expression("attribute_not_exists(job_id)"),
            Some(tombstone) => put
                .condition_expression("#state = :deleted AND epoch = :epoch")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":deleted", s(DELETED))
                .expression_attribute_values(":epoch", s(tombstone.epoch.as_str())),
        };
        let put = put.build().map_err(|e| odd("a job", e))?;
        let mut items = vec![TransactWriteItem::builder().put(put).build()];
        let outputs = row.record.outputs.iter().map(|output| output.id());
        items.extend(self.create_counters(&row.record, outputs)?);
        self.transact("cannot create the job", items).await
    }

    /// Puts the row if revision and epoch are still those of `before`, and the lease has its term.
    async fn replace(
        &self,
        before: &JobRecord,
        row: &Row,
        fence: Option<&Lease>,
    ) -> Result<Outcome, PortError> {
        let put = Put::builder()
            .table_name(&self.tables.jobs)
            .set_item(Some(row.to_item()?))
            .condition_expression("revision = :revision AND epoch = :epoch")
            .expression_attribute_values(":revision", n(before.revision))
            .expression_attribute_values(":epoch", s(before.epoch.as_str()))
            .build()
            .map_err(|e| odd("a job", e))?;
        let mut items = vec![TransactWriteItem::builder().put(put).build()];
        if let Some(lease) = fence {
            items.push(self.fence(lease)?);
        }
        let after = &row.record;
        let ids = after.outputs.iter().map(|output| output.id());
        let added = ids.filter(|id| before.output(id).is_none());
        items.extend(self.create_counters(after, added)?);
        if self.records_notices {
            items.extend(self.put_notices(&notices(before, after))?);
        }
        self.transact("cannot change the job", items).await
    }
}

/// The error after repeated conflicts on one item.
pub(super) fn crowded(id: &JobId) -> PortError {
    let message = format_args!("job {id} is being written by many at once, nothing was changed");
    say(PortErrorKind::Transient, message)
}

#[async_trait]
impl JobLedger for DynamoLedger {
    /// A tombstone is read only after a creation that was refused: most ids are new.
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        let mut tombstone: Option<Tombstone> = None;
        for tried in 0..TRIES {
            let before = tombstone.as_ref().map(|tombstone| &tombstone.epoch);
            let salt = uuid::Uuid::new_v4().as_u64_pair().1;
            let now_ms = self.now_ms().await?;
            let row = Row::new(job.clone().into_record(Epoch::following(before, now_ms, salt), now_ms)?);
            match self.create(&row, tombstone.as_ref()).await? {
                Outcome::Done => return Ok(CreatedJob { created: true, job: row.record }),
                Outcome::Conflict => break,
                Outcome::Refused(_) => {}
            }
            match self.found(&job.id).await? {
                // this epoch: an earlier response was lost, and the service forgot the client token since
                Some(Found::Job(found)) => {
                    let created = found.record.epoch == row.record.epoch;
                    return Ok(CreatedJob { created, job: found.record });
                }
                Some(Found::Tombstone(found)) => tombstone = Some(found),
                None => tombstone = None,
            }
            if tried > 0 {
                back_off(tried).await;
            }
        }
        Err(crowded(&job.id))
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        Ok(self.row(id).await?.map(|row| row.record))
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        self.list_by_state(&filter, from, max).await
    }

    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        self.list_open(updated_before_ms, from, max).await
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        for tried in 0..TRIES {
            let Some(row) = self.row(id).await? else { return Ok(None) };
            let completed = match change.counted_output() {
                Some(output) => self.counted(&row.record.output_ref(output)).await?,
                None => 0,
            };
            let Some(after) = change.applied_to(&row.record, completed, self.now_ms().await?) else {
                return Ok(None);
            };
            let after = row.followed_by(after);
            match self.replace(&row.record, &after, fence).await? {
                Outcome::Done => {
                    if matches!(change, JobChange::Delete { .. }) {
                        self.end_leases(id).await?;
                    }
                    return Ok(Some(after.record));
                }
                Outcome::Refused(failed) if fence.is_some() && failed.get(FENCE) == Some(&true) => {
                    return Ok(None);
                }
                Outcome::Refused(_) => back_off(tried).await,
                Outcome::Conflict => break,
            }
        }
        Err(crowded(id))
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        self.delete(read).await
    }

    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError> {
        self.list_tombstones(from, max).await
    }

    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError> {
        self.bury(read).await
    }
}
