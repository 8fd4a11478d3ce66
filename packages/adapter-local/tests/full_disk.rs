//! A disk that is really full. Needs one that is small enough to fill:
//! `mount -t tmpfs -o size=3m tmpfs DIR`, and `SEGUE_TEST_SMALL_DISK=DIR`.

use std::path::PathBuf;
use std::time::Duration;

use segue_adapter_local::LocalBackend;
use segue_domain::{Key, Term};
use segue_ports::{FileUse, Lane, MediaStore, PortErrorKind, PutOptions, Resource, WorkQueue};

const TOO_MUCH: usize = 4 << 20;

fn segment(name: &str) -> Key {
    Key::segment(&"j".parse().unwrap(), &"video".parse().unwrap(), Term(1), name).unwrap()
}

#[tokio::test]
#[ignore = "needs a small disk, see above"]
async fn a_full_disk_is_said_and_survived() {
    let disk = PathBuf::from(std::env::var_os("SEGUE_TEST_SMALL_DISK").expect("a small disk"));
    let folder = tempfile::tempdir_in(disk).unwrap();
    let backend = LocalBackend::open(folder.path()).unwrap();
    let (store, queue) = (&backend.store, &backend.queue);
    let key = segment("big.bin");

    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("big");
    std::fs::write(&file, vec![7; TOO_MUCH]).unwrap();
    let options = PutOptions::default();
    let bytes = store.put_bytes(&key, vec![7; TOO_MUCH].into(), &PutOptions::default()).await;
    let copied = store.upload(&key, &file, FileUse::Consume, &options).await;
    for error in [bytes.unwrap_err(), copied.unwrap_err()] {
        assert_eq!(error.kind, PortErrorKind::Environment, "{error}");
        assert!(error.message.contains("the disk is full"), "{error}");
        assert!(error.message.contains(folder.path().to_str().unwrap()), "it says where: {error}");
    }
    assert_eq!(store.head(&key).await.unwrap(), None, "a part of a file under its key");
    assert!(file.exists(), "the file is gone and not stored");
    let temps = std::fs::read_dir(store.root().join(".tmp").join(backend.holder().as_str())).unwrap();
    assert_eq!(temps.count(), 0, "the disk is kept full");

    let ballast = segment("ballast.bin");
    store.put_bytes(&ballast, vec![7; 1 << 20].into(), &options).await.unwrap();
    let body = ["x".repeat(100_000)];
    let mut sent = 0;
    let error = loop {
        match queue.send(Lane::Task(Resource::Cpu), &body, Duration::ZERO).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, PortErrorKind::Environment, "{error}");
    assert!(error.message.contains("full"), "{error}");
    assert_eq!(queue.depth(Lane::Task(Resource::Cpu)).await.unwrap().waiting, sent, "what was sent is there");

    store.delete(&ballast).await.unwrap();
    queue.send(Lane::Task(Resource::Cpu), &body, Duration::ZERO).await.unwrap();
    assert_eq!(queue.depth(Lane::Task(Resource::Cpu)).await.unwrap().waiting, sent + 1);
    let small = segment("small.bin");
    store.put_bytes(&small, "x".into(), &options).await.unwrap();
}
