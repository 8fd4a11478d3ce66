//! Ranged reads: streams of one named version.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use futures::{StreamExt, TryStreamExt};
use segue_domain::Key;

use super::{Port, job, work};
use crate::conformance::Capabilities;
use segue_ports::error::{PortError, PortErrorKind};
use segue_ports::store::{FileUse, Version};

const SIZE: usize = 3_000_001;

fn pattern(seed: usize) -> Vec<u8> {
    (0..SIZE).map(|n| ((n + seed) % 251) as u8).collect()
}

async fn read(port: &Port, key: &Key, version: &Version, range: Range<u64>) -> Result<Vec<u8>, PortError> {
    let stream = port.store.get_range(key, version, range).await?;
    let all = stream.try_fold(BytesMut::new(), |mut all, bytes| async move {
        all.extend_from_slice(&bytes);
        Ok(all)
    });
    all.await.map(|all| all.to_vec())
}

/// All start and end offsets, the first and the last byte included.
pub async fn a_range_is_its_bytes(port: Arc<Port>, _caps: &Capabilities) {
    let (key, bytes) = (work(&job(), "a.bin"), pattern(0));
    let file = port.file(&bytes).await;
    port.upload(&key, &file, FileUse::Consume).await.unwrap();
    let version = port.version(&key).await;
    assert_eq!(port.version(&key).await, version, "the version changes by itself");
    let size = SIZE as u64;
    for range in [0..size, 0..1, size - 1..size, 1_000_000..2_000_003, 65_535..65_537] {
        let found = read(&port, &key, &version, range.clone()).await.unwrap();
        assert!(found == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
}

/// Any other range is `Misuse`.
pub async fn a_range_lies_within_the_object(port: Arc<Port>, _caps: &Capabilities) {
    let key = work(&job(), "a.bin");
    port.put(&key, "0123456789").await;
    let version = port.version(&key).await;
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake that is looked for")]
    for range in [3..3, 10..11, 5..11, 7..4, 100..u64::MAX] {
        let error = read(&port, &key, &version, range.clone()).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Misuse, "{range:?}: {error}");
    }
    let absent = work(&job(), "absent.bin");
    let error = read(&port, &absent, &version, 0..1).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
}

/// Of equal or other size, and also when the object is deleted and written again.
pub async fn another_version_is_an_error(port: Arc<Port>, _caps: &Capabilities) {
    let key = work(&job(), "a.bin");
    port.put(&key, "0123456789").await;
    let first = port.version(&key).await;
    for text in ["9876543210", "longer than it was", "short"] {
        port.put(&key, text).await;
        let error = read(&port, &key, &first, 0..3).await.expect_err("another version is read");
        assert_eq!(error.kind, PortErrorKind::Replaced, "{error}");
        let now = port.version(&key).await;
        assert_eq!(read(&port, &key, &now, 0..3).await.unwrap(), text.as_bytes()[..3]);
    }
    let last = port.version(&key).await;
    port.store.delete(&key).await.unwrap();
    let error = read(&port, &key, &last, 0..3).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
}

/// An object that is replaced during a stream: the rest of the version, or an error.
pub async fn a_stream_is_of_one_version(port: Arc<Port>, _caps: &Capabilities) {
    let (key, bytes) = (work(&job(), "a.bin"), pattern(0));
    let file = port.file(&bytes).await;
    port.upload(&key, &file, FileUse::Consume).await.unwrap();
    let version = port.version(&key).await;
    let mut stream = port.store.get_range(&key, &version, 0..SIZE as u64).await.unwrap();
    let mut found = stream.next().await.expect("a first piece").unwrap().to_vec();
    port.put(&key, pattern(100)).await;
    loop {
        match stream.next().await {
            Some(Ok(piece)) => found.extend_from_slice(&piece),
            Some(Err(error)) => {
                assert_eq!(error.kind, PortErrorKind::Replaced, "{error}");
                assert!(bytes.starts_with(&found), "two versions are mixed");
                assert!(stream.next().await.is_none(), "it goes on after an error");
                return;
            }
            None => break assert!(found == bytes, "two versions are mixed, or bytes are missing"),
        }
    }
}
