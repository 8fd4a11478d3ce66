//! Notices of S3 in their real form, and forged ones.

use proptest::prelude::*;
use segue_adapter_aws::event::{Notice, Upload, decode_key, parse};
use serde_json::{Value, json};

fn record(name: &str, key: &str) -> Value {
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-01-02T03:04:05.678Z",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:X"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "1", "x-amz-id-2": "2"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploads",
            "bucket": {"name": "in", "ownerIdentity": {"principalId": "X"}, "arn": "arn:aws:s3:::in"},
            "object": {"key": key, "size": 1_048_576, "eTag": "d41d", "sequencer": "0055AED6DCD90281E5"},
        },
    })
}

fn event(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

fn uploads(text: &str) -> (Vec<Upload>, usize) {
    match parse(text).unwrap() {
        Notice::Objects { uploads, ignored } => (uploads, ignored.len()),
        Notice::Test => panic!("a test event"),
    }
}

#[test]
fn every_way_to_create_is_an_upload() {
    for name in [
        "ObjectCreated:Put",
        "ObjectCreated:Post",
        "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectCreated:Put",
    ] {
        let (found, ignored) = uploads(&event(&[record(name, "input/talk-1/source.mp4")]));
        assert_eq!((found.len(), ignored), (1, 0), "{name}");
        assert_eq!(found[0].job.as_str(), "talk-1");
        assert_eq!(found[0].key.to_string(), "input/talk-1/source.mp4");
        assert_eq!((found[0].bucket.as_str(), found[0].bytes), ("in", Some(1_048_576)));
    }
}

#[test]
fn other_events_are_none_of_ours() {
    for name in ["ObjectRemoved:Delete", "ObjectRestore:Completed", "LifecycleExpiration:Delete", ""] {
        assert_eq!(uploads(&event(&[record(name, "input/j/source.mp4")])), (vec![], 1), "{name}");
    }
    let mut foreign = record("ObjectCreated:Put", "input/j/source.mp4");
    foreign["eventSource"] = json!("aws:sns");
    assert_eq!(uploads(&event(&[foreign])), (vec![], 1));
}

#[test]
fn a_test_event_is_nothing_to_do() {
    let text = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z",
                   "Bucket":"in","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8v"}"#;
    assert_eq!(parse(text).unwrap(), Notice::Test);
}

#[test]
fn keys_come_as_forms_do() {
    for (written, key) in [
        ("input/a_b-c/source.mp4", "input/a_b-c/source.mp4"),
        ("input%2Fj%2Fsource.mp4", "input/j/source.mp4"),
        ("input/j/source%2Emp4", "input/j/source.mp4"),
    ] {
        let (found, _) = uploads(&event(&[record("ObjectCreated:Put", written)]));
        assert_eq!(found.first().map(|u| u.key.to_string()).as_deref(), Some(key), "{written}");
    }
    assert_eq!(decode_key("a+b%2Bc%20d").as_deref(), Some("a b+c d"));
    assert_eq!(decode_key("na%C3%AFve/%F0%9F%8E%AC").as_deref(), Some("naïve/🎬"));
    assert_eq!(decode_key("100%").as_deref(), Some("100%"));
    assert_eq!(decode_key("%FF%FE"), None);
}

#[test]
fn hostile_keys_fail_alone() {
    let long = format!("input/{}/source.mp4", "x".repeat(1024 - 17));
    let longer = format!("input/j/source.mp4{}", "x".repeat(5000));
    for bad in [
        "",
        "/",
        "input/j/source.mp4/..",
        "input/../j/source.mp4",
        "input/..%2F..%2Fetc%2Fpasswd/source.mp4",
        "input/%2E%2E/source.mp4",
        "input/j/../../source.mp4",
        "input/j/movie.mp4",
        "input/j/source.",
        "input/j/source.tar.gz",
        "input/j+k/source.mp4",
        "input/j%2Bk/source.mp4",
        "input/na%C3%AFve/source.mp4",
        "input/na\u{ef}ve/source.mp4",
        "input/j/source.mp4%00",
        "input/%FF/source.mp4",
        "jobs/j/final.mp4",
        "work/j/video/t/1/x",
        "segments/j/plan.json",
        &long,
        &longer,
    ] {
        let good = record("ObjectCreated:Put", "input/good/source.mkv");
        let (found, ignored) = uploads(&event(&[record("ObjectCreated:Put", bad), good]));
        assert_eq!((found.len(), ignored), (1, 1), "{bad:?}");
        assert_eq!(found[0].job.as_str(), "good");
    }
    // the longest possible id
    let most = format!("input/{}/source.mp4", "x".repeat(96));
    assert_eq!(uploads(&event(&[record("ObjectCreated:Put", &most)])).0.len(), 1);
}

