//! An open backend: a struct of capabilities.

use std::path::Path;
use std::sync::Arc;

use segue_domain::Failure;
use segue_ports::{DeadLetters, Ledger, MediaStore, QueueName, ReadArrivals, WorkQueue};

use crate::failure::internal;
use crate::folder;
use crate::provider::{Opened, QueuePart, StorePart, Wanted, provider_of};
use crate::sources::Sources;
use crate::url::BackendUrls;
use crate::versions::Versions;

/// A queue whose dead letters can be read.
#[derive(Clone)]
pub struct DeadLane {
    /// Its name for people.
    pub name: &'static str,
    /// Its name for `letters`.
    pub queue: QueueName,
    /// The dead letters.
    pub letters: Arc<dyn DeadLetters>,
}

impl DeadLane {
    /// Every queue that `letters` keeps.
    pub(crate) fn all(letters: Arc<dyn DeadLetters>) -> Vec<DeadLane> {
        let lane = |queue: QueueName| DeadLane { name: queue.as_str(), queue, letters: Arc::clone(&letters) };
        QueueName::ALL.map(lane).to_vec()
    }
}

/// Ledger, queue and store, and what else they can do. An absent capability is `None` or empty.
#[derive(Clone)]
pub struct Backend {
    /// Jobs, completions and leases.
    pub ledger: Arc<dyn Ledger>,
    /// The queues.
    pub queue: Arc<dyn WorkQueue>,
    /// The same queues for a worker with a GPU, where tasks that need one have a queue of their
    /// own: it receives these tasks and sends all to where they belong.
    pub gpu_queue: Option<Arc<dyn WorkQueue>>,
    /// The queue of the store's notices of new sources, where it is one of its own.
    pub notices: Option<Arc<dyn WorkQueue>>,
    /// Dead letters, by queue.
    pub dead_letters: Vec<DeadLane>,
    /// The media.
    pub store: Arc<dyn MediaStore>,
    /// The same store without a flush of each file: for results that can be made again.
    pub results: Arc<dyn MediaStore>,
    /// Intake of sources.
    pub sources: Arc<dyn Sources>,
    /// Decodes the store's notices of new sources, where it sends such notices.
    pub arrivals: Option<Arc<dyn ReadArrivals>>,
    /// Ranges of an object's versions, where an object is not a file of this machine.
    pub versions: Option<Arc<dyn Versions>>,
}

impl Backend {
    /// Opens the parts that `urls` names. Services of AWS are not called yet: what is wrong there
    /// is reported by the first call.
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

    /// Opens the embedded backend in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// A folder that cannot be used, or a database in it that is damaged or newer.
    pub async fn open_folder(folder: &Path) -> Result<Backend, Failure> {
        Backend::compose(folder::open_whole(folder).await?)
    }

    fn compose(opened: Opened) -> Result<Backend, Failure> {
        let Opened { ledger: Some(ledger), queue: Some(queue), store: Some(store) } = opened else {
            return Err(internal("a provider left out a part of the backend"));
        };
        let QueuePart { queue, gpu_queue, notices, dead_letters } = queue;
        let StorePart { store, results, sources, arrivals, versions } = store;
        Ok(Backend {
            ledger,
            queue,
            gpu_queue,
            notices,
            dead_letters,
            store,
            results,
            sources,
            arrivals,
            versions,
        })
    }
}
