//! Asset catalogue: the assets of each owner.
//!
//! An asset is one document of a few hundred bytes, well below the limits of every adapter. It references its
//! source and no derived data. Each of the following is a record of its own, under the
//! asset's id and epoch, and not part of the document: transcript versions, which grow with each edit; the
//! audit log, which is append-only. Access keys and quotas are records of the owner, beside the catalogue;
//! a quota that counts assets must be checked in the transaction that creates one.

use std::time::Duration;

use async_trait::async_trait;
use segue_domain::asset::{ASSET_VERSION, check_owner};
use segue_domain::{Asset, AssetId, AssetKind, DomainError, Epoch};

use crate::error::{PortError, PortErrorKind};

/// Minimum lifetime of a tombstone. Writes to the asset's keys that started before the deletion have
/// ended by then, and their objects can be found and removed.
pub const TOMBSTONE_KEPT: Duration = Duration::from_secs(24 * 3600);

/// An asset to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAsset {
    /// Its id, chosen by the caller so that a repeat creates no second asset.
    pub id: AssetId,
    /// Its owner.
    pub owner: String,
    /// Its kind.
    pub kind: AssetKind,
    /// Display title.
    pub title: String,
    /// Original name of the uploaded file.
    pub file_name: String,
    /// Media type.
    pub media_type: String,
    /// Size in bytes, where it is known.
    pub size_bytes: Option<u64>,
    /// Key of the source.
    pub source_key: String,
    /// Duration in milliseconds, where it is known.
    pub duration_ms: Option<u64>,
}

/// Result of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedAsset {
    /// Whether this call created it.
    pub created: bool,
    /// The current asset.
    pub asset: Asset,
}

/// Result of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetUpdate {
    /// The asset after the update.
    Updated(Asset),
    /// Nothing was changed: the asset has another revision; this is the current one.
    Stale(Asset),
    /// Nothing was changed: the asset does not exist, was deleted, or has another epoch.
    Missing,
}

/// A page of assets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssetPage {
    /// Newest first.
    pub assets: Vec<Asset>,
    /// Cursor of the next page, an opaque token; absent on the last.
    pub next: Option<String>,
}

/// The assets of all owners, each one a document that is replaced by compare-and-swap.
///
/// Times are those of the adapter's own clock. An asset has an epoch, chosen by the catalogue; a later asset
/// of the same id has another. A document of a newer build is
/// [`PortErrorKind::Newer`](crate::PortErrorKind) for every call that names its id, and is left out of
/// listings. Permissions are not checked here: the caller compares the owner.
#[async_trait]
pub trait AssetCatalogue: Send + Sync {
    /// Creates an asset with revision 1 if its id is free. Otherwise nothing is changed and the
    /// stored asset is returned, whatever its content and owner. A tombstone occupies its id as an asset
    /// does: it is returned, and the id is free again once the tombstone was purged.
    ///
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) when [`Asset::check`] refuses it.
    async fn create(&self, asset: NewAsset) -> Result<CreatedAsset, PortError>;

    /// The asset or its tombstone, after every change that has returned; `None` when the id is free.
    async fn get(&self, id: &AssetId) -> Result<Option<Asset>, PortError>;

    /// Replaces the asset with that id and epoch by this document, if the stored revision is that of the
    /// document, and increments the revision. Of concurrent updates of one revision exactly one is
    /// [`AssetUpdate::Updated`].
    ///
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) when [`Asset::check`] fails, or when it changes
    /// owner, key of the source or time of creation, or is a tombstone.
    async fn update(&self, asset: &Asset) -> Result<AssetUpdate, PortError>;

    /// A page of at most `max` assets of `owner` without the deleted ones, by time of creation and then by
    /// id, both descending. An asset that exists from before the first page until after the last one is on
    /// exactly one page. A new asset may be listed a moment after its creation; a deleted one is not listed
    /// after its deletion. A page may be empty and not the last.
    ///
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) for a `from` that is not a token of this owner's
    /// listing, for an invalid owner, and for a `max` of 0.
    async fn list(&self, owner: &str, from: Option<&str>, max: usize) -> Result<AssetPage, PortError>;

    /// Turns the asset with that id and epoch into a tombstone, whatever its revision, and increments the
    /// revision. Returns the tombstone; one that exists already is unchanged. `None` when
    /// no asset has that id and epoch.
    async fn delete(&self, id: &AssetId, epoch: &Epoch) -> Result<Option<Asset>, PortError>;

    /// Removes at most `max` tombstones of assets that were deleted before a time, milliseconds since 1970,
    /// and returns how many it removed. The caller leaves [`TOMBSTONE_KEPT`] between that time and now.
    /// Fewer than `max` does not mean that none is left: an index may lag behind.
    async fn purge(&self, before_ms: i64, max: usize) -> Result<usize, PortError>;
}

