//! Consistent reads of many items of one table.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use segue_ports::{PortError, PortErrorKind};

use crate::error::{self, back_off, odd, say};
use crate::ledger::TRIES;
use crate::ledger::item::Item;

/// Items that DynamoDB returns in one batch.
pub const BATCH: usize = 100;

/// The items of those keys that exist, in no order.
pub async fn read_items(client: &Client, table: &str, keys: Vec<Item>) -> Result<Vec<Item>, PortError> {
    let (mut found, mut wanted, mut tried) = (Vec::new(), keys, 0);
    while !wanted.is_empty() {
        let rest = wanted.split_off(wanted.len().min(BATCH));
        let request = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
        let request = request.map_err(|e| odd("a list of keys", e))?;
        let batch = client.batch_get_item().request_items(table, request).send().await;
        let batch = batch.map_err(|e| error::sdk(format_args!("cannot read table {table}"), e))?;
        found.extend(batch.responses.into_iter().flat_map(|items| items.into_values()).flatten());
        let unread = batch.unprocessed_keys.and_then(|mut all| all.remove(table));
        wanted = unread.map(|unread| unread.keys).unwrap_or_default();
        if !wanted.is_empty() {
            if tried >= TRIES {
                return Err(say(PortErrorKind::Transient, format_args!("table {table} is busy, try again")));
            }
            back_off(tried).await;
            tried += 1;
        }
        wanted.extend(rest);
    }
    Ok(found)
}
