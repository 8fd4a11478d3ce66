//! The suite of the catalogue detects catalogues that violate the contract.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{Asset, AssetId, Epoch};
use segue_ports::{AssetCatalogue, AssetPage, AssetUpdate, CreatedAsset, NewAsset, PortError};
use segue_ports_testkit::conformance::{self, Capabilities, Subject};
use segue_ports_testkit::memory::MemoryCatalogue;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Every creation reports that it created the asset.
    AlwaysCreated,
    /// Compares the revision, and writes some time later.
    ComparesThenWrites,
    /// Writes without comparing the revision.
    IgnoresTheRevision,
    /// One result for a stale revision and for a missing asset.
    StaleIsMissing,
    /// A creation replaces a tombstone.
    CreatesOverTombstones,
    /// Only the first page is ever read.
    ForgetsPages,
    /// The oldest asset of a page comes first.
    OldestFirst,
    /// A token is the number of assets before the page.
    CountsPlaces,
    /// Accepts tokens of another owner's listing.
    TakesEveryToken,
    /// Deletes the asset with that id in any epoch.
    DeletesAnyLife,
    /// Each deletion is a new one.
    DeletesAgain,
    /// Purges every tombstone, however recent.
    PurgesYoungTombstones,
    /// Purges more than `max`.
    PurgesWithoutBound,
}

struct Broken {
    fault: Fault,
    catalogue: MemoryCatalogue,
}

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The asset with the revision that is stored.
    async fn with_stored_revision(&self, asset: &Asset) -> Result<Asset, PortError> {
        let stored = self.catalogue.get(&asset.id).await?;
        Ok(Asset { revision: stored.map_or(0, |stored| stored.revision), ..asset.clone() })
    }
}

#[async_trait]
impl AssetCatalogue for Broken {
    async fn create(&self, asset: NewAsset) -> Result<CreatedAsset, PortError> {
        let stored = self.catalogue.get(&asset.id).await?;
        if self.is(Fault::CreatesOverTombstones) && stored.is_some_and(|stored| stored.is_deleted()) {
            self.catalogue.purge(i64::MAX, usize::MAX).await?;
        }
        let result = self.catalogue.create(asset).await?;
        let created = result.created || self.is(Fault::AlwaysCreated);
        Ok(CreatedAsset { created, ..result })
    }

    async fn get(&self, id: &AssetId) -> Result<Option<Asset>, PortError> {
        self.catalogue.get(id).await
    }

    async fn update(&self, asset: &Asset) -> Result<AssetUpdate, PortError> {
        match self.fault {
            Fault::IgnoresTheRevision => {
                self.catalogue.update(&self.with_stored_revision(asset).await?).await
            }
            Fault::ComparesThenWrites => {
                let now = self.with_stored_revision(asset).await?;
                if now.revision != asset.revision {
                    return self.catalogue.update(asset).await;
                }
                tokio::task::yield_now().await;
                self.catalogue.update(&self.with_stored_revision(asset).await?).await
            }
            _ => match self.catalogue.update(asset).await? {
                AssetUpdate::Stale(_) if self.is(Fault::StaleIsMissing) => Ok(AssetUpdate::Missing),
                update => Ok(update),
            },
        }
    }

    async fn list(&self, owner: &str, from: Option<&str>, max: usize) -> Result<AssetPage, PortError> {
        if self.is(Fault::CountsPlaces) {
            let skipped: usize = from.map_or(0, |from| from.parse().unwrap_or(0));
            let all = self.catalogue.list(owner, None, 1000).await?.assets;
            let next = (all.len() > skipped + max).then(|| (skipped + max).to_string());
            return Ok(AssetPage { assets: all.into_iter().skip(skipped).take(max).collect(), next });
        }
        let place = |token: &str| {
            let mut parts = token.splitn(3, '/');
            Some(format!("{}/{}/{owner}", parts.next()?, parts.next()?))
        };
        let own = from.filter(|_| self.is(Fault::TakesEveryToken)).and_then(place);
        let mut page = self.catalogue.list(owner, own.as_deref().or(from), max).await?;
        if self.is(Fault::OldestFirst) {
            page.assets.reverse();
        }
        Ok(if self.is(Fault::ForgetsPages) { AssetPage { next: None, ..page } } else { page })
    }

    async fn delete(&self, id: &AssetId, epoch: &Epoch) -> Result<Option<Asset>, PortError> {
        let stored = self.catalogue.get(id).await?;
        if let Some(stored) = stored.filter(|_| self.is(Fault::DeletesAnyLife)) {
            return self.catalogue.delete(id, &stored.epoch).await;
        }
        let tombstone = self.catalogue.delete(id, epoch).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let later = |asset: Asset| Asset { deleted_at_ms: asset.deleted_at_ms.map(|at| at + 1), ..asset };
        Ok(if self.is(Fault::DeletesAgain) { tombstone.map(later) } else { tombstone })
    }

    async fn purge(&self, before_ms: i64, max: usize) -> Result<usize, PortError> {
        let before_ms = if self.is(Fault::PurgesYoungTombstones) { i64::MAX } else { before_ms };
        let purged = self.catalogue.purge(before_ms, max).await?;
        if self.is(Fault::PurgesWithoutBound) {
            self.catalogue.purge(before_ms, usize::MAX).await?;
        }
        Ok(purged)
    }
}

async fn run(fault: Fault) {
    let caps = Capabilities { clauses_at_once: 16, ..Capabilities::default() };
    let subject = || async {
        let catalogue = MemoryCatalogue::new();
        Subject::<dyn AssetCatalogue>::new(Arc::new(Broken { fault, catalogue }))
    };
    conformance::catalogue::run(subject, caps).await;
}

#[tokio::test(start_paused = true)]
async fn every_broken_catalogue_is_found() {
    let cases = [
        (Fault::AlwaysCreated, "the second creation of an asset"),
        (Fault::ComparesThenWrites, "exactly one of many updaters wins"),
        (Fault::IgnoresTheRevision, "an update of revision 0"),
        (Fault::StaleIsMissing, "an update of revision 0"),
        (Fault::CreatesOverTombstones, "a creation over a tombstone"),
        (Fault::ForgetsPages, "in pages of 1"),
        (Fault::OldestFirst, "in pages of 2"),
        (Fault::CountsPlaces, "on no page"),
        (Fault::TakesEveryToken, "a token of another listing is taken"),
        (Fault::DeletesAnyLife, "another life was deleted"),
        (Fault::DeletesAgain, "left: Some"),
        (Fault::PurgesYoungTombstones, "purged too early"),
        (Fault::PurgesWithoutBound, "left by the first purge"),
    ];
    for (fault, expected) in cases {
        let ended = tokio::spawn(run(fault)).await;
        let panic = ended.expect_err(&format!("the suite did not find {fault:?}")).into_panic();
        let message = panic.downcast_ref::<String>().cloned();
        let message =
            message.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        assert!(message.contains(expected), "{fault:?} was found by accident: {message}");
    }
}
