//! Completions: put, counted and fenced in one transaction; counts of failures.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use segue_domain::{Completion, OutputRef, TaskId};
use segue_ports::{CompletionLedger, Lease, PortError, PortErrorKind, Recorded};

use super::item::{Item, check_size, must, s, text};
use super::jobs::crowded;
use super::transaction::Outcome;
use super::{DynamoLedger, part_hash, part_key};
use crate::error::{self, odd, say};

fn parse(item: &Item) -> Result<Completion, PortError> {
    let name = must(text(item, "item")?, "item")?;
    let document = must(text(item, "document")?, "document")?;
    Completion::decode(&document).map_err(|e| PortError::document(format_args!("completion {name}"), e))
}

/// Key prefix of the completions of an output.
fn done_prefix(output: &OutputRef) -> String {
    format!("done#{}#", output.output)
}

fn completion_key(output: &OutputRef, task: &TaskId) -> Item {
    part_key(&output.job, &output.epoch, format!("{}{task}", done_prefix(output)))
}

/// The item that counts the failures of a task since the last manual retry of its output.
fn failures_key(output: &OutputRef, retries: u32, task: &TaskId) -> Item {
    part_key(&output.job, &output.epoch, format!("fail#{}#{retries}#{task}", output.output))
}

/// The failures that an item counts, in order.
fn attempts(item: &Item) -> &[AttributeValue] {
    item.get("attempts").and_then(|list| list.as_l().ok()).map_or(&[], Vec::as_slice)
}

/// The number of an attempt among the failures of its task, from 1. The list is ordered, so that each
/// has a distinct number, also when a repeat reads it later.
fn number_of(item: &Item, attempt: &str) -> Result<u32, PortError> {
    let is_it = |one: &AttributeValue| one.as_s().is_ok_and(|one| one == attempt);
    let place = attempts(item).iter().position(is_it);
    let place = place.ok_or_else(|| odd("a count of failures", "it does not have the last one"))?;
    u32::try_from(place + 1).map_err(|e| odd("a count of failures", e))
}

impl DynamoLedger {
    fn put_completion(&self, completion: &Completion) -> Result<TransactWriteItem, PortError> {
        let document = completion.encode();
        check_size(&format!("the completion of task {}", completion.task), document.len())?;
        let mut item = completion_key(&completion.output, &completion.task);
        item.insert("document".to_owned(), s(document));
        let put = Put::builder()
            .table_name(&self.tables.completions)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(job)")
            .build();
        Ok(TransactWriteItem::builder().put(put.map_err(|e| odd("a completion", e))?).build())
    }

    /// How often the output was retried manually, or `None` if it does not exist in that epoch of its job.
    async fn retries(&self, output: &OutputRef) -> Result<Option<u32>, PortError> {
        let row = self.row(&output.job).await?;
        let job = row.map(|row| row.record).filter(|job| job.epoch == output.epoch);
        Ok(job.and_then(|job| job.output(&output.output).map(|output| output.retries)))
    }
}

#[async_trait]
impl CompletionLedger for DynamoLedger {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        lease.check_is_for(completion)?;
        let output = &completion.output;
        let items =
            vec![self.put_completion(completion)?, self.count_completion(output)?, self.fence(lease)?];
        match self.transact("cannot record a completion", items).await? {
            Outcome::Done => Ok(Recorded::Created),
            Outcome::Refused(failed) if failed.first() == Some(&true) => Ok(Recorded::Existed),
            Outcome::Refused(_) => {
                // the service may not have evaluated every condition
                let done = self.completion(output, &completion.task).await?;
                Ok(if done.is_some() { Recorded::Existed } else { Recorded::Stale })
            }
            Outcome::Conflict => Err(crowded(&output.job)),
        }
    }

    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError> {
        self.counted(output).await
    }

    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
        self.get(&self.tables.completions, completion_key(output, task))
            .await?
            .as_ref()
            .map(parse)
            .transpose()
    }

    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        // ' ' sorts before every character of an id, and '~' after
        let prefix = done_prefix(output);
        let low = after.map_or_else(|| prefix.clone(), |task| format!("{prefix}{task} "));
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
                .expression_attribute_values(":job", part_hash(&output.job, &output.epoch))
                .expression_attribute_values(":low", s(&low))
                .expression_attribute_values(":high", s(format!("{prefix}~")))
                .limit(limit)
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|e| error::sdk(format_args!("cannot read the completions of {output}"), e))?;
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

    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        let Some(retries) = self.retries(output).await? else {
            return Err(say(PortErrorKind::NotFound, format_args!("{output} is not in the ledger")));
        };
        // a unique id of this failure
        let attempt = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let key = failures_key(output, retries, task);
        let counted = self
            .client
            .update_item()
            .table_name(&self.tables.completions)
            .set_key(Some(key.clone()))
            .update_expression("SET attempts = list_append(if_not_exists(attempts, :none), :one)")
            // a repeat by the SDK, whose first response was lost, does not count again
            .condition_expression("attribute_not_exists(attempts) OR NOT contains(attempts, :attempt)")
            .expression_attribute_values(":attempt", s(&attempt))
            .expression_attribute_values(":one", AttributeValue::L(vec![s(&attempt)]))
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
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

    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        let Some(retries) = self.retries(output).await? else { return Ok(0) };
        let item = self.get(&self.tables.completions, failures_key(output, retries, task)).await?;
        u32::try_from(item.as_ref().map_or(0, |item| attempts(item).len()))
            .map_err(|e| odd("a count of failures", e))
    }
}
