//! Completions: put, counted and fenced in one transaction.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use segue_domain::{Completion, JobId, TaskId};
use segue_ports::{CompletionLedger, Lease, PortError, PortErrorKind, Recorded};

use super::item::{Item, check_size, must, n, s, text};
use super::jobs::crowded;
use super::row::Row;
use super::transaction::Outcome;
use super::{DynamoLedger, TRIES, done_item, job_key, part_hash, part_key};
use crate::error::{self, back_off, odd, say};

/// Items that nobody removes are removed after this: longer than any job lives.
const KEEP_ITEMS: Duration = Duration::from_secs(400 * 24 * 3600);

fn expires_at_s(now_ms: i64) -> i64 {
    now_ms / 1000 + KEEP_ITEMS.as_secs() as i64
}

fn parse(item: &Item) -> Result<Completion, PortError> {
    let document = must(text(item, "document")?, "document")?;
    serde_json::from_str(&document).map_err(|e| odd("a completion", e))
}

/// The failures that an item counts, in order.
fn attempts(item: &Item) -> &[AttributeValue] {
    item.get("attempts").and_then(|list| list.as_l().ok()).map_or(&[], Vec::as_slice)
}

/// The item that counts the failures of a task since its job was last driven on.
fn failures_key(row: &Row, task: &TaskId) -> Item {
    part_key(&row.record.id, &row.record.epoch, format!("fail#{}#{task}", row.retries))
}

/// Which failure of its task an attempt is, from 1. The list keeps their order, so that each
/// has a number of its own, also when it is asked for again later.
fn number_of(item: &Item, attempt: &str) -> Result<u32, PortError> {
    let is_it = |one: &AttributeValue| one.as_s().is_ok_and(|one| one == attempt);
    let place = attempts(item).iter().position(is_it);
    let place = place.ok_or_else(|| odd("a count of failures", "it does not have the last one"))?;
    u32::try_from(place + 1).map_err(|e| odd("a count of failures", e))
}

impl DynamoLedger {
    fn put_completion(
        &self,
        row: &Row,
        task: &TaskId,
        document: &str,
    ) -> Result<TransactWriteItem, PortError> {
        let mut item = part_key(&row.record.id, &row.record.epoch, done_item(task));
        item.insert("document".to_owned(), s(document));
        item.insert("expires_at_s".to_owned(), n(expires_at_s(self.clock.now_ms())));
        let put = Put::builder()
            .table_name(&self.tables.completions)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(job)")
            .build();
        Ok(TransactWriteItem::builder().put(put.map_err(|e| odd("a completion", e))?).build())
    }

    fn count_completion(&self, row: &Row, now_ms: i64) -> Result<TransactWriteItem, PortError> {
        let update = Update::builder()
            .table_name(&self.tables.jobs)
            .set_key(Some(job_key(&row.record.id)))
            .update_expression("SET updated_at_ms = :now ADD completed_tasks :one, version :one")
            // time does not go back: another's clock may be ahead, then the row is read again
            .condition_expression("epoch = :epoch AND updated_at_ms <= :now")
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":epoch", s(row.record.epoch.as_str()))
            .build();
        Ok(TransactWriteItem::builder().update(update.map_err(|e| odd("a job", e))?).build())
    }

    async fn completion_of(&self, row: &Row, task: &TaskId) -> Result<Option<Completion>, PortError> {
        let key = part_key(&row.record.id, &row.record.epoch, done_item(task));
        self.get(&self.tables.completions, key).await?.as_ref().map(parse).transpose()
    }
}