/// The error of an invalid argument.
fn misuse(doing: impl std::fmt::Display, error: DomainError) -> PortError {
    PortError::with(PortErrorKind::Misuse, doing, error)
}

impl NewAsset {
    /// The new asset with that epoch and time of creation.
    ///
    /// # Errors
    /// `Misuse` when [`Asset::check`] fails.
    pub fn into_asset(self, epoch: Epoch, now_ms: i64) -> Result<Asset, PortError> {
        let asset = Asset {
            version: ASSET_VERSION,
            id: self.id,
            epoch,
            revision: 1,
            owner: self.owner,
            kind: self.kind,
            title: self.title,
            file_name: self.file_name,
            media_type: self.media_type,
            size_bytes: self.size_bytes,
            source_key: self.source_key,
            duration_ms: self.duration_ms,
            created_at_ms: now_ms,
            deleted_at_ms: None,
        };
        asset.check().map_err(|e| misuse(format_args!("asset {}", asset.id), e))?;
        Ok(asset)
    }
}

impl AssetUpdate {
    /// The stored asset after an update by `asset`: the rule of every catalogue, applied inside its
    /// atomic step.
    ///
    /// # Errors
    /// `Misuse` for an update that is not allowed.
    pub fn of(stored: Option<&Asset>, asset: &Asset) -> Result<AssetUpdate, PortError> {
        let refuse =
            |why: &str| Err(PortError::new(PortErrorKind::Misuse, format!("asset {}: {why}", asset.id)));
        asset.check().map_err(|e| misuse(format_args!("asset {}", asset.id), e))?;
        if asset.is_deleted() {
            return refuse("an update cannot delete it");
        }
        let Some(stored) = stored.filter(|stored| stored.epoch == asset.epoch && !stored.is_deleted()) else {
            return Ok(AssetUpdate::Missing);
        };
        let fixed = |asset: &Asset| (asset.owner.clone(), asset.source_key.clone(), asset.created_at_ms);
        if fixed(stored) != fixed(asset) {
            return refuse("owner, key of the source and time of creation cannot be changed");
        }
        if stored.revision != asset.revision {
            return Ok(AssetUpdate::Stale(stored.clone()));
        }
        let after = Asset { version: ASSET_VERSION, revision: stored.revision + 1, ..asset.clone() };
        Ok(AssetUpdate::Updated(after))
    }
}

/// The tombstone of the stored asset, if it has that epoch: unchanged if it is one already.
pub fn tombstone_of(stored: &Asset, epoch: &Epoch, now_ms: i64) -> Option<Asset> {
    let deleted_at_ms = stored.deleted_at_ms.or(Some(now_ms));
    let revision = stored.revision + u64::from(!stored.is_deleted());
    (stored.epoch == *epoch).then(|| Asset { revision, deleted_at_ms, ..stored.clone() })
}

/// A cursor in the listing of an owner: after the asset with that time and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetPlace {
    /// When the asset was created, milliseconds since 1970.
    pub created_at_ms: i64,
    /// Its id.
    pub id: AssetId,
}

impl AssetPlace {
    /// The cursor after that asset.
    pub fn of(asset: &Asset) -> AssetPlace {
        AssetPlace { created_at_ms: asset.created_at_ms, id: asset.id.clone() }
    }

    /// The token of this cursor in the listing of `owner`.
    pub fn token(&self, owner: &str) -> String {
        format!("{}/{}/{owner}", self.created_at_ms, self.id)
    }

    /// Validates the arguments of a listing and parses its token.
    ///
    /// # Errors
    /// `Misuse` as in [`AssetCatalogue::list`].
    pub fn begin(owner: &str, from: Option<&str>, max: usize) -> Result<Option<AssetPlace>, PortError> {
        check_owner(owner).map_err(|e| misuse("a listing of assets", e))?;
        if max == 0 {
            return Err(PortError::new(PortErrorKind::Misuse, "a page of at most 0 assets"));
        }
        let read = |token: &str| {
            let mut parts = token.splitn(3, '/');
            let created_at_ms = parts.next()?.parse().ok()?;
            let id = parts.next()?.parse().ok()?;
            let place = AssetPlace { created_at_ms, id };
            (parts.next() == Some(owner) && place.token(owner) == token).then_some(place)
        };
        let foreign = |token: &str| {
            let token: String = token.chars().take(300).collect();
            PortError::new(PortErrorKind::Misuse, format!("{token:?} is not a page of this owner's assets"))
        };
        from.map(|token| read(token).ok_or_else(|| foreign(token))).transpose()
    }
}
