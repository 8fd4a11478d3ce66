//! A file that is put to `input/…` becomes a result, and nobody asks for anything else.

use std::path::PathBuf;
use std::time::Duration;

use segue_domain::{FileKind, JobId, JobState, Key, Manifest};
use segue_fleet::{Fleet, Tuning, clip, oracle};
use segue_ports::{JobLedger, Lane, MediaStore, WorkQueue};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);

/// A fleet with one process of each role.
async fn fleet(tuning: Tuning) -> (Fleet, Vec<segue_fleet::Process>, PathBuf) {
    let fleet = Fleet::new(tuning).await.unwrap();
    let clip = clip(fleet.dir()).unwrap();
    let crew = vec![fleet.start("planner,worker=2,assembler,sweeper").unwrap()];
    (fleet, crew, clip)
}

/// What S3 says of an upload.
fn notice(bucket: &str, version: &str, key: &str, sequencer: &str) -> String {
    json!({ "Records": [{
        "eventVersion": version, "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-01-02T03:04:05.678Z", "eventName": "ObjectCreated:Put",
        "userIdentity": { "principalId": "AWS:X" },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": { "x-amz-request-id": "1" },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploads",
            "bucket": { "name": bucket, "ownerIdentity": { "principalId": "X" }, "arn": "arn:aws:s3:::in" },
            "object": { "key": key, "size": 1, "eTag": "d41d", "sequencer": sequencer },
        },
    }]})
    .to_string()
}

