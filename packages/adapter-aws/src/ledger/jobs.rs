//! Jobs: created once, changed by version.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use segue_domain::{JobId, JobRecord, JobState};
use segue_ports::{
    CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, NewJob, PortError, PortErrorKind,
};

use super::item::n;
use super::row::Row;
use super::transaction::Outcome;
use super::{DynamoLedger, TRIES};
use crate::error::{self, back_off, odd, say};

fn created(new: NewJob, now_ms: i64) -> JobRecord {
    JobRecord {
        id: new.id,
        epoch: uuid::Uuid::new_v4().simple().to_string().parse().expect("hex is a plain id"),
        state: JobState::Created,
        source_key: new.source_key,
        recipe: new.recipe,
        plan: None,
        completed_tasks: 0,
        manifest_key: None,
        failure: None,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    }
}

impl DynamoLedger {
    /// Puts the row where its version is still `version`, if the lease has its term.
    async fn replace(&self, row: &Row, version: u64, fence: Option<&Lease>) -> Result<Outcome, PortError> {
        let put = Put::builder()
            .table_name(&self.tables.jobs)
            .set_item(Some(row.to_item(self.keep_ended)?))
            .condition_expression("version = :version AND epoch = :epoch")
            .expression_attribute_values(":version", n(version))
            .expression_attribute_values(":epoch", super::s(row.record.epoch.as_str()))
            .build()
            .map_err(|e| odd("a job", e))?;
        let mut items = vec![TransactWriteItem::builder().put(put).build()];
        if let Some(lease) = fence {
            items.push(self.fence(lease)?);
        }
        self.transact("cannot change the job", items).await
    }
}

/// Many others write the same row all the time.
pub(super) fn crowded(id: &JobId) -> PortError {
    let message = format_args!("job {id} is being written by many at once, nothing was changed");
    say(PortErrorKind::Transient, message)
}

#[async_trait]
impl JobLedger for DynamoLedger {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        let row = Row::new(created(job, self.now_ms().await?));
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.jobs)
            .set_item(Some(row.to_item(self.keep_ended)?))
            .condition_expression("attribute_not_exists(job_id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let id = &row.record.id;
        let Err(trouble) = put.send().await else {
            return Ok(CreatedJob { created: true, job: row.record });
        };
        let Some(PutItemError::ConditionalCheckFailedException(refused)) = trouble.as_service_error() else {
            return Err(error::sdk(format_args!("cannot create job {id}"), trouble));
        };
        let stands = match refused.item() {
            Some(item) => Some(Row::of_item(item)?),
            None => self.row(id).await?,
        };
        match stands {
            // an epoch of ours: the first answer was lost and the SDK has asked again
            Some(stands) => {
                Ok(CreatedJob { created: stands.record.epoch == row.record.epoch, job: stands.record })
            }
            None => Err(crowded(id)),
        }
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        Ok(self.row(id).await?.map(|row| row.record))
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        self.list(filter, from, max).await
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        for tried in 0..TRIES {
            let Some(row) = self.row(id).await? else { return Ok(None) };
            let Some(after) = change.applied_to(&row.record, self.now_ms().await?) else {
                return Ok(None);
            };
            let mut after = row.followed_by(after);
            if change == JobChange::Retry {
                after.retries += 1;
            }
            match self.replace(&after, row.version, fence).await? {
                Outcome::Done => return Ok(Some(after.record)),
                Outcome::Refused(failed) if failed.get(1) == Some(&true) => return Ok(None),
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
