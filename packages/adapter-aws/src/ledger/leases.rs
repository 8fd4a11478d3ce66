//! Leases: one update checks that the lease is free and increments its term.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use segue_domain::{HolderId, JobId, OutputId, TaskId, Term};
use segue_ports::{Acquired, Lease, LeaseLedger, LeaseName, PortError};

use super::item::{Item, must, n, number, s, text};
use super::{DynamoLedger, HAS_ITS_TERM, lease_key, ms};
use crate::error;

impl DynamoLedger {
    pub(super) async fn lease_row(&self, name: &LeaseName) -> Result<Option<Item>, PortError> {
        self.get(&self.tables.leases, lease_key(name)).await
    }

    /// An update of a lease that requires its term.
    fn update_held(&self, lease: &Lease) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.leases)
            .set_key(Some(lease_key(&lease.name)))
            .condition_expression(HAS_ITS_TERM)
            .expression_attribute_values(":term", n(lease.term.0))
            .expression_attribute_values(":holder", s(lease.holder.as_str()))
    }

    async fn try_to_acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
        attempt: &str,
    ) -> Result<Acquired, PortError> {
        let now_ms = self.now_ms().await?;
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.leases)
            .set_key(Some(lease_key(name)))
            .update_expression("SET holder = :holder, until_ms = :until, attempt = :attempt ADD term :one")
            .condition_expression("attribute_not_exists(holder) OR until_ms <= :now")
            .expression_attribute_values(":holder", s(holder.as_str()))
            .expression_attribute_values(":until", n(now_ms.saturating_add(ms(ttl))))
            .expression_attribute_values(":attempt", s(attempt))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let held = |item: &Item| -> Result<Acquired, PortError> {
            let term = Term(must(number(item, "term")?, "term")?);
            Ok(Acquired::Held(Lease { name: name.clone(), holder: holder.clone(), term }))
        };
        let trouble = match update.send().await {
            Ok(updated) => return held(&updated.attributes.unwrap_or_default()),
            Err(trouble) => trouble,
        };
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = trouble.as_service_error()
        else {
            return Err(error::sdk(format_args!("cannot acquire lease {}", name.as_str()), trouble));
        };
        let stands = match refused.item() {
            Some(item) => item.clone(),
            None => self.lease_row(name).await?.unwrap_or_default(),
        };
        // this attempt has it: the first response was lost and the SDK has retried
        if text(&stands, "attempt")?.as_deref() == Some(attempt) && stands.contains_key("holder") {
            return held(&stands);
        }
        let until_ms: i64 = number(&stands, "until_ms")?.unwrap_or(now_ms);
        let left_ms = until_ms.saturating_sub(now_ms).max(1);
        Ok(Acquired::Busy(Duration::from_millis(left_ms.unsigned_abs())))
    }
}

impl DynamoLedger {
    async fn leased(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        let prefix = format!("task/{job}/{output}/");
        let now_ms = self.now_ms().await?;
        let mut tasks = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.tables.leases)
                .consistent_read(true)
                .key_condition_expression("job = :job AND begins_with(lease, :prefix)")
                .filter_expression("attribute_exists(holder) AND until_ms > :now")
                .expression_attribute_values(":job", s(job.as_str()))
                .expression_attribute_values(":prefix", s(&prefix))
                .expression_attribute_values(":now", n(now_ms))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|e| error::sdk(format_args!("cannot read the leases of job {job}"), e))?;
            for item in page.items() {
                let name = must(text(item, "lease")?, "lease")?;
                let task = name.get(prefix.len()..).unwrap_or_default().parse();
                tasks.push(task.map_err(|e| error::odd("the name of a lease", e))?);
            }
            match page.last_evaluated_key {
                Some(key) => start = Some(key),
                None => return Ok(tasks),
            }
        }
    }
}

/// False when the lease was taken over or released.
fn kept<T>(
    result: Result<T, aws_sdk_dynamodb::error::SdkError<UpdateItemError>>,
    doing: &str,
    lease: &Lease,
) -> Result<bool, PortError> {
    match result {
        Ok(_) => Ok(true),
        Err(e) => match e.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(error::sdk(format_args!("cannot {doing} lease {}", lease.name.as_str()), e)),
        },
    }
}

#[async_trait]
impl LeaseLedger for DynamoLedger {
    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError> {
        let attempt = uuid::Uuid::new_v4().simple().to_string();
        self.try_to_acquire(name, holder, ttl, &attempt).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        let until_ms = self.now_ms().await?.saturating_add(ms(ttl));
        let update = self
            .update_held(lease)
            .update_expression("SET until_ms = :until")
            .expression_attribute_values(":until", n(until_ms));
        kept(update.send().await, "renew", lease)
    }

    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        self.leased(job, output).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let update = self.update_held(lease).update_expression("REMOVE holder, attempt");
        kept(update.send().await, "release", lease).map(drop)
    }
}
