//! The media where they are S3's: files in parts, checksums, links.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use segue_adapter_aws::testing::{Provisioned, emulator, provision};
use segue_adapter_aws::{S3Store, UploadedPart};
use segue_domain::Key;
use segue_ports::{MediaStore, PortErrorKind, PutMode, PutResult};
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

    /// Uploads that were begun and not ended.
    async fn open_uploads(&self) -> usize {
        let client = self.deployment.s3().await;
        let bucket = &self.deployment.settings.buckets.output;
        client.list_multipart_uploads().bucket(bucket).send().await.unwrap().uploads().len()
    }
}

/// Of many writers one writes, on an emulator that decides it as S3 does.
fn assert_once(written: usize) {
    let once = if emulator().is_ministack() { written == 1 } else { written >= 1 };
    assert!(once, "{written} of many wrote");
}

fn same(path: &Path, bytes: &[u8]) -> bool {
    std::fs::read(path).unwrap() == bytes
}

/// Sizes around those of a part, up and down again.
#[tokio::test]
async fn files_of_many_parts_come_back_as_they_were() {
    let place = open().await;
    for bytes in [8 * MIB, 8 * MIB + 1, 16 * MIB, 27 * MIB + 3] {
        let (key, data) = (key(&format!("work/j/t/1/{bytes}.nut")), noise(bytes, bytes));
        let file = place.file("up", &data);
        assert_eq!(place.store.put_file(&key, &file, PutMode::CreateOnce).await.unwrap(), PutResult::Written);
        assert!(!file.exists());
        assert_eq!(place.store.head(&key).await.unwrap().unwrap().bytes, bytes as u64);
        let down = place.store.get_file(&key, place.scratch.path()).await.unwrap();
        assert!(same(&down, &data), "{bytes} bytes");
        let range = (bytes - 5) as u64..bytes as u64;
        assert_eq!(place.store.get_range(&key, range).await.unwrap(), data[bytes - 5..]);
        let late = place.file("late", &data);
        assert_eq!(place.store.put_file(&key, &late, PutMode::CreateOnce).await.unwrap(), PutResult::Exists);
        assert!(!late.exists());
    }
    assert_eq!(place.open_uploads().await, 0);
}

/// Of many large files one is created, and what the others sent is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_large_files_is_created() {
    let place = open().await;
    let key = key("jobs/j/final.mp4");
    let files: Vec<_> = (0..4).map(|n| place.file(&format!("f{n}"), &noise(9 * MIB, n * 7919))).collect();
    let calls = files.iter().map(|file| place.store.put_file(&key, file, PutMode::CreateOnce));
    let results: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_once(results.iter().filter(|r| **r == PutResult::Written).count());
    if !emulator().is_ministack() {
        return;
    }
    let winner = results.iter().position(|r| *r == PutResult::Written).unwrap();
    let down = place.store.get_file(&key, place.scratch.path()).await.unwrap();
    assert!(same(&down, &noise(9 * MIB, winner * 7919)));
    // uploads are given up on the side
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
    let from = key("work/j/reassemble/1/final.mp4");
    store.put_file(&from, &place.file("f", &data), PutMode::CreateOnce).await.unwrap();
    let results = join_all((0..3).map(|_| store.promote(&from, &to, PutMode::CreateOnce))).await;
    assert_once(results.iter().filter(|r| *r.as_ref().unwrap() == PutResult::Written).count());
    store.delete(&from).await.unwrap();
    assert_eq!(store.promote(&from, &to, PutMode::CreateOnce).await.unwrap(), PutResult::Exists);
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
        ("segments/j/1/plan.json", &buckets.input),
        ("work/j/t/1/a", &buckets.output),
        ("jobs/j/a", &buckets.output),
    ] {
        place.store.put_bytes(&key(text), Bytes::from_static(b"x"), PutMode::CreateOnce).await.unwrap();
        client.head_object().bucket(bucket).key(text).send().await.unwrap();
    }
    let all = place.store.list("", None, 100).await.unwrap();
    let keys: Vec<_> = all.objects.iter().map(|o| o.key.as_str()).collect();
    assert_eq!(keys, ["input/j/source.mp4", "jobs/j/a", "segments/j/1/plan.json", "work/j/t/1/a"]);
    let copied = place
        .store
        .promote(&key("input/j/source.mp4"), &key("jobs/j/source.mp4"), PutMode::CreateOnce)
        .await
        .unwrap();
    assert_eq!(copied, PutResult::Written);
}