async fn done(fleet: &Fleet, job: &JobId) {
    let record = fleet.ended(job, PATIENCE).await.unwrap_or_else(|e| panic!("{e:#}\n{}", fleet.words()));
    assert_eq!(record.state(), JobState::Completed, "{:?}\n{}", record.failure(), fleet.words());
    let verdict = oracle::judge(fleet, job).await.unwrap();
    assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_as_a_result_with_no_other_call() {
    let (fleet, _crew, clip) = fleet(Tuning::default()).await;
    let job: JobId = "talk-1".parse().unwrap();
    fleet.put("input/talk-1/source.mp4", &clip).await.unwrap();
    done(&fleet, &job).await;
    oracle::quiet(&fleet, PATIENCE).await.unwrap();

    let dir = fleet.dir().join("got");
    let record = fleet.backend.ledger.job(&job).await.unwrap().unwrap();
    assert_eq!(record.asset.as_str(), "talk-1", "the asset has the name of the upload");
    let manifest = fleet.backend.store.get_bytes(&Key::manifest(&job), 1 << 20).await.unwrap();
    let manifest = Manifest::decode(&manifest).unwrap();
    let media: Vec<_> = manifest.files().filter(|file| file.kind == FileKind::Media).collect();
    assert_eq!(media.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["final.mp4"]);
    let joined = Key::published(&job, "final.mp4").unwrap();
    let joined = fleet.backend.store.get_file(&joined, &dir).await.unwrap();
    let verified = fleet.segue(["verify".as_ref(), clip.as_os_str(), joined.as_os_str()]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_model_the_upload_is_heard_as_well() {
    // says itself when there is none
    let Some(models) = segue_tests::model_dir() else { return };
    let (talk, words) = segue_tests::speech();
    let tuning = Tuning { recipe: "standard".into(), segment: Duration::from_secs(10), ..Tuning::default() };
    let fleet = Fleet::new(tuning).await.unwrap();
    let models = models.display().to_string();
    let with_models = [("SEGUE_MODEL_DIR", models.as_str())];
    let _crew = fleet.start_with("planner,worker,assembler,sweeper", &with_models).unwrap();
    fleet.put("input/heard/source.wav", &talk).await.unwrap();
    let job: JobId = "heard".parse().unwrap();
    let record = fleet.ended(&job, PATIENCE).await.unwrap_or_else(|e| panic!("{e:#}\n{}", fleet.words()));
    assert_eq!(record.state(), JobState::Completed, "{:?}\n{}", record.failure(), fleet.words());
    let text = Key::published(&job, "transcript.txt").unwrap();
    let text = fleet.backend.store.get_bytes(&text, 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&text).to_lowercase();
    let heard = words.iter().filter(|word| text.contains(**word)).count();
    assert!(heard * 2 > words.len(), "{text:?}");
    for name in ["transcript.json", "transcript.srt", "manifest.json", "transcript.certificate.json"] {
        let key = Key::published(&job, name).unwrap();
        assert!(fleet.backend.store.head(&key).await.unwrap().is_some(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_and_repeated_notices_are_one_job() {
    let (fleet, _crew, clip) = fleet(Tuning::default()).await;
    // three parts: the clip with ten megabytes of free space behind it
    let padded = fleet.dir().join("padded.mp4");
    let mut bytes = std::fs::read(&clip).unwrap();
    let free = 11_u32 << 20;
    bytes.extend(free.to_be_bytes());
    bytes.extend(b"free");
    bytes.resize(bytes.len() + free as usize - 8, 0);
    std::fs::write(&padded, bytes).unwrap();
    assert_eq!(fleet.put_in_parts("input/parts/source.mp4", &padded).await.unwrap(), 3);
    let job: JobId = "parts".parse().unwrap();
    done(&fleet, &job).await;
    let plans = async || -> Vec<_> {
        let record = fleet.backend.ledger.job(&job).await.unwrap().unwrap();
        assert_eq!(record.state(), JobState::Completed, "{record:?}");
        record.outputs.into_iter().map(|output| output.plan).collect()
    };
    let before = plans().await;

    // the same notice again, twice, and one of an older upload after it
    let bucket = &fleet.deployment.settings.buckets.input;
    let notice = |sequencer: &str| notice(bucket, "2.1", "input/parts/source.mp4", sequencer);
    let again = [notice("0055AED6DCD90281E5"), notice("0055AED6DCD90281E5"), notice("00")];
    fleet.backend.queue.send(Lane::Plan, &again, Duration::ZERO).await.unwrap();
    oracle::quiet(&fleet, PATIENCE).await.unwrap();
    assert_eq!(plans().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_so_is_kept_with_its_reason_and_holds_nothing_up() {
    let (fleet, _crew, clip) = fleet(Tuning::default()).await;
    let bucket = fleet.deployment.settings.buckets.input.clone();
    let notice = |version: &str, key: &str| notice(&bucket, version, key, "00");
    let long = format!("input/{}/source.mp4", "x".repeat(1024 - 17));
    let odd = [
        notice("2.1", "input/../source.mp4"),
        notice("2.1", "input/a+b/source.mp4"),
        notice("2.1", "input/%C3%BC/source.mp4"),
        notice("2.1", "input/a%2Bb/source.mp4"),
        notice("2.1", &long),
        notice("2.1", "input/%FF/source.mp4"),
        r#"{"hello": "world"}"#.to_owned(),
        "not even JSON".to_owned(),
    ];
    let newer =
        [notice("3.0", "input/new/source.mp4"), r#"{"version":99,"message":{"kind":"dance"}}"#.to_owned()];
    fleet.backend.queue.send(Lane::Plan, &odd, Duration::ZERO).await.unwrap();
    fleet.backend.queue.send(Lane::Plan, &newer, Duration::ZERO).await.unwrap();
    fleet.put("input/fine/source.mp4", &clip).await.unwrap();
    done(&fleet, &"fine".parse().unwrap()).await;

    let begun = std::time::Instant::now();
    let depth = loop {
        let depth = fleet.backend.queue.depth(Lane::Plan).await.unwrap();
        if depth.dead == odd.len() as u64 || begun.elapsed() > PATIENCE {
            break depth;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(depth.dead, odd.len() as u64, "{depth:?}");
    assert_eq!(depth.waiting + depth.in_flight, newer.len() as u64, "left for a newer build: {depth:?}");
    let listed = fleet.segue(["dlq", "list", "--queue", "plan", "--json"]).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let letters = listed["plan"].as_array().unwrap();
    assert_eq!(letters.len(), odd.len());
    assert!(letters.iter().all(|letter| letter["reason"].as_str().is_some_and(|why| !why.is_empty())));
}
