//! Opened backends, as the ports that roles take.

use std::sync::Arc;

use segue_pipeline::Deps;
use segue_ports::Reporter;

pub use segue_backends::{Backend, BackendUrls, DeadLane, folder_of};

/// The ports of one backend.
pub fn deps(backend: &Backend, reporter: Arc<dyn Reporter>) -> Deps {
    Deps {
        ledger: Arc::clone(&backend.ledger),
        queue: Arc::clone(&backend.queue),
        store: Arc::clone(&backend.store),
        documents: Arc::clone(&backend.documents),
        reporter,
        gpu_tasks: Arc::clone(&backend.gpu_tasks),
    }
}
