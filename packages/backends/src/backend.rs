//! An open backend: a struct of capabilities.

use std::path::Path;
use std::sync::Arc;

use segue_domain::{Failure, TaskKind};
use segue_ports::{
    AssetCatalogue, DeadLetters, Lane, Ledger, MediaStore, ReadArrivals, StoreDocuments, WorkQueue,
};

use crate::failure::internal;
use crate::folder;
use crate::provider::{Opened, QueuePart, StorePart, Wanted, provider_of};
use crate::sources::Sources;
use crate::url::BackendUrls;

/// A lane whose dead letters can be listed.
#[derive(Clone)]
pub struct DeadLane {
    /// The lane.
    pub lane: Lane,
    /// The dead letters.
    pub letters: Arc<dyn DeadLetters>,
}

impl DeadLane {
    /// The dead letters of these lanes.
    pub(crate) fn new(letters: &Arc<dyn DeadLetters>, lanes: &[Lane]) -> Vec<DeadLane> {
        lanes.iter().map(|lane| DeadLane { lane: *lane, letters: Arc::clone(letters) }).collect()
    }
}

/// Ledger, queue and store, and their optional capabilities. An absent capability is `None` or
/// empty.
#[derive(Clone)]
pub struct Backend {
    /// Jobs, completions and leases.
    pub ledger: Arc<dyn Ledger>,
    /// The assets, where the backend of the ledger has a catalogue of them.
    pub catalogue: Option<Arc<dyn AssetCatalogue>>,
    /// The lanes.
    pub queue: Arc<dyn WorkQueue>,
    /// Kinds of tasks for workers with a GPU, if these have a lane of their own.
    pub gpu_tasks: Arc<[TaskKind]>,
    /// Whether the lane of upload notices has a queue of its own.
    pub has_ingest_lane: bool,
    /// Dead letters, by lane.
    pub dead_letters: Vec<DeadLane>,
    /// The media store.
    pub store: Arc<dyn MediaStore>,
    /// Compare-and-swap of small documents in the same store.
    pub documents: Arc<dyn StoreDocuments>,
    /// The same store without a flush of each file: for results that can be produced again.
    pub results: Arc<dyn MediaStore>,
    /// Intake of sources.
    pub sources: Arc<dyn Sources>,
    /// Decodes the store's upload notices, if it sends any.
    pub arrivals: Option<Arc<dyn ReadArrivals>>,
    /// Whether objects are local files, so that a cache of sources is useless.
    pub is_local: bool,
}

impl Backend {
    /// Opens the parts that `urls` names. AWS services are not called yet: errors of their
    /// configuration are reported by the first call.
    ///
    /// # Errors
    /// A folder that cannot be used; an environment that lacks a variable.
    pub async fn open(urls: &BackendUrls) -> Result<Backend, Failure> {
        let mut left =
            Wanted { ledger: Some(&urls.ledger), queue: Some(&urls.queue), store: Some(&urls.store) };
        let mut opened = Opened::default();
        while let Some(url) = left.first() {
            let provider = provider_of(url)?;
            let wanted = left.of_schemes(provider.schemes());
            let more = provider.open(wanted).await?;
            opened = Opened {
                ledger: opened.ledger.or(more.ledger),
                catalogue: opened.catalogue.or(more.catalogue),
                queue: opened.queue.or(more.queue),
                store: opened.store.or(more.store),
            };
            left = Wanted {
                ledger: left.ledger.filter(|_| wanted.ledger.is_none()),
                queue: left.queue.filter(|_| wanted.queue.is_none()),
                store: left.store.filter(|_| wanted.store.is_none()),
            };
        }
        Backend::compose(opened)
    }

    /// Opens the embedded backend in `folder`, which is created if missing.
    ///
    /// # Errors
    /// A folder that cannot be used, or a database in it that is damaged or newer.
    pub async fn open_folder(folder: &Path) -> Result<Backend, Failure> {
        Backend::compose(folder::open_whole(folder).await?)
    }

    fn compose(opened: Opened) -> Result<Backend, Failure> {
        let Opened { ledger: Some(ledger), catalogue, queue: Some(queue), store: Some(store) } = opened
        else {
            return Err(internal("a provider left out a part of the backend"));
        };
        let QueuePart { queue, gpu_tasks, has_ingest_lane, dead_letters } = queue;
        let StorePart { store, documents, results, sources, arrivals, is_local } = store;
        Ok(Backend {
            ledger,
            catalogue,
            queue,
            gpu_tasks: gpu_tasks.into(),
            has_ingest_lane,
            dead_letters,
            store,
            documents,
            results,
            sources,
            arrivals,
            is_local,
        })
    }
}
