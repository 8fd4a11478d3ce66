//! The folder store passes the suites of the media store and of its documents.

use std::sync::Arc;

use segue_adapter_folder::FolderStore;
use segue_ports_testkit::conformance::{self, Capabilities, Subject, documents, store};
use tempfile::TempDir;

fn open() -> (FolderStore, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = FolderStore::open(&folder.path().join("media")).expect("a store");
    (store, folder)
}

fn caps() -> Capabilities {
    Capabilities { keeps_put_options: false, ..Capabilities::default() }
}

async fn media() -> Subject<store::Port> {
    let (store, folder) = open();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).expect("a folder");
    Subject::guarded(Arc::new(store::Port { store: Arc::new(store), scratch }), folder)
}

/// Another file system than the store's, where the machine has one: files are copied.
async fn media_from_elsewhere() -> Subject<store::Port> {
    let (store, folder) = open();
    let elsewhere = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let scratch = elsewhere.path().to_owned();
    Subject::guarded(Arc::new(store::Port { store: Arc::new(store), scratch }), (folder, elsewhere))
}

/// The documents of one open store, read by another that has the same folder open.
async fn cas() -> Subject<documents::Port> {
    let (store, folder) = open();
    let other = FolderStore::open(store.root()).expect("a second store");
    let port = documents::Port { documents: Arc::new(store), store: Arc::new(other) };
    Subject::guarded(Arc::new(port), folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_conforms() {
    conformance::store::run(media, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_conforms_across_file_systems() {
    conformance::store::run(media_from_elsewhere, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn documents_conform() {
    conformance::documents::run(cas, caps()).await;
}
