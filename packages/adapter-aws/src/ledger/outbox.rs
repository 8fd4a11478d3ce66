//! The outbox: notices that were written in the transaction of their change.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use segue_domain::OutboxEntry;
use segue_ports::{OutboxLedger, PortError, PortErrorKind};

use super::DynamoLedger;
use super::item::{Item, must, s, text};
use crate::error::{self, odd};

/// No id contains '#': no epoch of a job has this key.
const OUTBOX: &str = "#outbox";

fn outbox_key(id: &str) -> Item {
    Item::from([("job".to_owned(), s(OUTBOX)), ("item".to_owned(), s(id))])
}

fn parse(item: &Item) -> Result<OutboxEntry, PortError> {
    let document = must(text(item, "document")?, "document")?;
    OutboxEntry::decode(&document).map_err(|e| PortError::document("a notice", e))
}

impl DynamoLedger {
    /// Transaction items that put the notices: at most one for each output and one for the job, and so within
    /// the 100 items of a transaction.
    pub(super) fn put_notices(&self, notices: &[OutboxEntry]) -> Result<Vec<TransactWriteItem>, PortError> {
        let put = |notice: &OutboxEntry| {
            let mut item = outbox_key(&notice.id);
            item.insert("document".to_owned(), s(notice.encode()));
            let put = Put::builder().table_name(&self.tables.completions).set_item(Some(item)).build();
            Ok(TransactWriteItem::builder().put(put.map_err(|e| odd("a notice", e))?).build())
        };
        notices.iter().map(put).collect()
    }
}

#[async_trait]
impl OutboxLedger for DynamoLedger {
    /// Ordered by id: by the job's epoch, then by its revision.
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        let mut found = Vec::new();
        let mut start: Option<Item> = None;
        while found.len() < max {
            let limit = i32::try_from(max - found.len()).unwrap_or(i32::MAX);
            let page = self
                .client
                .query()
                .table_name(&self.tables.completions)
                .consistent_read(true)
                .key_condition_expression("job = :job")
                .expression_attribute_values(":job", s(OUTBOX))
                .limit(limit)
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(|e| error::sdk("cannot read the outbox", e))?;
            for item in page.items() {
                match parse(item) {
                    Ok(notice) => found.push(notice),
                    Err(error) if error.kind == PortErrorKind::Newer => {
                        tracing::debug!(%error, "a notice is left to a newer build");
                    }
                    Err(error) => tracing::error!(%error, "a notice is left out"),
                }
            }
            match page.last_evaluated_key {
                Some(key) => start = Some(key),
                None => break,
            }
        }
        Ok(found)
    }

    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError> {
        let removed = self
            .client
            .delete_item()
            .table_name(&self.tables.completions)
            .set_key(Some(outbox_key(id)))
            .send()
            .await;
        removed.map(drop).map_err(|e| error::sdk(format_args!("cannot remove notice {id}"), e))
    }
}
