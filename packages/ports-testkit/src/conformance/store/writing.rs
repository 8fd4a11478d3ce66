//! Writes: atomic, with the options that are stored beside the bytes.

use std::sync::Arc;

use segue_domain::Key;

use super::{Port, is_there, job, published, work};
use crate::conformance::{Capabilities, all_at_once};
use segue_ports::error::PortErrorKind;
use segue_ports::media_type_of;
use segue_ports::store::{FileUse, PutOptions};

const BLOCK: usize = 256 * 1024;

/// A write replaces any object, also by an empty one.
pub async fn replacing_replaces(port: Arc<Port>, _caps: &Capabilities) {
    let key = work(&job(), "a.bin");
    for text in ["one", "a longer text", ""] {
        port.put(&key, text).await;
        assert_eq!(port.text(&key).await, text);
    }
    let file = port.file(b"from a file").await;
    port.upload(&key, &file, FileUse::Consume).await.unwrap();
    assert_eq!(port.text(&key).await, "from a file");
}

/// Of concurrent writes one remains, complete, from memory and from files alike.
pub async fn one_of_many_writes_remains(port: Arc<Port>, caps: &Capabilities) {
    let key = published(&job(), "final.mp4");
    let calls = (0..caps.callers).map(|n| {
        let (port, key) = (Arc::clone(&port), key.clone());
        async move {
            let text = format!("writer {n}");
            if n % 2 == 0 {
                port.put(&key, text.clone()).await;
            } else {
                let file = port.file(text.as_bytes()).await;
                port.upload(&key, &file, FileUse::Consume).await.unwrap();
                assert!(!is_there(&file), "the file is left behind");
            }
            text
        }
    });
    let texts = all_at_once(calls).await;
    let stands = port.text(&key).await;
    assert!(texts.contains(&stands), "{stands:?} was written by nobody");
    assert_eq!(port.text(&key).await, stands, "it changes after every write has returned");
}

