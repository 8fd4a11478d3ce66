//! Reads, and the keys that can be read.

use std::sync::Arc;

use segue_domain::{Key, Term};

use super::{Port, job, output, published, work};
use crate::conformance::Capabilities;
use segue_ports::error::PortErrorKind;

/// A missing object is an error of that kind, never empty bytes.
pub async fn what_is_not_there_is_not_found(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let key = work(&job, "a/b.bin");
    // the folder of an object is not an object
    port.put(&work(&job, "folder/x"), "x").await;
    for absent in [&key, &work(&job, "folder"), &work(&job, "folder/x/y")] {
        assert_eq!(port.store.head(absent).await.unwrap(), None);
        let error = port.store.get_bytes(absent, 10).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
        let error = port.store.get_file(absent, &port.scratch).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
    }
}

/// An object of exactly the size limit is read; a larger one is an error.
pub async fn small_objects_are_bounded(port: Arc<Port>, _caps: &Capabilities) {
    let key = work(&job(), "ten.bin");
    port.put(&key, "0123456789").await;
    assert_eq!(port.store.get_bytes(&key, 10).await.unwrap(), "0123456789");
    let error = port.store.get_bytes(&key, 9).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Corrupt, "{error}");
    let found = port.store.head(&key).await.unwrap();
    assert_eq!(found.map(|found| found.bytes), Some(10));
}

/// Two objects with the same file name have different paths in the scratch folder.
pub async fn files_are_read_where_they_lie(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let keys = [work(&job, "a/part.nut"), work(&job, "b/part.nut"), published(&job, "part.nut")];
    let mut paths = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        port.put(key, format!("object {n}")).await;
        paths.push(port.store.get_file(key, &port.scratch).await.unwrap());
    }
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(std::fs::read(path).expect("readable"), format!("object {n}").into_bytes());
        assert_eq!(path.extension().and_then(|e| e.to_str()), Some("nut"), "the extension is kept");
    }
}

/// Every key that the domain accepts is written, found, listed, read and deleted.
pub async fn every_key_is_a_name(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let long = "n".repeat(200);
    let names = ["a", ".hidden", "a..b", "...", "-rf", "UPPER.x", "d.e.e.p/e.r/x-1_2.ts", &long];
    let mut keys: Vec<Key> = Vec::new();
    for name in names {
        keys.push(published(&job, name));
        keys.push(work(&job, name));
        keys.push(Key::segment(&job, &output(), Term(1), name).expect("a plain name"));
    }
    let task = "x".parse().expect("a plain id");
    keys.push(Key::work(&job, &output(), &task, Term(u64::MAX), "n").expect("a plain name"));
    keys.push(Key::source(&job, "mp4"));
    for key in &keys {
        let text = key.to_string();
        port.put(key, text.clone()).await;
        assert_eq!(port.text(key).await, text);
        let listed = port.store.list(&text, None, 10).await.unwrap();
        assert!(listed.objects.iter().any(|o| o.key == text), "{key} is not listed");
    }
    for key in &keys {
        assert_eq!(port.text(key).await, key.to_string(), "two keys are one name");
        port.store.delete(key).await.unwrap();
        assert_eq!(port.store.head(key).await.unwrap(), None, "{key}");
    }
}
