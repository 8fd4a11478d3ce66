//! The outbox: notices that were written in the transaction of their change.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use segue_domain::OutboxEntry;
use segue_ports::{OutboxLedger, PortError, PortErrorKind};

use super::DynamoLedger;
use super::item::{Item, must, s, text};
use crate::error::{self, odd, say};

/// No id contains '#': no epoch of a job has this key.
const OUTBOX: &str = "#outbox";

/// Maximum number of notices of one change: a transaction has at most 100 items.
const NOTICES_MAX: usize = 90;

fn outbox_key(id: &str) -> Item {
    Item::from([("job".to_owned(), s(OUTBOX)), ("item".to_owned(), s(id))])
}

fn parse(item: &Item) -> Result<OutboxEntry, PortError> {
    let attribute = |name: &str| must(text(item, name)?, name);
    Ok(OutboxEntry { id: attribute("item")?, kind: attribute("kind")?, body: attribute("body")? })
}

impl DynamoLedger {
    /// Transaction items that put the notices; the last one with an id wins.
    pub(super) fn put_notices(&self, notices: &[OutboxEntry]) -> Result<Vec<TransactWriteItem>, PortError> {
        let notices: BTreeMap<&str, &OutboxEntry> =
            notices.iter().map(|notice| (notice.id.as_str(), notice)).collect();
        if notices.len() > NOTICES_MAX {
            let message =
                format_args!("a change has {} notices, the ledger takes {NOTICES_MAX}", notices.len());
            return Err(say(PortErrorKind::Misuse, message));
        }
        let put = |notice: &OutboxEntry| {
            let mut item = outbox_key(&notice.id);
            item.insert("kind".to_owned(), s(&notice.kind));
            item.insert("body".to_owned(), s(&notice.body));
            let put = Put::builder().table_name(&self.tables.completions).set_item(Some(item)).build();
            Ok(TransactWriteItem::builder().put(put.map_err(|e| odd("a notice", e))?).build())
        };
        notices.into_values().map(put).collect()
    }
}

#[async_trait]
impl OutboxLedger for DynamoLedger {
    /// Ordered by id.
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
                found.push(parse(item)?);
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
