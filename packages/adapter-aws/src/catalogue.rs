//! The asset catalogue in DynamoDB: every promise is one conditional write.
//!
//! ```text
//! assets  asset_id   `document` (the asset, JSON), `revision`, `epoch`, `write`
//!         index by-owner: listing, place  (keys only)
//!             owner#OWNER  time of creation, then id     an asset
//!             deleted      time of deletion, then id     a tombstone
//! ```
//! * **A change** replaces the item if its `revision` and `epoch` are still those that were read. `write`
//!   is new with each attempt: where the condition fails and the stored item has it, an earlier answer was
//!   lost and the write took place.
//! * **Listings** query the index, which may lag behind, and then read the items themselves. An item that
//!   was deleted since is left out.
//! * **A purge** reads the partition of tombstones, the oldest first, and deletes each one that still is one.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use segue_domain::{Asset, AssetId, Epoch};
use segue_ports::catalogue::{AssetPlace, tombstone_of};
use segue_ports::{AssetCatalogue, AssetPage, AssetUpdate, CreatedAsset, NewAsset, PortError, PortErrorKind};
use tokio::sync::OnceCell;

use crate::batch::{BATCH, read_items};
use crate::clock::LedgerClock;
use crate::error::{self, back_off, odd, say};
use crate::ledger::TRIES;
use crate::ledger::item::{Item, check_size, must, n, s, text};

/// The index of the assets table by owner, and of its tombstones.
pub const INDEX_BY_OWNER: &str = "by-owner";

/// The partition of the tombstones; one of an owner begins with `owner#`.
const DELETED: &str = "deleted";

/// The assets of a deployment in one table.
#[derive(Debug, Clone)]
pub struct DynamoCatalogue {
    client: Client,
    table: String,
    clock: Arc<LedgerClock>,
    /// Set when the service was asked for its time.
    asked: Arc<OnceCell<()>>,
}

fn key(id: &str) -> Item {
    Item::from([("asset_id".to_owned(), s(id))])
}

fn partition(owner: &str) -> String {
    format!("owner#{owner}")
}

/// A time as text that sorts by it. A clock before 1970 counts as 1970.
fn sortable(at_ms: i64) -> String {
    format!("{:019}", at_ms.max(0))
}

/// A place that sorts by time, then by id: '#' is in no id and before every character of one.
fn place(at_ms: i64, id: &AssetId) -> String {
    format!("{}#{id}", sortable(at_ms))
}

fn place_of(key: &Item) -> Result<AssetPlace, PortError> {
    let place = must(text(key, "place")?, "place")?;
    let read = || {
        let (at_ms, id) = place.split_once('#')?;
        Some(AssetPlace { created_at_ms: at_ms.parse().ok()?, id: id.parse().ok()? })
    };
    read().ok_or_else(|| odd("the place of an asset", format_args!("{place:?}")))
}

fn to_item(asset: &Asset, write: &str) -> Result<Item, PortError> {
    let document = asset.encode();
    check_size(&format!("asset {}", asset.id), document.len())?;
    let (listing, place) = match asset.deleted_at_ms {
        Some(at_ms) => (DELETED.to_owned(), place(at_ms, &asset.id)),
        None => (partition(&asset.owner), place(asset.created_at_ms, &asset.id)),
    };
    let mut item = key(asset.id.as_str());
    item.extend([
        ("document".to_owned(), s(document)),
        ("revision".to_owned(), n(asset.revision)),
        ("epoch".to_owned(), s(asset.epoch.as_str())),
        ("write".to_owned(), s(write)),
        ("listing".to_owned(), s(listing)),
        ("place".to_owned(), s(place)),
    ]);
    Ok(item)
}

fn of_item(item: &Item) -> Result<Asset, PortError> {
    let id = must(text(item, "asset_id")?, "asset_id")?;
    let document = must(text(item, "document")?, "document")?;
    Asset::decode(&document).map_err(|e| PortError::document(format_args!("asset {id}"), e))
}

impl DynamoCatalogue {
    pub(crate) fn new(client: Client, table: String, clock: Arc<LedgerClock>) -> DynamoCatalogue {
        DynamoCatalogue { client, table, clock, asked: Arc::default() }
    }

