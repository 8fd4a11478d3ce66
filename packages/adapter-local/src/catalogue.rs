//! The asset catalogue in SQLite: one document in one row, read and replaced inside one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use segue_domain::{Asset, AssetId, Epoch};
use segue_ports::catalogue::{AssetPlace, tombstone_of};
use segue_ports::{AssetCatalogue, AssetPage, AssetUpdate, CreatedAsset, NewAsset, PortError, PortErrorKind};

use crate::backend::{Instance, now_ms};
use crate::db::writing;
use crate::error;
use crate::ledger::optional;

/// The assets of a state folder.
#[derive(Debug)]
pub struct LocalCatalogue {
    shared: Arc<Instance>,
}

impl LocalCatalogue {
    pub(crate) fn of(shared: Arc<Instance>) -> LocalCatalogue {
        LocalCatalogue { shared }
    }
}

fn decode(document: &str) -> Result<Asset, PortError> {
    Asset::decode(document).map_err(|e| error::document("an asset", e))
}

fn read(connection: &Connection, id: &AssetId) -> Result<Option<Asset>, PortError> {
    let sql = "SELECT document FROM assets WHERE id = ?1";
    let mut found = connection.prepare_cached(sql).map_err(error::sql)?;
    let document = optional(found.query_row([id.as_str()], |row| row.get::<_, String>(0)))?;
    document.as_deref().map(decode).transpose()
}

fn write(transaction: &Transaction<'_>, asset: &Asset) -> Result<(), PortError> {
    let sql = "INSERT OR REPLACE INTO assets (id, owner, created_at_ms, deleted_at_ms, document)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let values =
        params![asset.id.as_str(), asset.owner, asset.created_at_ms, asset.deleted_at_ms, asset.encode()];
    transaction.prepare_cached(sql).and_then(|mut put| put.execute(values)).map_err(error::sql)?;
    Ok(())
}

fn create(transaction: &Transaction<'_>, asset: NewAsset) -> Result<CreatedAsset, PortError> {
    let epoch = uuid::Uuid::new_v4().simple().to_string();
    let epoch: Epoch = epoch.parse().map_err(|e| error::odd("an epoch", e))?;
    let asset = asset.into_asset(epoch, now_ms())?;
    if let Some(asset) = read(transaction, &asset.id)? {
        return Ok(CreatedAsset { created: false, asset });
    }
    write(transaction, &asset)?;
    Ok(CreatedAsset { created: true, asset })
}

/// A page of the owner's assets. Documents of a newer build are left out, so that it may have fewer
/// assets and still a next page.
fn read_page(
    connection: &Connection,
    owner: &str,
    from: Option<&AssetPlace>,
    max: usize,
) -> Result<AssetPage, PortError> {
    // without a cursor, start after all rows; '~' sorts after every id
    let (at_ms, id) = from.map_or((i64::MAX, "~"), |from| (from.created_at_ms, from.id.as_str()));
    let sql = "SELECT id, created_at_ms, document FROM assets
               WHERE owner = ?1 AND deleted_at_ms IS NULL AND (created_at_ms, id) < (?2, ?3)
               ORDER BY created_at_ms DESC, id DESC LIMIT ?4";
    let limit = i64::try_from(max).unwrap_or(i64::MAX).saturating_add(1);
    let rows: Vec<(String, i64, String)> = connection
        .prepare_cached(sql)
        .and_then(|mut found| {
            let rows = found.query_map(params![owner, at_ms, id, limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect()
        })
        .map_err(error::sql)?;
    let shown = &rows[..rows.len().min(max)];
    let mut page = AssetPage::default();
    for (id, _, document) in shown {
        match decode(document) {
            Err(error) if error.kind == PortErrorKind::Newer => {
                tracing::debug!(asset = id, %error, "left out of a listing");
            }
            decoded => page.assets.push(decoded?),
        }
    }
    if let Some((id, created_at_ms, _)) = shown.last().filter(|_| rows.len() > max) {
        let id = id.parse().map_err(|e| error::odd("an asset id", e))?;
        page.next = Some(AssetPlace { created_at_ms: *created_at_ms, id }.token(owner));
    }
    Ok(page)
}

fn update(transaction: &Transaction<'_>, asset: &Asset) -> Result<AssetUpdate, PortError> {
    let update = AssetUpdate::of(read(transaction, &asset.id)?.as_ref(), asset)?;
    if let AssetUpdate::Updated(after) = &update {
        write(transaction, after)?;
    }
    Ok(update)
}

fn delete(transaction: &Transaction<'_>, id: &AssetId, epoch: &Epoch) -> Result<Option<Asset>, PortError> {
    let Some(stored) = read(transaction, id)? else { return Ok(None) };
    let tombstone = tombstone_of(&stored, epoch, now_ms());
    if let Some(tombstone) = tombstone.as_ref().filter(|tombstone| **tombstone != stored) {
        write(transaction, tombstone)?;
    }
    Ok(tombstone)
}

fn purge(transaction: &Transaction<'_>, before_ms: i64, max: usize) -> Result<usize, PortError> {
    let sql = "DELETE FROM assets WHERE id IN
               (SELECT id FROM assets WHERE deleted_at_ms < ?1 ORDER BY deleted_at_ms LIMIT ?2)";
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    transaction.execute(sql, params![before_ms, max]).map_err(error::sql)
}

#[async_trait]
impl AssetCatalogue for LocalCatalogue {
    async fn create(&self, asset: NewAsset) -> Result<CreatedAsset, PortError> {
        self.shared.db.call(move |db| writing(db, |transaction| create(transaction, asset))).await
    }

    async fn get(&self, id: &AssetId) -> Result<Option<Asset>, PortError> {
        let id = id.clone();
        self.shared.db.call(move |db| read(db, &id)).await
    }

    async fn update(&self, asset: &Asset) -> Result<AssetUpdate, PortError> {
        let asset = asset.clone();
        self.shared.db.call(move |db| writing(db, |transaction| update(transaction, &asset))).await
    }

    async fn list(&self, owner: &str, from: Option<&str>, max: usize) -> Result<AssetPage, PortError> {
        let (from, owner) = (AssetPlace::begin(owner, from, max)?, owner.to_owned());
        self.shared.db.call(move |db| read_page(db, &owner, from.as_ref(), max)).await
    }

    async fn delete(&self, id: &AssetId, epoch: &Epoch) -> Result<Option<Asset>, PortError> {
        let (id, epoch) = (id.clone(), epoch.clone());
        self.shared.db.call(move |db| writing(db, |transaction| delete(transaction, &id, &epoch))).await
    }

    async fn purge(&self, before_ms: i64, max: usize) -> Result<usize, PortError> {
        self.shared.db.call(move |db| writing(db, |transaction| purge(transaction, before_ms, max))).await
    }
}
