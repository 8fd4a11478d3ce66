//! Conformance suite of documents that are replaced by compare-and-swap.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use segue_domain::Key;

use super::store::{job, published};
use super::{Capabilities, Subject, all_at_once, run_clauses};
use segue_ports::document::{DocumentWrite, Expected, StoreDocuments};
use segue_ports::error::PortErrorKind;
use segue_ports::media_type_of;
use segue_ports::store::{MediaStore, PutOptions, Version};

/// The documents, and the store that contains them.
#[derive(Clone)]
pub struct Port {
    /// The documents.
    pub documents: Arc<dyn StoreDocuments>,
    /// The same store.
    pub store: Arc<dyn MediaStore>,
}

/// Runs every clause.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<Port>>,
{
    run_clauses!(factory, &caps;
        a_document_is_created_once,
        a_document_is_replaced_by_version,
        one_of_many_writers_wins,
        no_update_is_lost,
        deletion_makes_a_document_absent,
        documents_are_objects,
        documents_are_bounded,
    );
}

impl Port {
    async fn put(&self, key: &Key, text: &str, expected: &Expected) -> DocumentWrite {
        let (bytes, options) = (Bytes::copy_from_slice(text.as_bytes()), PutOptions::default());
        self.documents.put_document(key, bytes, expected, &options).await.unwrap()
    }

    async fn write(&self, key: &Key, text: &str, expected: &Expected) -> Version {
        match self.put(key, text, expected).await {
            DocumentWrite::Written(version) => version,
            DocumentWrite::Conflict => panic!("{key} is not as expected"),
        }
    }

    async fn read(&self, key: &Key) -> (String, Version) {
        let found = self.documents.get_document(key, 1 << 20).await.unwrap().expect("a document");
        (String::from_utf8(found.bytes.to_vec()).expect("text"), found.version)
    }
}

/// The second creation is a conflict and changes nothing.
pub async fn a_document_is_created_once(port: Arc<Port>, _caps: &Capabilities) {
    let key = published(&job(), "hls/main.m3u8");
    assert_eq!(port.documents.get_document(&key, 100).await.unwrap(), None);
    let version = port.write(&key, "first", &Expected::Absent).await;
    assert_eq!(port.put(&key, "second", &Expected::Absent).await, DocumentWrite::Conflict);
    assert_eq!(port.read(&key).await, ("first".to_owned(), version));
}

/// A replacement requires the current version, whether it was read or returned by a write.
pub async fn a_document_is_replaced_by_version(port: Arc<Port>, _caps: &Capabilities) {
    let key = published(&job(), "hls/main.m3u8");
    let first = Expected::Version(port.write(&key, "1", &Expected::Absent).await);
    let second = Expected::Version(port.write(&key, "2", &first).await);
    for text in ["3", "a late write"] {
        assert_eq!(port.put(&key, text, &first).await, DocumentWrite::Conflict, "of an old version");
    }
    assert_eq!(port.read(&key).await.0, "2");
    assert_eq!(second, Expected::Version(port.read(&key).await.1), "what was written is what is read");
    port.write(&key, "3", &second).await;
    assert_eq!(port.read(&key).await.0, "3");
}

/// Concurrent writers that expect the same version: exactly one writes, and its document remains.
pub async fn one_of_many_writers_wins(port: Arc<Port>, caps: &Capabilities) {
    let key = published(&job(), "hls/main.m3u8");
    let mut expected = Expected::Absent;
    for round in 0..3 {
        let calls = (0..caps.callers).map(|n| {
            let (port, key, expected) = (Arc::clone(&port), key.clone(), expected.clone());
            async move {
                let text = format!("writer {n} of round {round}");
                (port.put(&key, &text, &expected).await, text)
            }
        });
        let results = all_at_once(calls).await;
        let won: Vec<_> = results.iter().filter(|(w, _)| *w != DocumentWrite::Conflict).collect();
        assert_eq!(won.len(), 1, "exactly one of many writers wins");
        let (text, version) = port.read(&key).await;
        assert_eq!(*won[0], (DocumentWrite::Written(version.clone()), text), "the winner's stands");
        expected = Expected::Version(version);
    }
}

/// A counter that two writers increment by compare-and-swap.
pub async fn no_update_is_lost(port: Arc<Port>, _caps: &Capabilities) {
    const EACH: u32 = 8;
    let key = published(&job(), "counter.json");
    port.write(&key, "0", &Expected::Absent).await;
    let calls = (0..2).map(|_| {
        let (port, key) = (Arc::clone(&port), key.clone());
        async move {
            let mut done = 0;
            while done < EACH {
                let (text, version) = port.read(&key).await;
                let next = text.parse::<u32>().expect("a number") + 1;
                let written = port.put(&key, &next.to_string(), &Expected::Version(version)).await;
                done += u32::from(written != DocumentWrite::Conflict);
            }
        }
    });
    all_at_once(calls).await;
    assert_eq!(port.read(&key).await.0, (2 * EACH).to_string(), "an update is lost");
}

/// The version of a deleted document matches no document; the key is free again.
pub async fn deletion_makes_a_document_absent(port: Arc<Port>, _caps: &Capabilities) {
    let key = published(&job(), "a.json");
    let version = port.write(&key, "{}", &Expected::Absent).await;
    port.store.delete(&key).await.unwrap();
    let late = port.put(&key, "late", &Expected::Version(version)).await;
    assert_eq!(late, DocumentWrite::Conflict, "a write after the deletion");
    assert_eq!(port.documents.get_document(&key, 100).await.unwrap(), None);
    port.write(&key, "again", &Expected::Absent).await;
    assert_eq!(port.read(&key).await.0, "again");
}

/// The store reads, lists and describes documents like all objects.
pub async fn documents_are_objects(port: Arc<Port>, caps: &Capabilities) {
    let key = published(&job(), "hls/main.m3u8");
    let options = PutOptions {
        media_type: Some(media_type_of("main.m3u8").to_owned()),
        cache_control: Some("no-cache".to_owned()),
    };
    let bytes = Bytes::from_static(b"#EXTM3U");
    let written = port.documents.put_document(&key, bytes, &Expected::Absent, &options).await.unwrap();
    assert_ne!(written, DocumentWrite::Conflict);
    assert_eq!(port.store.get_bytes(&key, 7).await.unwrap(), "#EXTM3U");
    let found = port.store.head(&key).await.unwrap().expect("an object");
    assert_eq!((found.bytes, found.media_type), (7, options.media_type));
    assert_eq!(found.cache_control, options.cache_control.filter(|_| caps.keeps_put_options));
    let listed = port.store.list(&key.to_string(), None, 10).await.unwrap().objects;
    assert_eq!(listed.len(), 1);
}

/// A document of exactly the size limit is read; a larger one is an error.
pub async fn documents_are_bounded(port: Arc<Port>, _caps: &Capabilities) {
    let key = published(&job(), "ten.json");
    port.write(&key, "0123456789", &Expected::Absent).await;
    assert!(port.documents.get_document(&key, 10).await.unwrap().is_some());
    let error = port.documents.get_document(&key, 9).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Corrupt, "{error}");
}