    /// The service's time, milliseconds since 1970. The first call of a process asks the service for it.
    async fn now_ms(&self) -> Result<i64, PortError> {
        // '#' is in no id
        let ask = || async { self.item("#time").await.map(drop) };
        self.asked.get_or_try_init(ask).await?;
        Ok(self.clock.now_ms())
    }

    async fn item(&self, id: &str) -> Result<Option<Item>, PortError> {
        let read = self.client.get_item().table_name(&self.table).set_key(Some(key(id)));
        let answer = read.consistent_read(true).send().await;
        let answer = answer.map_err(|e| error::sdk(format_args!("cannot read table {}", self.table), e))?;
        Ok(answer.item)
    }

    async fn asset(&self, id: &AssetId) -> Result<Option<Asset>, PortError> {
        self.item(id.as_str()).await?.as_ref().map(of_item).transpose()
    }

    /// Puts the asset in the place of `before`, or of nothing; whether what is stored was that.
    async fn put(&self, before: Option<&Asset>, after: &Asset) -> Result<bool, PortError> {
        let write = uuid::Uuid::new_v4().simple().to_string();
        let put = self.client.put_item().table_name(&self.table).set_item(Some(to_item(after, &write)?));
        let put = match before {
            Some(before) => put
                .condition_expression("revision = :revision AND epoch = :epoch")
                .expression_attribute_values(":revision", n(before.revision))
                .expression_attribute_values(":epoch", s(before.epoch.as_str())),
            None => put.condition_expression("attribute_not_exists(asset_id)"),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(e)
                if matches!(e.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) =>
            {
                let stored = self.item(after.id.as_str()).await?;
                let stored = stored.as_ref().map(|item| text(item, "write")).transpose()?.flatten();
                Ok(stored == Some(write))
            }
            Err(e) => Err(error::sdk(format_args!("cannot write asset {}", after.id), e)),
        }
    }

    /// Keys in a partition of the index, and where the next ones begin.
    async fn keys(
        &self,
        partition: &str,
        (before, newest_first): (&str, bool),
        start: Option<Item>,
        max: usize,
    ) -> Result<(Vec<Item>, Option<Item>), PortError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(INDEX_BY_OWNER)
            .key_condition_expression("listing = :listing AND place < :before")
            .expression_attribute_values(":listing", s(partition))
            .expression_attribute_values(":before", s(before))
            .scan_index_forward(!newest_first)
            .limit(i32::try_from(max).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| error::sdk("cannot list the assets", e))?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    /// The owner's assets among those of the keys, in their order.
    async fn listed(&self, owner: &str, keys: &[Item]) -> Result<Vec<Asset>, PortError> {
        let ids: Vec<String> = keys
            .iter()
            .map(|key| must(text(key, "asset_id")?, "asset_id"))
            .collect::<Result<_, PortError>>()?;
        let keys = ids.iter().map(|id| key(id)).collect();
        let mut assets = Vec::new();
        for item in read_items(&self.client, &self.table, keys).await? {
            match of_item(&item) {
                Err(error) if error.kind == PortErrorKind::Newer => {
                    tracing::debug!(%error, "left out of a listing");
                }
                read => assets.push(read?),
            }
        }
        assets.retain(|asset| asset.owner == owner && !asset.is_deleted());
        assets.sort_by_key(|asset| std::cmp::Reverse(AssetPlace::of(asset)));
        Ok(assets)
    }

    /// Deletes the item if it still is that tombstone.
    async fn remove(&self, key_in_index: &Item, before: &str) -> Result<bool, PortError> {
        let id = must(text(key_in_index, "asset_id")?, "asset_id")?;
        let removed = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&id)))
            .condition_expression("listing = :deleted AND place < :before")
            .expression_attribute_values(":deleted", s(DELETED))
            .expression_attribute_values(":before", s(before))
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
            Err(e) => Err(error::sdk(format_args!("cannot purge asset {id}"), e)),
        }
    }
}

fn crowded(id: &AssetId) -> PortError {
    say(PortErrorKind::Transient, format_args!("asset {id} is being written by many at once, try again"))
}

