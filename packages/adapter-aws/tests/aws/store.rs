//! Cases specific to S3: files in parts, checksums, links.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use segue_adapter_aws::S3Store;
use segue_adapter_aws::testing::{Provisioned, emulator, provision};
use segue_domain::Key;
use segue_ports::{FileUse, MediaStore, PortError, PortErrorKind, PutOptions};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

struct Place {
    deployment: Provisioned,
    store: Arc<S3Store>,
    scratch: TempDir,
}

async fn open() -> Place {
    let deployment = provision(emulator().endpoint()).await;
    let store = deployment.connect().await.store;
    Place { deployment, store, scratch: tempfile::tempdir().unwrap() }
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn noise(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|n| ((n + seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

impl Place {
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn upload(&self, key: &Key, file: &Path) -> Result<(), PortError> {
        self.store.upload(key, file, FileUse::Consume, &PutOptions::default()).await
    }

    async fn put(&self, text: &str, bytes: &'static [u8]) -> Result<(), PortError> {
        self.store.put_bytes(&key(text), Bytes::from_static(bytes), &PutOptions::default()).await
    }

    /// Uploads that were started and not ended.
    async fn open_uploads(&self) -> usize {
        let client = self.deployment.s3().await;
        let buckets = &self.deployment.settings.buckets;
        let mut open = 0;
        for bucket in [&buckets.input, &buckets.output] {
            open += client.list_multipart_uploads().bucket(bucket).send().await.unwrap().uploads().len();
        }
        open
    }
}

fn same(path: &Path, bytes: &[u8]) -> bool {
    std::fs::read(path).unwrap() == bytes
}

/// Sizes around that of a part, up and down again.
#[tokio::test]
async fn files_of_many_parts_come_back_as_they_were() {
    let place = open().await;
    for bytes in [8 * MIB, 8 * MIB + 1, 16 * MIB, 27 * MIB + 3] {
        let (key, data) = (key(&format!("work/j/video/t/1/{bytes}.nut")), noise(bytes, bytes));
        let file = place.file("up", &data);
        place.upload(&key, &file).await.unwrap();
        assert!(!file.exists());
        let found = place.store.head(&key).await.unwrap().unwrap();
        assert_eq!((found.bytes, found.crc32), (bytes as u64, Some(crc32fast::hash(&data))));
        let down = place.store.get_file(&key, place.scratch.path()).await.unwrap();
        assert!(same(&down, &data), "{bytes} bytes");
    }
    assert_eq!(place.open_uploads().await, 0);
}

/// Of concurrent large uploads one wins, and the parts of the others are aborted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_large_files_is_created() {
    let place = open().await;
    let key = key("input/j/source.mp4");
    let files: Vec<_> = (0..4).map(|n| place.file(&format!("f{n}"), &noise(9 * MIB, n * 7919))).collect();
    join_all(files.iter().map(|file| place.store.adopt(&key, file)))
        .await
        .into_iter()
        .for_each(Result::unwrap);
    assert!(files.iter().all(|file| file.exists()), "an adopted file stays");
    let down = place.store.get_file(&key, place.scratch.path()).await.unwrap();
    assert!((0..4).any(|n| same(&down, &noise(9 * MIB, n * 7919))), "a mixture");
    place.store.adopt(&key, &place.file("late", b"late")).await.unwrap();
    assert_eq!(place.store.head(&key).await.unwrap().unwrap().bytes, 9 << 20, "a late one replaced it");
    // uploads are aborted in the background
    for _ in 0..50 {
        if place.open_uploads().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("uploads are left open");
}

/// A promotion in parts, once, with the checksum of the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_file_is_promoted_in_parts() {
    let place = open().await;
    let store = (*place.store).clone().with_copy_parts_of(5 << 20);
    let to = key("jobs/j/final.mp4");
    let data = noise(23 * MIB + 11, 1);
    let from = key("work/j/video/assemble/1/final.mp4");
    place.upload(&from, &place.file("f", &data)).await.unwrap();
    let options = PutOptions::default();
    for promoted in join_all((0..3).map(|_| store.promote(&from, &to, &options))).await {
        promoted.unwrap();
    }
    store.delete(&from).await.unwrap();
    store.promote(&from, &to, &options).await.expect("a late repeat");
    assert_eq!(store.head(&to).await.unwrap().unwrap().media_type.as_deref(), Some("video/mp4"));
    let down = store.get_file(&to, place.scratch.path()).await.unwrap();
    assert!(same(&down, &data));
}

/// From one bucket into the other.
#[tokio::test]
async fn the_areas_lie_in_their_buckets() {
    let place = open().await;
    let client = place.deployment.s3().await;
    let buckets = &place.deployment.settings.buckets;
    for (text, bucket) in [
        ("input/j/source.mp4", &buckets.input),
        ("segments/j/video/1/plan.json", &buckets.input),
        ("work/j/video/t/1/a", &buckets.output),
        ("jobs/j/a", &buckets.output),
    ] {
        place.put(text, b"x").await.unwrap();
        client.head_object().bucket(bucket).key(text).send().await.unwrap();
    }
    let all = place.store.list("", None, 100).await.unwrap();
    let keys: Vec<_> = all.objects.iter().map(|o| o.key.as_str()).collect();
    assert_eq!(
        keys,
        ["input/j/source.mp4", "jobs/j/a", "segments/j/video/1/plan.json", "work/j/video/t/1/a"]
    );
    let to = key("jobs/j/source.mp4");
    place.store.promote(&key("input/j/source.mp4"), &to, &PutOptions::default()).await.unwrap();
    assert!(place.store.head(&to).await.unwrap().is_some());
}

/// Bytes that were corrupted in the store are not accepted as the object.
#[tokio::test]
async fn damage_is_found() {
    let place = open().await;
    let client = place.deployment.s3().await;
    let bucket = &place.deployment.settings.buckets.output;
    let text = "work/j/video/t/1/a.bin";
    client
        .put_object()
        .bucket(bucket)
        .key(text)
        .body(Bytes::from_static(b"other bytes").into())
        .metadata("segue-crc32", "AAAAAA==")
        .send()
        .await
        .unwrap();
    let damaged = place.store.get_file(&key(text), place.scratch.path()).await.unwrap_err();
    assert_eq!(damaged.kind, PortErrorKind::Corrupt, "{damaged}");
    assert_eq!(std::fs::read_dir(place.scratch.path()).unwrap().count(), 0, "the copy is left");
}

/// An object of another program has no checksum of Segue and is read all the same.
#[tokio::test]
async fn a_file_of_a_user_is_read() {
    let place = open().await;
    let client = place.deployment.s3().await;
    let (bucket, text) = (&place.deployment.settings.buckets.input, "input/j/source.mp4");
    let data = noise(9 * MIB, 5);
    let body = Bytes::from(data.clone()).into();
    client.put_object().bucket(bucket).key(text).body(body).send().await.unwrap();
    let down = place.store.get_file(&key(text), place.scratch.path()).await.unwrap();
    assert!(same(&down, &data));
}

/// A long file name of a key is no file name of a file system.
#[tokio::test]
async fn a_long_name_is_downloaded() {
    let place = open().await;
    let text = format!("jobs/j/{}.mp4", "n".repeat(500));
    place.put(&text, b"x").await.unwrap();
    let down = place.store.get_file(&key(&text), place.scratch.path()).await.unwrap();
    assert_eq!(down.extension().unwrap(), "mp4");
}

/// An upload whose caller was dropped is aborted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_called_off_leaves_nothing() {
    let place = open().await;
    let file = place.file("f", &noise(30 * MIB, 3));
    let key = key("work/j/video/t/1/f");
    let put = place.upload(&key, &file);
    let called_off = tokio::time::timeout(Duration::from_millis(300), put).await;
    if called_off.is_ok() {
        return; // this machine is too fast to be interrupted
    }
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if place.open_uploads().await == 0 {
            // the very last request may have been executed all the same
            let stands = place.store.head(&key).await.unwrap();
            assert!(stands.is_none_or(|object| object.bytes == 30 << 20), "a part of it is there");
            assert!(file.exists(), "what nobody heard of is not taken");
            return;
        }
    }
    panic!("the upload is left open");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_an_error_of_the_deployment() {
    let mut place = open().await;
    place.deployment.settings.buckets.output = "nowhere-at-all".to_owned();
    let store = place.deployment.connect().await.store;
    let missing = store.put_bytes(&key("jobs/j/a"), Bytes::new(), &PutOptions::default()).await.unwrap_err();
    assert_eq!(missing.kind, PortErrorKind::Environment, "{missing}");
    let missing = store.list("jobs/", None, 1).await.unwrap_err();
    assert_eq!(missing.kind, PortErrorKind::Environment, "{missing}");
}

/// Keys that cannot be deleted are an error although the request succeeds.
#[tokio::test]
async fn a_batch_whose_bucket_is_not_there_is_an_error() {
    let mut place = open().await;
    place.deployment.settings.buckets.output = "nowhere-at-all".to_owned();
    let store = place.deployment.connect().await.store;
    let keys = ["jobs/j/a", "jobs/j/b"].map(key);
    let missing = store.delete_many(&keys).await.unwrap_err();
    assert_eq!(missing.kind, PortErrorKind::Environment, "{missing}");
}
