//! Deletion: the leases end, the row goes, and with it what only its epoch names.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};
use segue_domain::{JobId, JobRecord};
use segue_ports::{PortError, PortErrorKind};

use super::item::{Item, must, number, s, text};
use super::{DynamoLedger, TRIES, job_key, part_hash};
use crate::error::{self, back_off, odd, say};

/// Items that DynamoDB removes in one batch.
const BATCH: usize = 25;

impl DynamoLedger {
    pub(super) async fn delete(&self, read: &JobRecord) -> Result<bool, PortError> {
        let id = &read.id;
        match self.row(id).await? {
            None => return Ok(true),
            Some(row) if (&row.record.epoch, row.record.state) != (&read.epoch, read.state) => {
                return Ok(false);
            }
            Some(_) => {}
        }
        // before the row: who held a lease of this job must not hold one of the next. Should the
        // next be there by now, its holders lose time, and nothing else
        self.end_leases(id).await?;
        let gone = self
            .client
            .delete_item()
            .table_name(&self.tables.jobs)
            .set_key(Some(job_key(id)))
            .condition_expression("attribute_not_exists(job_id) OR (epoch = :epoch AND #state = :state)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":epoch", s(read.epoch.as_str()))
            .expression_attribute_values(":state", s(read.state.as_str()))
            .send()
            .await;
        if let Err(e) = gone {
            // driven on meanwhile, or somebody else deleted it and it was created again
            let moved =
                matches!(e.as_service_error(), Some(DeleteItemError::ConditionalCheckFailedException(_)));
            return if moved {
                Ok(false)
            } else {
                Err(error::sdk(format_args!("cannot delete job {id}"), e))
            };
        }
        // nobody sees these any more; what a crash leaves here expires
        self.delete_items(part_hash(id, &read.epoch)).await?;
        Ok(true)
    }

    async fn end_leases(&self, id: &JobId) -> Result<(), PortError> {
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

    async fn delete_items(&self, job: AttributeValue) -> Result<(), PortError> {
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.tables.completions)
                .key_condition_expression("job = :job")
                .expression_attribute_values(":job", job.clone())
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