#[async_trait]
impl CompletionLedger for DynamoLedger {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        lease.check_is_for(completion)?;
        let document = serde_json::to_string(completion).map_err(|e| odd("a completion", e))?;
        check_size(&format!("the completion of task {}", completion.task), document.len())?;
        for tried in 0..TRIES {
            // no job, no completion
            let Some(row) = self.row(&completion.job).await? else { return Ok(Recorded::Stale) };
            let now_ms = self.now_ms().await?.max(row.record.updated_at_ms);
            let items = vec![
                self.put_completion(&row, &completion.task, &document)?,
                self.count_completion(&row, now_ms)?,
                self.fence(lease)?,
            ];
            match self.transact("cannot record a completion", items).await? {
                Outcome::Done => return Ok(Recorded::Created),
                Outcome::Refused(failed) if failed.first() == Some(&true) => return Ok(Recorded::Existed),
                Outcome::Refused(failed) if failed.get(2) == Some(&true) => {
                    // it need not have looked at every condition
                    let done = self.completion_of(&row, &completion.task).await?;
                    return Ok(if done.is_some() { Recorded::Existed } else { Recorded::Stale });
                }
                Outcome::Refused(_) => back_off(tried).await,
                Outcome::Conflict => break,
            }
        }
        Err(crowded(&completion.job))
    }

    async fn completion(&self, job: &JobId, task: &TaskId) -> Result<Option<Completion>, PortError> {
        let Some(row) = self.row(job).await? else { return Ok(None) };
        self.completion_of(&row, task).await
    }

    async fn completions(
        &self,
        job: &JobId,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        let Some(row) = self.row(job).await? else { return Ok(Vec::new()) };
        // ' ' comes before, and '~' after, whatever an id is made of
        let low = after.map_or_else(|| "done#".to_owned(), |task| format!("{} ", done_item(task)));
        let mut found = Vec::new();
        let mut start: Option<Item> = None;
        while found.len() < max {
            let limit = i32::try_from(max - found.len()).unwrap_or(i32::MAX);
            let page = self
                .client
                .query()
                .table_name(&self.tables.completions)
                .consistent_read(true)
                .key_condition_expression("job = :job AND #item BETWEEN :low AND :high")
                .expression_attribute_names("#item", "item")
                .expression_attribute_values(":job", part_hash(job, &row.record.epoch))
                .expression_attribute_values(":low", s(&low))
                .expression_attribute_values(":high", s("done#~"))
                .limit(limit)
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|e| error::sdk(format_args!("cannot read the completions of job {job}"), e))?;
            for item in page.items() {
                found.push(parse(item)?);
            }
            // a page ends at 1 MB too, not only at the limit
            match page.last_evaluated_key {
                Some(key) => start = Some(key),
                None => break,
            }
        }
        Ok(found)
    }

    async fn count_failure(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        let Some(row) = self.row(job).await? else {
            return Err(say(PortErrorKind::NotFound, format_args!("job {job} is not in the ledger")));
        };
        // enough to tell the failures of one task apart
        let attempt = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let key = failures_key(&row, task);
        let counted = self
            .client
            .update_item()
            .table_name(&self.tables.completions)
            .set_key(Some(key.clone()))
            .update_expression(
                "SET attempts = list_append(if_not_exists(attempts, :none), :one), expires_at_s = :end",
            )
            // a repeat by the SDK, whose first answer was lost, does not count again
            .condition_expression("attribute_not_exists(attempts) OR NOT contains(attempts, :attempt)")
            .expression_attribute_values(":attempt", s(&attempt))
            .expression_attribute_values(":one", AttributeValue::L(vec![s(&attempt)]))
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
            .expression_attribute_values(":end", n(expires_at_s(self.now_ms().await?)))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let stands = match counted {
            Ok(counted) => counted.attributes.unwrap_or_default(),
            Err(trouble) => match trouble.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => match refused.item() {
                    Some(item) => item.clone(),
                    None => self.get(&self.tables.completions, key).await?.unwrap_or_default(),
                },
                _ => return Err(error::sdk(format_args!("cannot count a failure of task {task}"), trouble)),
            },
        };
        number_of(&stands, &attempt)
    }

    async fn failures(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        let Some(row) = self.row(job).await? else { return Ok(0) };
        let item = self.get(&self.tables.completions, failures_key(&row, task)).await?;
        u32::try_from(item.as_ref().map_or(0, |item| attempts(item).len()))
            .map_err(|e| odd("a count of failures", e))
    }
}
