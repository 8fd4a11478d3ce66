//! Deletion: ends the leases, then deletes the items of the job, and replaces its row by a tombstone last.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};
use segue_domain::{JobId, JobRecord, JobState, Tombstone};
use segue_ports::{PortError, PortErrorKind, is_tombstone_old};

use super::counters::COUNTERS;
use super::item::{Item, must, number, s, text};
use super::row::{DELETED, tombstone_item};
use super::{DynamoLedger, TRIES, job_key, part_hash};
use crate::error::{self, back_off, odd, say};

/// Maximum number of items in a batch of DynamoDB.
const BATCH: usize = 25;

impl DynamoLedger {
    pub(super) async fn delete(&self, read: &JobRecord) -> Result<bool, PortError> {
        let id = &read.id;
        match self.row(id).await? {
            None => return Ok(true),
            Some(row) if row.record.epoch != read.epoch || !row.record.deleting => return Ok(false),
            Some(_) => {}
        }
        // those acquired since the deletion started. If a later job with this id exists by
        // now, its workers lose their leases, without further effect
        self.end_leases(id).await?;
        // without a counter nothing is recorded: the items found after this are complete
        self.delete_items(part_hash(id, &read.epoch), COUNTERS).await?;
        self.delete_items(part_hash(id, &read.epoch), "").await?;
        let tombstone = Tombstone::new(id.clone(), read.epoch.clone(), self.now_ms().await?);
        let buried = self
            .client
            .put_item()
            .table_name(&self.tables.jobs)
            .set_item(Some(tombstone_item(&tombstone)))
            .condition_expression("epoch = :epoch AND #state = :deleting")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":epoch", s(read.epoch.as_str()))
            .expression_attribute_values(":deleting", s(JobState::Deleting.as_str()))
            .send()
            .await;
        match buried {
            Ok(_) => Ok(true),
            // another process deleted it, and it may have been created again
            Err(e)
                if matches!(e.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) =>
            {
                Ok(self.row(id).await?.is_none())
            }
            Err(e) => Err(error::sdk(format_args!("cannot delete job {id}"), e)),
        }
    }

    /// Removes a tombstone that is old enough.
    pub(super) async fn bury(&self, read: &Tombstone) -> Result<bool, PortError> {
        if !is_tombstone_old(read, self.now_ms().await?) {
            return Ok(false);
        }
        let removed = self
            .client
            .delete_item()
            .table_name(&self.tables.jobs)
            .set_key(Some(job_key(&read.job)))
            .condition_expression("attribute_not_exists(job_id) OR (epoch = :epoch AND #state = :deleted)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":epoch", s(read.epoch.as_str()))
            .expression_attribute_values(":deleted", s(DELETED))
            .send()
            .await;
        match removed {
            Ok(_) => Ok(true),
            Err(e)
                if matches!(
                    e.as_service_error(),
                    Some(DeleteItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                Ok(false)
            }
            Err(e) => Err(error::sdk(format_args!("cannot remove the tombstone of job {}", read.job), e)),
        }
    }

    /// Ends every lease of the job; their terms are kept.
    pub(super) async fn end_leases(&self, id: &JobId) -> Result<(), PortError> {
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.tables.leases)
                .consistent_read(true)
                .key_condition_expression("job = :job")
                .filter_expression("attribute_exists(holder)")
                .expression_attribute_values(":job", s(id.as_str()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|e| error::sdk(format_args!("cannot read the leases of job {id}"), e))?;
            for item in page.items() {
                self.end_lease(id, item).await?;
            }
            match page.last_evaluated_key {
                Some(key) => start = Some(key),
                None => return Ok(()),
            }
        }
    }

    async fn end_lease(&self, id: &JobId, item: &Item) -> Result<(), PortError> {
        let name = must(text(item, "lease")?, "lease")?;
        let term: u64 = must(number(item, "term")?, "term")?;
        let ended = self
            .client
            .update_item()
            .table_name(&self.tables.leases)
            .key("job", s(id.as_str()))
            .key("lease", s(&name))
            .update_expression("REMOVE holder, attempt")
            .condition_expression("term >= :term")
            .expression_attribute_values(":term", super::n(term))
            .send()
            .await;
        ended.map(drop).map_err(|e| error::sdk(format_args!("cannot end lease {name}"), e))
    }

    /// Deletes the items of one epoch of a job whose keys have this prefix; empty for all.
    async fn delete_items(&self, job: AttributeValue, prefix: &str) -> Result<(), PortError> {
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.tables.completions)
                .consistent_read(true)
                .key_condition_expression("job = :job AND #item BETWEEN :low AND :high")
                .expression_attribute_values(":job", job.clone())
                .expression_attribute_values(":low", s(if prefix.is_empty() { " " } else { prefix }))
                .expression_attribute_values(":high", s(format!("{prefix}~")))
                .projection_expression("job, #item")
                .expression_attribute_names("#item", "item")
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|e| error::sdk("cannot read the items of a deleted job", e))?;
            for keys in page.items().chunks(BATCH) {
                self.delete_batch(keys).await?;
            }
            match page.last_evaluated_key {
                Some(key) => start = Some(key),
                None => return Ok(()),
            }
        }
    }

    async fn delete_batch(&self, keys: &[Item]) -> Result<(), PortError> {
        let mut left = Vec::new();
        for key in keys {
            let request = DeleteRequest::builder().set_key(Some(key.clone())).build();
            let request = request.map_err(|e| odd("a key", e))?;
            left.push(WriteRequest::builder().delete_request(request).build());
        }
        for tried in 0..TRIES {
            let items = HashMap::from([(self.tables.completions.clone(), left)]);
            let written = self.client.batch_write_item().set_request_items(Some(items)).send().await;
            let written = written.map_err(|e| error::sdk("cannot remove the items of a deleted job", e))?;
            let mut unwritten = written.unprocessed_items.unwrap_or_default();
            left = unwritten.remove(&self.tables.completions).unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            back_off(tried).await;
        }
        Err(say(PortErrorKind::Transient, "the completions table is busy, try again"))
    }
}