#[async_trait]
impl AssetCatalogue for DynamoCatalogue {
    async fn create(&self, asset: NewAsset) -> Result<CreatedAsset, PortError> {
        let epoch = uuid::Uuid::new_v4().simple().to_string().parse().expect("hex is a plain id");
        let asset = asset.into_asset(epoch, self.now_ms().await?)?;
        if self.put(None, &asset).await? {
            return Ok(CreatedAsset { created: true, asset });
        }
        match self.asset(&asset.id).await? {
            Some(asset) => Ok(CreatedAsset { created: false, asset }),
            None => Err(crowded(&asset.id)),
        }
    }

    async fn get(&self, id: &AssetId) -> Result<Option<Asset>, PortError> {
        self.asset(id).await
    }

    async fn update(&self, asset: &Asset) -> Result<AssetUpdate, PortError> {
        for _ in 0..2 {
            let stored = self.asset(&asset.id).await?;
            let update = AssetUpdate::of(stored.as_ref(), asset)?;
            match &update {
                // a refused put was overtaken, so that the next reading is stale or missing
                AssetUpdate::Updated(after) if !self.put(stored.as_ref(), after).await? => {}
                _ => return Ok(update),
            }
        }
        Err(crowded(&asset.id))
    }

    async fn list(&self, owner: &str, from: Option<&str>, max: usize) -> Result<AssetPage, PortError> {
        let from = AssetPlace::begin(owner, from, max)?;
        // ':' follows every digit
        let mut before = from.map_or_else(|| ":".to_owned(), |from| place(from.created_at_ms, &from.id));
        let mut page = AssetPage::default();
        while page.assets.len() < max {
            let wanted = (max - page.assets.len()).min(BATCH);
            let (keys, next) = self.keys(&partition(owner), (&before, true), None, wanted).await?;
            page.assets.extend(self.listed(owner, &keys).await?);
            let last = keys.last().map(place_of).transpose()?;
            let Some(last) = last.filter(|_| next.is_some()) else {
                page.next = None;
                return Ok(page);
            };
            before = place(last.created_at_ms, &last.id);
            page.next = Some(last.token(owner));
        }
        Ok(page)
    }

    async fn delete(&self, id: &AssetId, epoch: &Epoch) -> Result<Option<Asset>, PortError> {
        for tried in 0..TRIES {
            let Some(stored) = self.asset(id).await? else { return Ok(None) };
            let tombstone = tombstone_of(&stored, epoch, self.now_ms().await?);
            match &tombstone {
                Some(after) if *after != stored && !self.put(Some(&stored), after).await? => {
                    back_off(tried).await;
                }
                _ => return Ok(tombstone),
            }
        }
        Err(crowded(id))
    }

    async fn purge(&self, before_ms: i64, max: usize) -> Result<usize, PortError> {
        let before = sortable(before_ms);
        let (mut purged, mut start) = (0, None);
        while purged < max {
            let (keys, next) =
                self.keys(DELETED, (&before, false), start.take(), (max - purged).min(BATCH)).await?;
            for key in &keys {
                purged += usize::from(self.remove(key, &before).await?);
            }
            match next {
                Some(next) => start = Some(next),
                None => break,
            }
        }
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_by_time_and_then_by_id() {
        let at = |at_ms, id: &str| place(at_ms, &id.parse().unwrap());
        let ordered =
            [at(-5, "z"), at(7, "-"), at(7, "a"), at(7, "a-"), at(7, "ab"), at(10, "a"), at(i64::MAX, "a")];
        assert!(ordered.is_sorted(), "{ordered:?}");
        assert!(ordered[6].as_str() < ":" && sortable(7) < ordered[1], "a bound of time is before its ids");
        let key = Item::from([("place".to_owned(), s(at(7, "a-b_c")))]);
        let read = place_of(&key).unwrap();
        assert_eq!((read.created_at_ms, read.id.as_str()), (7, "a-b_c"));
        for foreign in ["", "7", "x#a", "7#", "7#a/b"] {
            let key = Item::from([("place".to_owned(), s(foreign))]);
            assert_eq!(place_of(&key).unwrap_err().kind, PortErrorKind::Corrupt, "{foreign}");
        }
    }
}