/// During a replacement every reader gets one complete write.
pub async fn a_reader_sees_the_whole_or_nothing(port: Arc<Port>, caps: &Capabilities) {
    let key = work(&job(), "big.bin");
    port.put(&key, vec![0_u8; BLOCK]).await;
    let writer = {
        let (port, key) = (Arc::clone(&port), key.clone());
        tokio::spawn(async move {
            for round in 1..=10_u8 {
                let file = port.file(&vec![round; BLOCK + usize::from(round)]).await;
                port.upload(&key, &file, FileUse::Consume).await.unwrap();
                port.put(&key, vec![round; BLOCK - usize::from(round)]).await;
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

/// Empty files and ones of some megabytes; the file is removed or kept as requested.
pub async fn a_file_is_uploaded_and_kept_or_consumed(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    for size in [0, 1, 5 << 20] {
        let key = work(&job, &format!("size-{size}.bin"));
        let bytes: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
        for file_use in [FileUse::Keep, FileUse::Consume] {
            let file = port.file(&bytes).await;
            port.upload(&key, &file, file_use).await.unwrap();
            assert_eq!(is_there(&file), file_use == FileUse::Keep, "the file after {file_use:?}");
            if file_use == FileUse::Keep {
                tokio::fs::write(&file, b"written by its owner").await.expect("it can be written");
            }
            let stored = port.store.get_bytes(&key, 5 << 20).await.unwrap();
            assert!(stored == bytes, "{size} bytes came back as {}", stored.len());
        }
    }
    let gone = port.scratch.join("never-written");
    for file_use in [FileUse::Keep, FileUse::Consume] {
        let error = port.upload(&work(&job, "x"), &gone, file_use).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
    }
}

/// A map command may leave a link as its output: it is not followed.
pub async fn a_link_is_not_a_file(port: Arc<Port>, _caps: &Capabilities) {
    let key = work(&job(), "linked.bin");
    let secret = port.file(b"secret").await;
    let link = port.scratch.join("link");
    std::os::unix::fs::symlink(&secret, &link).expect("a link");
    for odd in [&link, &port.scratch] {
        for file_use in [FileUse::Keep, FileUse::Consume] {
            let error = port.upload(&key, odd, file_use).await.unwrap_err();
            assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
        }
    }
    assert_eq!(port.store.head(&key).await.unwrap(), None, "a link was stored");
    assert!(is_there(&secret), "what the link points at was taken");
}

/// By bytes, by file and by promotion: the given options, or the defaults of the key.
pub async fn media_type_and_cache_control_are_returned(port: Arc<Port>, caps: &Capabilities) {
    let job = job();
    let given = |name: &str| PutOptions {
        media_type: Some(media_type_of(name).to_owned()),
        cache_control: Some("public, max-age=31536000, immutable".to_owned()),
    };
    for name in ["hls/main.m3u8", "final.mp4", "transcript.vtt", "part.nut"] {
        let (attempt, to) = (work(&job, name), published(&job, name));
        let large = port.file(&vec![7; 9 << 20]).await;
        for options in [given(name), PutOptions::default()] {
            port.store.put_bytes(&attempt, "small".into(), &options).await.unwrap();
            check_options(&port, &attempt, &options, caps).await;
            port.store.promote(&attempt, &to, &options).await.unwrap();
            check_options(&port, &to, &options, caps).await;
            // large enough for an upload and a copy in parts
            port.store.upload(&attempt, &large, FileUse::Keep, &options).await.unwrap();
            check_options(&port, &attempt, &options, caps).await;
            port.store.promote(&attempt, &to, &options).await.unwrap();
            check_options(&port, &to, &options, caps).await;
        }
        // the options of the promotion apply, not those of the attempt
        port.store.put_bytes(&attempt, "small".into(), &given(name)).await.unwrap();
        port.store.promote(&attempt, &to, &PutOptions::default()).await.unwrap();
        check_options(&port, &to, &PutOptions::default(), caps).await;
    }
    if caps.keeps_put_options {
        let key = work(&job, "data.json");
        let options = PutOptions::media_type("application/geo+json");
        port.store.put_bytes(&key, "{}".into(), &options).await.unwrap();
        check_options(&port, &key, &options, caps).await;
    }
}

async fn check_options(port: &Port, key: &Key, options: &PutOptions, caps: &Capabilities) {
    let found = port.store.head(key).await.unwrap().expect("an object");
    let media_type = options.media_type.clone().unwrap_or_else(|| media_type_of(&key.to_string()).to_owned());
    assert_eq!(found.media_type, Some(media_type), "media type of {key}");
    let cache_control = options.cache_control.clone().filter(|_| caps.keeps_put_options);
    assert_eq!(found.cache_control, cache_control, "cache control of {key}");
}

/// A repeat succeeds, even if `from` was removed.
pub async fn promotion_gives_a_second_name(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let (from, to) = (work(&job, "final.mp4"), published(&job, "final.mp4"));
    let error = port.promote(&from, &to).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
    port.put(&from, "made").await;
    port.promote(&from, &to).await.unwrap();
    port.promote(&from, &to).await.unwrap();
    assert_eq!(port.text(&to).await, "made");
    port.store.delete(&from).await.unwrap();
    port.promote(&from, &to).await.expect("a late repeat");
    assert_eq!(port.text(&to).await, "made");
}

/// A published object of an earlier job with the same name is replaced as a whole.
pub async fn promotion_replaces(port: Arc<Port>, caps: &Capabilities) {
    let job = job();
    let (from, to) = (work(&job, "final.mp4"), published(&job, "final.mp4"));
    port.put(&from, "made").await;
    port.promote(&from, &to).await.unwrap();
    let other = work(&job, "other.mp4");
    port.put(&other, "made by another attempt").await;
    port.promote(&other, &to).await.unwrap();
    assert_eq!(port.text(&to).await, "made by another attempt");

    port.put(&from, "made again").await;
    let calls = (0..caps.callers).map(|_| {
        let (port, from, to) = (Arc::clone(&port), from.clone(), to.clone());
        async move { port.promote(&from, &to).await.unwrap() }
    });
    all_at_once(calls).await;
    assert_eq!(port.text(&to).await, "made again", "what was there before");
    port.put(&from, "written after the promotion").await;
    assert_eq!(port.text(&to).await, "made again", "a write to the attempt changes what is published");
}

/// More keys than one request takes, some of them missing, in every area.
pub async fn many_are_deleted_at_once(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let beside = work(&job, "many/beside");
    port.put(&beside, "beside").await;
    let source = Key::source(&job, "mp4");
    port.put(&source, "source").await;
    let mut keys = vec![source, published(&job, "a.json"), work(&job, "never-written")];
    keys.extend((0..1_200).map(|n| work(&job, &format!("many/{n}"))));
    for key in keys.iter().skip(1).step_by(50) {
        port.put(key, "x").await;
    }
    port.store.delete_many(&[]).await.unwrap();
    for round in ["first", "second"] {
        port.store.delete_many(&keys).await.unwrap();
        for prefix in [Key::input_prefix(&job), Key::work_prefix(&job), Key::published_prefix(&job)] {
            let left = port.store.list(&prefix, None, 2_000).await.unwrap().objects;
            let left: Vec<_> = left.into_iter().map(|o| o.key).filter(|k| *k != beside.to_string()).collect();
            assert!(left.is_empty(), "left by the {round} deletion: {left:?}");
        }
    }
    assert_eq!(port.text(&beside).await, "beside", "a neighbour was deleted");
}

/// Removed at once; the key is free again.
pub async fn deleting_is_for_good_and_twice_is_once(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let (key, beside) = (work(&job, "a/b/c.bin"), work(&job, "a/b/d.bin"));
    port.store.delete(&key).await.unwrap();
    for round in ["first", "second"] {
        port.put(&key, round).await;
        assert_eq!(port.text(&key).await, round);
        port.put(&beside, "beside").await;
        port.store.delete(&key).await.unwrap();
        port.store.delete(&key).await.unwrap();
        assert_eq!(port.store.head(&key).await.unwrap(), None);
        assert_eq!(port.text(&beside).await, "beside", "a neighbour was deleted");
        port.store.delete(&beside).await.unwrap();
    }
}

/// A folder that becomes empty during a write is handled by the store.
pub async fn writers_and_deleters_do_not_meet(port: Arc<Port>, caps: &Capabilities) {
    let job = job();
    let calls = (0..caps.callers.min(4)).map(|n| {
        let (port, key) = (Arc::clone(&port), work(&job, &format!("deep/folder/{n}.bin")));
        async move {
            for _ in 0..15 {
                port.put(&key, "x").await;
                let listed = port.store.list("work/", None, 100).await.unwrap();
                assert!(listed.objects.iter().any(|o| o.key == key.to_string()), "it is not listed");
                port.store.delete(&key).await.unwrap();
            }
        }
    });
    all_at_once(calls).await;
}
