//! Asset catalogue: the assets of each owner.
//!
//! An asset is one document of a few hundred bytes, well below the limits of every adapter. It names its
//! source and nothing that is made from it. Each of the following belongs to a record of its own, under the
//! asset's id and epoch, and not into the document: transcript versions, which grow with each edit; the
//! audit log, which is append-only. Access keys and quotas are records of the owner, beside the catalogue;
//! a quota that counts assets has to be checked in the transaction that creates one.

use std::time::Duration;

use async_trait::async_trait;
use segue_domain::asset::{ASSET_VERSION, check_owner};
use segue_domain::{Asset, AssetId, AssetKind, DomainError, Epoch};

use crate::error::{PortError, PortErrorKind};

/// How long a tombstone is kept at least. Writes to the asset's keys that began before the deletion have
/// ended by then, and what they wrote can be found and removed.
pub const TOMBSTONE_KEPT: Duration = Duration::from_secs(24 * 3600);

/// An asset to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAsset {
    /// Its id, chosen by the caller so that a repeat is the same asset.
    pub id: AssetId,
    /// Who owns it.
    pub owner: String,
    /// What it is.
    pub kind: AssetKind,
    /// Title, for people.
    pub title: String,
    /// Name of the file that was uploaded.
    pub file_name: String,
    /// Media type.
    pub media_type: String,
    /// Size in bytes, where it is known.
    pub size_bytes: Option<u64>,
    /// Key of the source.
    pub source_key: String,
    /// Length in milliseconds, where it is known.
    pub duration_ms: Option<u64>,
}

/// Result of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedAsset {
    /// Whether this call created it.
    pub created: bool,
    /// The asset as it is now.
    pub asset: Asset,
}

/// Result of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetUpdate {
    /// The asset after the update.
    Updated(Asset),
    /// Nothing was changed: the asset has another revision, and is now this one.
    Stale(Asset),
    /// Nothing was changed: the asset is not there, was deleted, or is another life of that id.
    Missing,
}

/// A page of assets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssetPage {
    /// The newest first.
    pub assets: Vec<Asset>,
    /// Where the next page begins, an opaque token; absent on the last.
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
    /// Creates an asset with revision 1 where its id is free. Where it is not, nothing is changed and the
    /// stored asset is returned, whatever it says and whoever owns it. A tombstone takes its id as an asset
    /// does: it is returned, and the id is free again once the tombstone was purged.
    ///
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) when [`Asset::check`] refuses it.
    async fn create(&self, asset: NewAsset) -> Result<CreatedAsset, PortError>;

    /// The asset or its tombstone, with every change that was reported before; `None` when the id is free.
    async fn get(&self, id: &AssetId) -> Result<Option<Asset>, PortError>;

    /// Replaces the asset of that id and epoch by this document, if the stored revision is that of the
    /// document, and increments the revision. Of concurrent updates of one revision exactly one is
    /// [`AssetUpdate::Updated`].
    ///
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) when [`Asset::check`] refuses it, or when it changes
    /// owner, key of the source or time of creation, or is a tombstone.
    async fn update(&self, asset: &Asset) -> Result<AssetUpdate, PortError>;

    /// A page of at most `max` assets of `owner` without the deleted ones, by time of creation and then by
    /// id, both descending. An asset that exists from before the first page until after the last one is on
    /// exactly one page. A new asset may be listed a moment after its creation; a deleted one is not listed
    /// after its deletion. A page may be empty and not the last.
    ///
    /// [`PortErrorKind::Misuse`](crate::PortErrorKind) for a `from` that is not a token of this owner's
    /// listing, for an owner that no asset can have, and for a `max` of 0.
    async fn list(&self, owner: &str, from: Option<&str>, max: usize) -> Result<AssetPage, PortError>;

    /// Turns the asset of that id and epoch into a tombstone, whatever its revision, and increments the
    /// revision. The tombstone; for one that is deleted already the same as before, unchanged. `None` when
    /// there is no such life of the asset.
    async fn delete(&self, id: &AssetId, epoch: &Epoch) -> Result<Option<Asset>, PortError>;

    /// Removes at most `max` tombstones of assets that were deleted before a time, milliseconds since 1970,
    /// and returns how many it removed. The caller leaves [`TOMBSTONE_KEPT`] between that time and now.
    /// Fewer than `max` does not mean that none is left: an index may lag behind.
    async fn purge(&self, before_ms: i64, max: usize) -> Result<usize, PortError>;
}

/// What a caller asks for that no asset can be.
fn misuse(doing: impl std::fmt::Display, error: DomainError) -> PortError {
    PortError::with(PortErrorKind::Misuse, doing, error)
}

impl NewAsset {
    /// The asset as it is created in that life at that time.
    ///
    /// # Errors
    /// `Misuse` when [`Asset::check`] refuses it.
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
    /// What an update by `asset` makes of the stored one: the rule of every catalogue, applied inside its
    /// atomic step.
    ///
    /// # Errors
    /// `Misuse` for a document that no update may bring.
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

/// The tombstone of the stored asset, if it is of that life: unchanged where it is one already.
pub fn tombstone_of(stored: &Asset, epoch: &Epoch, now_ms: i64) -> Option<Asset> {
    let deleted_at_ms = stored.deleted_at_ms.or(Some(now_ms));
    let revision = stored.revision + u64::from(!stored.is_deleted());
    (stored.epoch == *epoch).then(|| Asset { revision, deleted_at_ms, ..stored.clone() })
}

/// A place in the listing of an owner: after the asset of that time and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetPlace {
    /// When the asset was created, milliseconds since 1970.
    pub created_at_ms: i64,
    /// Its id.
    pub id: AssetId,
}

impl AssetPlace {
    /// The place of that asset.
    pub fn of(asset: &Asset) -> AssetPlace {
        AssetPlace { created_at_ms: asset.created_at_ms, id: asset.id.clone() }
    }

    /// The token of this place in the listing of `owner`.
    pub fn token(&self, owner: &str) -> String {
        format!("{}/{}/{owner}", self.created_at_ms, self.id)
    }

    /// Checks the arguments of a listing and reads its token.
    ///
    /// # Errors
    /// `Misuse` as [`AssetCatalogue::list`] says.
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
