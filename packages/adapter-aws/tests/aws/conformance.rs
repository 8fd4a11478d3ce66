//! The AWS adapter passes the same suites as the in-memory and the embedded one, on an emulator.

use std::sync::Arc;
use std::time::Duration;

use segue_adapter_aws::testing::{Provisioned, emulator, provision_lanes};
use segue_ports::{AssetCatalogue, Lane, Ledger, WorkQueue};
use segue_ports_testkit::conformance::{self, Capabilities, Subject, dead, documents, links, store};

async fn deployment() -> Provisioned {
    provision_lanes(emulator().endpoint(), &Lane::ALL).await
}

async fn ledger() -> Subject<dyn Ledger> {
    Subject::new(Arc::new(deployment().await.connect().await.ledger.recording_notices()))
}

async fn catalogue() -> Subject<dyn AssetCatalogue> {
    Subject::new(deployment().await.connect().await.catalogue.expect("a table of assets"))
}

async fn queue() -> Subject<dyn WorkQueue> {
    Subject::new(deployment().await.connect().await.queue)
}

async fn letters() -> Subject<dead::Port> {
    let queue = deployment().await.connect().await.queue;
    Subject::new(Arc::new(dead::Port { letters: queue.clone(), queue }))
}

async fn media() -> Subject<store::Port> {
    let store = deployment().await.connect().await.store;
    let scratch = tempfile::tempdir().expect("a folder");
    let port = store::Port { store, scratch: scratch.path().to_owned() };
    Subject::guarded(Arc::new(port), scratch)
}

async fn cas() -> Subject<documents::Port> {
    let store = deployment().await.connect().await.store;
    Subject::new(Arc::new(documents::Port { documents: store.clone(), store }))
}

async fn signed() -> Subject<links::Port> {
    let store = deployment().await.connect().await.store;
    Subject::new(Arc::new(links::Port {
        links: store.clone(),
        store,
        client: Arc::new(crate::support::Http),
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_conforms() {
    let caps = Capabilities {
        short: Duration::from_millis(1500),
        settle: Duration::from_millis(200),
        clauses_at_once: crate::support::CLAUSES_AT_ONCE,
        ..Capabilities::default()
    };
    // boxed: the suite holds one such future for each clause, which together outgrow a thread's stack
    conformance::ledger::run(|| Box::pin(ledger()), caps).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queue_conforms() {
    conformance::queue::run(queue, crate::support::queue_caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dead_letters_conform() {
    conformance::dead::run(letters, crate::support::queue_caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_conforms() {
    let caps = Capabilities { clauses_at_once: crate::support::CLAUSES_AT_ONCE, ..Capabilities::default() };
    conformance::store::run(media, caps).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn documents_conform() {
    conformance::documents::run(cas, Capabilities::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn links_conform() {
    conformance::links::run(signed, Capabilities::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_catalogue_conforms() {
    let caps = Capabilities { clauses_at_once: crate::support::CLAUSES_AT_ONCE, ..Capabilities::default() };
    // boxed as above
    conformance::catalogue::run(|| Box::pin(catalogue()), caps).await;
}
