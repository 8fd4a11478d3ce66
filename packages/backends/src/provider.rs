//! What a scheme has to provide, and the list of the schemes.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::{Failure, TaskKind};
use segue_ports::{AssetCatalogue, Ledger, MediaStore, ReadArrivals, StoreDocuments, WorkQueue};

use crate::backend::DeadLane;
use crate::failure::internal;
use crate::sources::Sources;
use crate::url::{BackendUrl, Part};

/// A scheme of this build.
pub(crate) struct Scheme {
    /// Its name, without `://`.
    pub name: &'static str,
    /// The parts that it serves.
    pub parts: &'static [Part],
    /// Checks what follows `://`.
    pub check: fn(&str) -> Result<(), Failure>,
    /// A provider for one opening of a backend.
    pub provider: fn() -> Box<dyn Provider>,
}

/// Opens parts. One provider opens all parts of one backend that have its schemes, so that they
/// share resources: a database, a connection, credentials.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// The schemes that this provider serves.
    fn schemes(&self) -> &'static [Scheme];

    /// Opens the parts that have these URLs. A part that is `None` is not requested.
    async fn open(&self, wanted: Wanted<'_>) -> Result<Opened, Failure>;
}

/// The URLs of the parts that a provider is to open.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub ledger: Option<&'a BackendUrl>,
    pub queue: Option<&'a BackendUrl>,
    pub store: Option<&'a BackendUrl>,
}

/// The opened parts.
#[derive(Default)]
pub(crate) struct Opened {
    pub ledger: Option<Arc<dyn Ledger>>,
    /// Comes with the ledger, where the provider has one.
    pub catalogue: Option<Arc<dyn AssetCatalogue>>,
    pub queue: Option<QueuePart>,
    pub store: Option<StorePart>,
}

/// A queue with its optional capabilities.
pub(crate) struct QueuePart {
    pub queue: Arc<dyn WorkQueue>,
    pub gpu_tasks: Vec<TaskKind>,
    pub has_ingest_lane: bool,
    pub dead_letters: Vec<DeadLane>,
}

/// A store with its optional capabilities.
pub(crate) struct StorePart {
    pub store: Arc<dyn MediaStore>,
    pub documents: Arc<dyn StoreDocuments>,
    pub results: Arc<dyn MediaStore>,
    pub sources: Arc<dyn Sources>,
    pub arrivals: Option<Arc<dyn ReadArrivals>>,
    pub is_local: bool,
}

/// The schemes of all providers that are compiled in.
fn schemes() -> impl Iterator<Item = &'static Scheme> {
    let aws: &[Scheme] = {
        #[cfg(feature = "aws")]
        {
            crate::aws::SCHEMES
        }
        #[cfg(not(feature = "aws"))]
        {
            &[]
        }
    };
    crate::folder::SCHEMES.iter().chain(aws)
}

/// Finds a scheme by name, if it is compiled in.
pub(crate) fn scheme(name: &str) -> Option<&'static Scheme> {
    schemes().find(|scheme| scheme.name == name)
}

/// A provider for the scheme of that URL.
pub(crate) fn provider_of(url: &BackendUrl) -> Result<Box<dyn Provider>, Failure> {
    let scheme = scheme(url.scheme());
    let scheme = scheme.ok_or_else(|| internal(format!("a URL of the unknown scheme {}", url.scheme())))?;
    Ok((scheme.provider)())
}

impl<'a> Wanted<'a> {
    /// The URLs among these whose schemes are in `schemes`.
    pub fn of_schemes(self, schemes: &[Scheme]) -> Wanted<'a> {
        let ours = |url: &&BackendUrl| schemes.iter().any(|scheme| scheme.name == url.scheme());
        Wanted {
            ledger: self.ledger.filter(ours),
            queue: self.queue.filter(ours),
            store: self.store.filter(ours),
        }
    }

    /// The first URL.
    pub fn first(&self) -> Option<&'a BackendUrl> {
        self.ledger.or(self.queue).or(self.store)
    }
}
