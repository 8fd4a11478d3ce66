//! Writes: create once, whole or nothing.

use std::sync::Arc;

use super::{Port, is_there, job, published, work};
use crate::conformance::{Capabilities, all_at_once};
use crate::error::PortErrorKind;
use crate::store::{PutMode, PutResult};

const BLOCK: usize = 256 * 1024;

/// Of many writers one writes, from bytes and from files alike.
pub async fn one_of_many_creates(port: Arc<Port>, caps: &Capabilities) {
    let key = published(&job(), "final.mp4");
    let calls = (0..caps.callers).map(|n| {
        let (port, key) = (Arc::clone(&port), key.clone());
        async move {
            let text = format!("writer {n}");
            let result = if n % 2 == 0 {
                port.put(&key, text.clone(), PutMode::CreateOnce).await
            } else {
                let file = port.file(text.as_bytes()).await;
                let result = port.store.put_file(&key, &file, PutMode::CreateOnce).await.unwrap();
                assert!(!is_there(&file), "the file is left behind");
                result
            };
            (text, result)
        }
    });
    let results = all_at_once(calls).await;
    let won: Vec<_> = results.iter().filter(|(_, r)| *r == PutResult::Written).collect();
    assert_eq!(won.len(), 1, "one of many writes");
    assert_eq!(port.text(&key).await, won[0].0, "what stands is the winner's");
    assert_eq!(port.put(&key, "late", PutMode::CreateOnce).await, PutResult::Exists);
    assert_eq!(port.text(&key).await, won[0].0, "a late writer changed it");
}

/// Whatever is there, also nothing.
pub async fn replacing_replaces(port: Arc<Port>, _caps: &Capabilities) {
    let key = work(&job(), "a.bin");
    for text in ["one", "a longer text", ""] {
        assert_eq!(port.put(&key, text, PutMode::Replace).await, PutResult::Written);
        assert_eq!(port.text(&key).await, text);
    }
    let file = port.file(b"from a file").await;
    let result = port.store.put_file(&key, &file, PutMode::Replace).await.unwrap();
    assert_eq!((result, is_there(&file)), (PutResult::Written, false));
    assert_eq!(port.text(&key).await, "from a file");
}

/// While a key is being replaced, every reader sees one write and no mixture.
pub async fn a_reader_sees_the_whole_or_nothing(port: Arc<Port>, caps: &Capabilities) {
    let key = work(&job(), "big.bin");
    port.put(&key, vec![0_u8; BLOCK], PutMode::Replace).await;
    let writer = {
        let (port, key) = (Arc::clone(&port), key.clone());
        tokio::spawn(async move {
            for round in 1..=10_u8 {
                let file = port.file(&vec![round; BLOCK + usize::from(round)]).await;
                port.store.put_file(&key, &file, PutMode::Replace).await.unwrap();
                port.put(&key, vec![round; BLOCK - usize::from(round)], PutMode::Replace).await;
            }
        })
    };
    let readers = (0..caps.callers.min(4)).map(|_| {
        let (port, key) = (Arc::clone(&port), key.clone());
        async move {
            for _ in 0..20 {
                let bytes = port.store.get_bytes(&key, 1 << 20).await.unwrap();
                let round = usize::from(bytes[0]);
                assert!(bytes.iter().all(|b| usize::from(*b) == round), "two writes are mixed");
                assert!([BLOCK + round, BLOCK - round].contains(&bytes.len()), "a part of a write");
            }
        }
    });
    all_at_once(readers).await;
    writer.await.expect("the writer");
}

/// Bytes stored, file gone; empty files and ones of some megabytes.
pub async fn a_file_is_taken_over(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    for size in [0, 1, 5 << 20] {
        let key = work(&job, &format!("size-{size}.bin"));
        let bytes: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
        let file = port.file(&bytes).await;
        let result = port.store.put_file(&key, &file, PutMode::CreateOnce).await.unwrap();
        assert_eq!((result, is_there(&file)), (PutResult::Written, false));
        let stored = port.store.get_bytes(&key, 5 << 20).await.unwrap();
        assert!(stored == bytes, "{size} bytes came back as {}", stored.len());

        let second = port.file(b"second").await;
        let result = port.store.put_file(&key, &second, PutMode::CreateOnce).await.unwrap();
        assert_eq!((result, is_there(&second)), (PutResult::Exists, false), "taken over all the same");
    }
    let gone = port.scratch.join("never-written");
    let error = port.store.put_file(&work(&job, "x"), &gone, PutMode::CreateOnce).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
}

/// A user's program may leave a link where its output should be: it is not followed.
pub async fn a_link_is_not_a_file(port: Arc<Port>, _caps: &Capabilities) {
    let key = work(&job(), "linked.bin");
    let secret = port.file(b"secret").await;
    let link = port.scratch.join("link");
    std::os::unix::fs::symlink(&secret, &link).expect("a link");
    for odd in [&link, &port.scratch] {
        let error = port.store.put_file(&key, odd, PutMode::CreateOnce).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    }
    assert_eq!(port.store.head(&key).await.unwrap(), None, "a link was stored");
    assert!(is_there(&secret), "what the link points at was taken");
}