#[test]
fn records_that_lack_something_fail_alone() {
    let mut keyless = record("ObjectCreated:Put", "x");
    keyless["s3"]["object"].as_object_mut().unwrap().remove("key");
    let mut nameless = record("ObjectCreated:Put", "input/j/source.mp4");
    nameless["s3"]["bucket"].as_object_mut().unwrap().remove("name");
    let mut sizeless = record("ObjectCreated:Put", "input/j/source.mp4");
    sizeless["s3"]["object"].as_object_mut().unwrap().remove("size");
    let (found, ignored) = uploads(&event(&[keyless, nameless, sizeless]));
    assert_eq!((found.len(), ignored), (1, 2));
    assert_eq!(found[0].bytes, None);
}

#[test]
fn duplicates_are_one_and_the_later_one_counts() {
    let mut early = record("ObjectCreated:Put", "input/j/source.mp4");
    early["s3"]["object"]["sequencer"] = json!("99");
    early["s3"]["object"]["size"] = json!(1);
    let mut late = early.clone();
    late["s3"]["object"]["sequencer"] = json!("0100");
    late["s3"]["object"]["size"] = json!(2);
    let other = record("ObjectCreated:Put", "input/k/source.mp4");
    for order in [[&early, &late], [&late, &early]] {
        let (found, _) = uploads(&event(&[order[0].clone(), other.clone(), order[1].clone()]));
        let sizes: Vec<_> = found.iter().map(|u| (u.job.as_str(), u.bytes)).collect();
        assert_eq!(sizes, [("j", Some(2)), ("k", Some(1_048_576))]);
    }
}

#[test]
fn foreign_texts_are_no_notice() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        "{\"Records\":7}",
        "{\"Records\":[7]}",
        "{\"Records\":[{}]}",
        "{\"Event\":\"s3:Other\"}",
        "{\"version\":1,\"message\":{\"kind\":\"chunk\",\"job\":\"j\"}}",
        "<xml/>",
        "\u{0}",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    assert_eq!(uploads("{\"Records\":[]}"), (vec![], 0));
}

/// The corpus of the cargo-fuzz target, by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/notice");
    let mut kept: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    kept.sort();
    kept
}

#[test]
fn the_kept_corpus_says_what_it_is_there_for() {
    let parsed = |bytes: &[u8]| match parse(&String::from_utf8_lossy(bytes)) {
        Ok(Notice::Test) => "a test".to_owned(),
        Ok(Notice::Objects { uploads, ignored }) => {
            format!("{} uploads, {} others", uploads.len(), ignored.len())
        }
        Err(_) => "no notice".to_owned(),
    };
    let known = [
        // its name is no text
        ("encoded", "0 uploads, 1 others"),
        ("half", "no notice"),
        ("multipart", "1 uploads, 0 others"),
        ("none", "0 uploads, 0 others"),
        ("put", "1 uploads, 0 others"),
        ("removed", "0 uploads, 1 others"),
        ("test", "a test"),
    ];
    let kept = corpus();
    for (name, what) in known {
        let (_, bytes) = kept.iter().find(|(kept, _)| kept == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(parsed(bytes), what, "{name}");
    }
    // the fuzzer's other findings must be parsed without a panic
    kept.iter().for_each(|(_, bytes)| drop(parsed(bytes)));
}

proptest! {
    #[test]
    fn no_damaged_notice_panics(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let kept = corpus();
        let mut bytes = which.get(&kept).1.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(Notice::Objects { uploads, .. }) = parse(&text) {
            prop_assert!(uploads.iter().all(|upload| upload.key.job() == &upload.job));
        }
    }

    #[test]
    fn no_key_panics_and_none_gets_through_that_is_not_ours(key in ".{0,200}") {
        let (found, ignored) = uploads(&event(&[record("ObjectCreated:Put", &key)]));
        prop_assert_eq!(found.len() + ignored, 1);
        for upload in found {
            prop_assert_eq!(Some(upload.key.to_string()), decode_key(&key));
        }
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _ = parse(&text);
    }

    #[test]
    fn a_plain_id_always_gets_through(id in "[A-Za-z0-9_-]{1,96}", ext in "[a-z0-9]{1,8}") {
        let key = format!("input/{id}/source.{ext}");
        let (found, _) = uploads(&event(&[record("ObjectCreated:Put", &key)]));
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].job.as_str(), id);
    }
}
