//! In-memory asset catalogue; one mutex serves as the transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use segue_domain::{Asset, AssetId, Epoch};

use crate::memory::TokioClock;
use segue_ports::catalogue::{
    AssetCatalogue, AssetPage, AssetPlace, AssetUpdate, CreatedAsset, NewAsset, tombstone_of,
};
use segue_ports::clock::Clock;
use segue_ports::error::PortError;

/// A catalogue with the lifetime of the process.
pub struct MemoryCatalogue {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of assets created so far.
    made: u64,
    assets: BTreeMap<AssetId, Asset>,
}

impl MemoryCatalogue {
    /// An empty catalogue.
    pub fn new() -> MemoryCatalogue {
        MemoryCatalogue::with_clock(Arc::new(TokioClock::new()))
    }

    /// An empty catalogue whose timestamps follow `clock`.
    pub fn with_clock(clock: Arc<dyn Clock>) -> MemoryCatalogue {
        MemoryCatalogue { clock, state: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryCatalogue {
    fn default() -> MemoryCatalogue {
        MemoryCatalogue::new()
    }
}

#[async_trait]
impl AssetCatalogue for MemoryCatalogue {
    async fn create(&self, asset: NewAsset) -> Result<CreatedAsset, PortError> {
        let mut state = self.locked();
        state.made += 1;
        let epoch: Epoch = state.made.to_string().parse().expect("a number is a plain id");
        let asset = asset.into_asset(epoch, self.clock.now_ms())?;
        if let Some(stored) = state.assets.get(&asset.id) {
            return Ok(CreatedAsset { created: false, asset: stored.clone() });
        }
        state.assets.insert(asset.id.clone(), asset.clone());
        Ok(CreatedAsset { created: true, asset })
    }

    async fn get(&self, id: &AssetId) -> Result<Option<Asset>, PortError> {
        Ok(self.locked().assets.get(id).cloned())
    }

    async fn update(&self, asset: &Asset) -> Result<AssetUpdate, PortError> {
        let mut state = self.locked();
        let update = AssetUpdate::of(state.assets.get(&asset.id), asset)?;
        if let AssetUpdate::Updated(after) = &update {
            state.assets.insert(after.id.clone(), after.clone());
        }
        Ok(update)
    }

    async fn list(&self, owner: &str, from: Option<&str>, max: usize) -> Result<AssetPage, PortError> {
        let from = AssetPlace::begin(owner, from, max)?;
        let state = self.locked();
        let mut assets: Vec<&Asset> = state
            .assets
            .values()
            .filter(|asset| asset.owner == owner && !asset.is_deleted())
            .filter(|asset| from.as_ref().is_none_or(|from| AssetPlace::of(asset) < *from))
            .collect();
        assets.sort_by_key(|asset| std::cmp::Reverse(AssetPlace::of(asset)));
        let more = assets.len() > max;
        assets.truncate(max);
        let next = assets.last().filter(|_| more).map(|asset| AssetPlace::of(asset).token(owner));
        Ok(AssetPage { assets: assets.into_iter().cloned().collect(), next })
    }

    async fn delete(&self, id: &AssetId, epoch: &Epoch) -> Result<Option<Asset>, PortError> {
        let mut state = self.locked();
        let now_ms = self.clock.now_ms();
        let tombstone = state.assets.get(id).and_then(|stored| tombstone_of(stored, epoch, now_ms));
        state.assets.extend(tombstone.iter().map(|tombstone| (id.clone(), tombstone.clone())));
        Ok(tombstone)
    }

    async fn purge(&self, before_ms: i64, max: usize) -> Result<usize, PortError> {
        let mut state = self.locked();
        let gone = state.assets.values().filter(|asset| asset.deleted_at_ms.is_some_and(|at| at < before_ms));
        let gone: Vec<AssetId> = gone.take(max).map(|asset| asset.id.clone()).collect();
        state.assets.retain(|id, _| !gone.contains(id));
        Ok(gone.len())
    }
}
