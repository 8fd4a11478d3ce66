//! The in-memory adapters pass the suites: hours of leases on a paused clock, and concurrent
//! threads on the running one.

use std::sync::Arc;
use std::time::Duration;

use segue_ports::{AssetCatalogue, Ledger, WorkQueue};
use segue_ports_testkit::conformance::{self, Capabilities, Subject, dead, documents, store};
use segue_ports_testkit::memory::{MemoryCatalogue, MemoryLedger, MemoryQueue, MemoryStore};

async fn ledger() -> Subject<dyn Ledger> {
    Subject::new(Arc::new(MemoryLedger::new().recording_notices()))
}

async fn catalogue() -> Subject<dyn AssetCatalogue> {
    Subject::new(Arc::new(MemoryCatalogue::new()))
}

async fn queue() -> Subject<dyn WorkQueue> {
    Subject::new(Arc::new(MemoryQueue::new()))
}

async fn letters() -> Subject<dead::Port> {
    let queue = Arc::new(MemoryQueue::new());
    Subject::new(Arc::new(dead::Port { letters: queue.clone(), queue }))
}

async fn media() -> Subject<store::Port> {
    let folder = tempfile::tempdir().expect("a folder");
    let scratch = folder.path().to_owned();
    Subject::guarded(Arc::new(store::Port { store: Arc::new(MemoryStore::new()), scratch }), folder)
}

async fn cas() -> Subject<documents::Port> {
    let store = Arc::new(MemoryStore::new());
    Subject::new(Arc::new(documents::Port { documents: store.clone(), store }))
}

/// On a paused clock waiting costs nothing, so that it may be long.
fn patient() -> Capabilities {
    Capabilities {
        short: Duration::from_secs(60),
        settle: Duration::from_secs(1),
        clauses_at_once: 16,
        ..Capabilities::default()
    }
}

fn hasty() -> Capabilities {
    Capabilities {
        short: Duration::from_millis(250),
        settle: Duration::from_millis(80),
        callers: 24,
        clauses_at_once: 8,
        ..Capabilities::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_ledger_conforms_on_a_paused_clock() {
    conformance::ledger::run(ledger, patient()).await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_conforms_on_a_paused_clock() {
    conformance::queue::run(queue, patient()).await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_conform_on_a_paused_clock() {
    conformance::dead::run(letters, patient()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_conforms_on_threads() {
    conformance::ledger::run(ledger, hasty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queue_conforms_on_threads() {
    conformance::queue::run(queue, hasty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_conforms_on_threads() {
    conformance::store::run(media, hasty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn documents_conform_on_threads() {
    conformance::documents::run(cas, hasty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dead_letters_conform_on_threads() {
    conformance::dead::run(letters, hasty()).await;
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_conforms_on_a_paused_clock() {
    conformance::catalogue::run(catalogue, patient()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_catalogue_conforms_on_threads() {
    conformance::catalogue::run(catalogue, hasty()).await;
}