/// Bytes that changed where they lie are not taken for the object.
#[tokio::test]
async fn damage_is_found() {
    let place = open().await;
    let client = place.deployment.s3().await;
    let bucket = &place.deployment.settings.buckets.output;
    let text = "work/j/t/1/a.bin";
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

/// An object of somebody else has no checksum of ours and is read all the same.
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
    place.store.put_bytes(&key(&text), Bytes::from_static(b"x"), PutMode::CreateOnce).await.unwrap();
    let down = place.store.get_file(&key(&text), place.scratch.path()).await.unwrap();
    assert_eq!(down.extension().unwrap(), "mp4");
}

/// An upload whose caller went away is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_called_off_leaves_nothing() {
    let place = open().await;
    let file = place.file("f", &noise(30 * MIB, 3));
    let key = key("work/j/t/1/f");
    let put = place.store.put_file(&key, &file, PutMode::CreateOnce);
    let called_off = tokio::time::timeout(Duration::from_millis(300), put).await;
    if called_off.is_ok() {
        return; // this machine is too fast to be interrupted
    }
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if place.open_uploads().await == 0 {
            // the very last request may have been done all the same
            let stands = place.store.head(&key).await.unwrap();
            assert!(stands.is_none_or(|object| object.bytes == 30 << 20), "a part of it is there");
            assert!(file.exists(), "what nobody heard of is not taken");
            return;
        }
    }
    panic!("the upload is left open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_work_without_credentials() {
    let place = open().await;
    let key = key("input/j/source.mp4");
    let minute = Duration::from_secs(60);
    let put = place.store.presign_put(&key, minute).await.unwrap();
    let get = place.store.presign_get(&key, minute).await.unwrap();
    assert!(get.contains("X-Amz-Signature="), "{get}");
    let read = tokio::task::spawn_blocking(move || {
        ureq::put(&put).send(&b"by link"[..]).unwrap();
        let whole = ureq::get(&get).call().unwrap().body_mut().read_to_string().unwrap();
        let part = ureq::get(&get).header("Range", "bytes=3-6").call().unwrap().body_mut().read_to_string();
        (whole, part.unwrap())
    });
    assert_eq!(read.await.unwrap(), ("by link".to_owned(), "link".to_owned()));
    assert_eq!(place.store.get_bytes(&key, 100).await.unwrap(), "by link");
    let week = Duration::from_secs(8 * 24 * 3600);
    assert_eq!(place.store.presign_get(&key, week).await.unwrap_err().kind, PortErrorKind::Misuse);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_uploaded_in_parts_by_links() {
    let place = open().await;
    let (key, data) = (key("input/j/source.mp4"), noise(17 * MIB, 9));
    let minute = Duration::from_secs(60);
    let upload = place.store.presign_upload(&key, data.len() as u64, minute).await.unwrap();
    assert_eq!((upload.parts.len(), upload.part_bytes), (3, 8 << 20));
    let (urls, size, sent) = (upload.parts.clone(), upload.part_bytes as usize, data.clone());
    let parts = tokio::task::spawn_blocking(move || {
        let send = |(n, (url, bytes)): (usize, (&String, &[u8]))| {
            let answer = ureq::put(url).send(bytes).unwrap();
            let etag = answer.headers().get("etag").unwrap().to_str().unwrap().to_owned();
            UploadedPart { number: n as i32 + 1, etag }
        };
        urls.iter().zip(sent.chunks(size)).enumerate().map(send).collect::<Vec<_>>()
    });
    assert_eq!(place.store.head(&key).await.unwrap(), None, "not before it is completed");
    place.store.complete_upload(&key, &upload.id, &parts.await.unwrap()).await.unwrap();
    let down = place.store.get_file(&key, place.scratch.path()).await.unwrap();
    assert!(same(&down, &data));

    let other = place.store.presign_upload(&key, 1, minute).await.unwrap();
    place.store.abort_upload(&key, &other.id).await.unwrap();
    place.store.abort_upload(&key, &other.id).await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_an_error_of_the_deployment() {
    let mut place = open().await;
    place.deployment.settings.buckets.output = "nowhere-at-all".to_owned();
    let store = place.deployment.connect().await.store;
    let missing = store.put_bytes(&key("jobs/j/a"), Bytes::new(), PutMode::Replace).await.unwrap_err();
    assert_eq!(missing.kind, PortErrorKind::Environment, "{missing}");
    let missing = store.list("jobs/", None, 1).await.unwrap_err();
    assert_eq!(missing.kind, PortErrorKind::Environment, "{missing}");
}
