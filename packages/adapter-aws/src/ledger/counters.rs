//! Counters of completions: one item for each output, created with it.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use segue_domain::{JobRecord, OutputId, OutputRef};
use segue_ports::PortError;

use super::item::{Item, must, n, number};
use super::{DynamoLedger, part_key};
use crate::error::odd;

/// Key prefix of counters.
pub const COUNTERS: &str = "count#";

fn counter_key(output: &OutputRef) -> Item {
    part_key(&output.job, &output.epoch, format!("{COUNTERS}{}", output.output))
}

impl DynamoLedger {
    /// Transaction items that create the counters of those outputs.
    pub(super) fn create_counters<'a>(
        &self,
        job: &JobRecord,
        outputs: impl Iterator<Item = &'a OutputId>,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let create = |output| {
            let mut item = counter_key(&job.output_ref(output));
            item.insert("completed".to_owned(), n(0));
            let put = Put::builder()
                .table_name(&self.tables.completions)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(job)")
                .build();
            Ok(TransactWriteItem::builder().put(put.map_err(|e| odd("a counter", e))?).build())
        };
        outputs.map(create).collect()
    }

    /// Transaction item that counts one completion, and fails if the output does not exist in this
    /// epoch of its job.
    pub(super) fn count_completion(&self, output: &OutputRef) -> Result<TransactWriteItem, PortError> {
        let update = Update::builder()
            .table_name(&self.tables.completions)
            .set_key(Some(counter_key(output)))
            .update_expression("ADD completed :one")
            .condition_expression("attribute_exists(job)")
            .expression_attribute_values(":one", n(1))
            .build();
        Ok(TransactWriteItem::builder().update(update.map_err(|e| odd("a counter", e))?).build())
    }

    /// Number of completions; 0 if there is no counter.
    pub(super) async fn counted(&self, output: &OutputRef) -> Result<u64, PortError> {
        match self.get(&self.tables.completions, counter_key(output)).await? {
            Some(item) => must(number(&item, "completed")?, "completed"),
            None => Ok(0),
        }
    }
}