/// Written once; a repeat is fine, also when `from` is gone.
pub async fn promotion_gives_a_second_name(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let (from, to) = (work(&job, "final.mp4"), published(&job, "final.mp4"));
    let error = port.store.promote(&from, &to, PutMode::CreateOnce).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
    port.put(&from, "made", PutMode::CreateOnce).await;
    assert_eq!(port.store.promote(&from, &to, PutMode::CreateOnce).await.unwrap(), PutResult::Written);
    assert_eq!(port.store.promote(&from, &to, PutMode::CreateOnce).await.unwrap(), PutResult::Exists);
    port.store.delete(&from).await.unwrap();
    assert_eq!(
        port.store.promote(&from, &to, PutMode::CreateOnce).await.unwrap(),
        PutResult::Exists,
        "a late repeat"
    );
    assert_eq!(port.text(&to).await, "made");

    port.put(&from, "another attempt", PutMode::Replace).await;
    assert_eq!(port.store.promote(&from, &to, PutMode::CreateOnce).await.unwrap(), PutResult::Exists);
    assert_eq!(port.text(&to).await, "made", "what is published never changes");
}

/// What an earlier job of that name left public is replaced, whole; a late repeat is fine.
pub async fn promotion_may_replace(port: Arc<Port>, caps: &Capabilities) {
    let job = job();
    let (from, to) = (work(&job, "final.mp4"), published(&job, "final.mp4"));
    let error = port.store.promote(&from, &to, PutMode::Replace).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
    port.put(&from, "made", PutMode::CreateOnce).await;
    assert_eq!(port.store.promote(&from, &to, PutMode::Replace).await.unwrap(), PutResult::Written);
    assert_eq!(port.text(&to).await, "made");
    let left = work(&job, "left.mp4");
    port.put(&left, "what was left", PutMode::CreateOnce).await;
    assert_eq!(port.store.promote(&left, &to, PutMode::Replace).await.unwrap(), PutResult::Written);
    assert_eq!(port.text(&to).await, "what was left");

    port.put(&from, "made again", PutMode::Replace).await;
    let calls = (0..caps.callers).map(|_| {
        let (port, from, to) = (Arc::clone(&port), from.clone(), to.clone());
        async move { port.store.promote(&from, &to, PutMode::Replace).await.unwrap() }
    });
    assert!(all_at_once(calls).await.contains(&PutResult::Written));
    assert_eq!(port.text(&to).await, "made again", "what was there before");
    port.store.delete(&from).await.unwrap();
    assert_eq!(port.store.promote(&from, &to, PutMode::Replace).await.unwrap(), PutResult::Exists);
    assert_eq!(port.text(&to).await, "made again");
    assert_eq!(port.store.promote(&left, &from, PutMode::Replace).await.unwrap(), PutResult::Written);
}

/// Two finishers publish one result.
pub async fn one_of_many_is_promoted(port: Arc<Port>, caps: &Capabilities) {
    let job = job();
    let to = published(&job, "hls/main.m3u8");
    let mut from = Vec::new();
    for n in 0..caps.callers {
        let key = work(&job, &format!("attempt-{n}"));
        port.put(&key, format!("attempt {n}"), PutMode::CreateOnce).await;
        from.push(key);
    }
    let calls = from.into_iter().enumerate().map(|(n, from)| {
        let (port, to) = (Arc::clone(&port), to.clone());
        async move { (n, port.store.promote(&from, &to, PutMode::CreateOnce).await.unwrap()) }
    });
    let results = all_at_once(calls).await;
    let won: Vec<_> = results.iter().filter(|(_, r)| *r == PutResult::Written).collect();
    assert_eq!(won.len(), 1, "one of many is promoted");
    assert_eq!(port.text(&to).await, format!("attempt {}", won[0].0));
}

/// Gone at once; the key is free again.
pub async fn deleting_is_for_good_and_twice_is_once(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let (key, beside) = (work(&job, "a/b/c.bin"), work(&job, "a/b/d.bin"));
    port.store.delete(&key).await.unwrap();
    for round in ["first", "second"] {
        assert_eq!(port.put(&key, round, PutMode::CreateOnce).await, PutResult::Written);
        port.put(&beside, "beside", PutMode::Replace).await;
        port.store.delete(&key).await.unwrap();
        port.store.delete(&key).await.unwrap();
        assert_eq!(port.store.head(&key).await.unwrap(), None);
        assert_eq!(port.text(&beside).await, "beside", "a neighbour was deleted");
        port.store.delete(&beside).await.unwrap();
    }
}

/// A folder that empties under a writer is the store's business.
pub async fn writers_and_deleters_do_not_meet(port: Arc<Port>, caps: &Capabilities) {
    let job = job();
    let calls = (0..caps.callers.min(4)).map(|n| {
        let (port, key) = (Arc::clone(&port), work(&job, &format!("deep/folder/{n}.bin")));
        async move {
            for _ in 0..15 {
                assert_eq!(port.put(&key, "x", PutMode::CreateOnce).await, PutResult::Written);
                let listed = port.store.list("work/", None, 100).await.unwrap();
                assert!(listed.objects.iter().any(|o| o.key == key.to_string()), "it is not listed");
                port.store.delete(&key).await.unwrap();
            }
        }
    });
    all_at_once(calls).await;
}
