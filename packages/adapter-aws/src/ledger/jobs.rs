//! Jobs: created once, replaced if revision and epoch are unchanged since the read.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use segue_domain::{JobId, JobRecord, OutboxEntry};
use segue_ports::{
    CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, NewJob, PortError, PortErrorKind,
};

use super::item::{n, s};
use super::row::Row;
use super::transaction::Outcome;
use super::{DynamoLedger, TRIES};
use crate::error::{back_off, odd, say};

/// Index of the lease check in the transaction of a change.
const FENCE: usize = 1;

/// The notices that become durable with a change.
fn notices(change: &JobChange) -> &[OutboxEntry] {
    match change {
        JobChange::Output { outbox, .. } => outbox,
        _ => &[],
    }
}

impl DynamoLedger {
    async fn create(&self, row: &Row) -> Result<Outcome, PortError> {
        let put = Put::builder()
            .table_name(&self.tables.jobs)
            .set_item(Some(row.to_item()?))
            .condition_expression("attribute_not_exists(job_id)")
            .build()
            .map_err(|e| odd("a job", e))?;
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
        change: &JobChange,
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
        items.extend(self.put_notices(notices(change))?);
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
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        let epoch = uuid::Uuid::new_v4().simple().to_string().parse().expect("hex is a plain id");
        let row = Row::new(job.into_record(epoch, self.now_ms().await?)?);
        match self.create(&row).await? {
            Outcome::Done => Ok(CreatedJob { created: true, job: row.record }),
            Outcome::Refused(_) => match self.row(&row.record.id).await? {
                // this epoch: an earlier response was lost, and the service forgot the client token since
                Some(found) => {
                    Ok(CreatedJob { created: found.record.epoch == row.record.epoch, job: found.record })
                }
                None => Err(crowded(&row.record.id)),
            },
            Outcome::Conflict => Err(crowded(&row.record.id)),
        }
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
            match self.replace(&row.record, &after, &change, fence).await? {
                Outcome::Done => {
                    if change == JobChange::Delete {
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
}
