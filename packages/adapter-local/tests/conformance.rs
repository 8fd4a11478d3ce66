//! The embedded adapter passes the same suites as the in-memory ones.

use std::sync::Arc;
use std::time::Duration;

use segue_adapter_local::LocalBackend;
use segue_ports::{AssetCatalogue, Ledger, WorkQueue};
use segue_ports_testkit::conformance::{self, Capabilities, Subject, dead};
use tempfile::TempDir;

fn open() -> (LocalBackend, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let backend = LocalBackend::open(&folder.path().join("state")).expect("a backend");
    (backend, folder)
}

fn caps() -> Capabilities {
    Capabilities {
        short: Duration::from_millis(600),
        settle: Duration::from_millis(100),
        clauses_at_once: 4,
        ..Capabilities::default()
    }
}

async fn ledger() -> Subject<dyn Ledger> {
    let (backend, folder) = open();
    Subject::guarded(Arc::new(backend.ledger.recording_notices()), folder)
}

async fn catalogue() -> Subject<dyn AssetCatalogue> {
    let (backend, folder) = open();
    Subject::guarded(backend.catalogue, folder)
}

async fn queue() -> Subject<dyn WorkQueue> {
    let (backend, folder) = open();
    Subject::guarded(backend.queue, folder)
}

async fn letters() -> Subject<dead::Port> {
    let (backend, folder) = open();
    let port = dead::Port { queue: backend.queue.clone(), letters: backend.queue };
    Subject::guarded(Arc::new(port), folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_conforms() {
    conformance::ledger::run(ledger, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queue_conforms() {
    conformance::queue::run(queue, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dead_letters_conform() {
    conformance::dead::run(letters, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_catalogue_conforms() {
    conformance::catalogue::run(catalogue, caps()).await;
}
