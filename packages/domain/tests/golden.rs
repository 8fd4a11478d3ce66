//! Every document as this build writes it, in golden files: a change of a stored format shows up as a
//! difference, and needs a new document version.
//!
//! `SEGUE_UPDATE_GOLDEN=1` writes the files; a file of a released version is never changed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use segue_domain::asset::{ASSET_VERSION, AssetKind};
use segue_domain::completion::{COMPLETION_VERSION, PartFile};
use segue_domain::job::JOB_VERSION;
use segue_domain::manifest::{INDEX_VERSION, PublishedFile};
use segue_domain::outbox::OUTBOX_VERSION;
use segue_domain::plan::PLAN_VERSION;
use segue_domain::{
    Asset, CommittedIndex, Completion, DomainError, Failure, FaultKind, FileKind, Gate, JobRecord, Manifest,
    Message, Need, NewOutput, OutboxEntry, OutputIndex, OutputRecord, OutputRef, OutputState, Plan, PlanHash,
    Recipe, SealedPlan, Segment, Task, TaskId, TaskKind, Term, TickRange, Timebase, Tombstone,
};
use serde_json::{Value, json};

/// A document, and its decoder.
struct Golden {
    name: &'static str,
    written: String,
    /// Decodes a text and encodes the result.
    again: fn(&str) -> Result<String, DomainError>,
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn job() -> JobRecord {
    let asked = |name: &str, required, needs| NewOutput {
        id: id(name),
        kind: name.into(),
        needs,
        required,
        priority: 5,
        spec: "9a3f".into(),
    };
    let plan =
        SealedPlan { hash: PlanHash("77aa".into()), key: "segments/talk/video/1/plan.json".into(), tasks: 3 };
    let index = CommittedIndex { key: "work/talk/video/assemble/4/index.json".into(), hash: "c0de".into() };
    let failure = Failure {
        kind: FaultKind::Source,
        cause: "the source has no sound".into(),
        task: Some(TaskId::of(TaskKind::Transcribe, 2)),
        stderr_tail: vec!["no audio stream".into()],
    };
    let video = OutputRecord {
        state: OutputState::Completed,
        plan: Some(plan),
        index: Some(index),
        ..OutputRecord::new(asked("video", true, vec![]), 1_700_000_000_000)
    };
    let transcript = OutputRecord {
        state: OutputState::Failed,
        retries: 1,
        failure: Some(failure),
        ..OutputRecord::new(
            asked("transcript", false, vec![Need { output: id("video"), gate: Gate::Assembly }]),
            1_700_000_000_500,
        )
    };
    JobRecord {
        version: JOB_VERSION,
        id: id("talk"),
        epoch: id("0190-a"),
        revision: 9,
        asset: id("talk"),
        source_key: "input/talk/source.mp4".into(),
        recipe: Recipe::built_in("standard").unwrap().to_json(),
        awaiting_until_ms: Some(1_700_000_900_000),
        deleting: false,
        outputs: vec![video, transcript],
        created_at_ms: 1_700_000_000_000,
        updated_at_ms: 1_700_000_001_000,
        completed_at_ms: Some(1_700_000_002_000),
    }
}

fn notice() -> OutboxEntry {
    OutboxEntry {
        version: OUTBOX_VERSION,
        id: "0190-a/000000000009/output/video".into(),
        kind: "output-completed".into(),
        body: json!({ "job": "talk", "output": "video", "state": "completed" }).to_string(),
    }
}

fn plan() -> Plan {
    let range = |start, end| TickRange { start, end };
    let segment = |index: u32| Segment {
        index,
        range: range(i64::from(index) * 900, i64::from(index + 1) * 900),
        frames: 25,
        bytes: 10_000,
    };
    let task = |index: u32| Task {
        id: TaskId::of(TaskKind::Digest, index),
        kind: TaskKind::Digest,
        segment: Some(index),
        work_ms: 7,
        attempts: None,
    };
    let sound = Task {
        id: TaskId::of(TaskKind::Sound, 0),
        kind: TaskKind::Sound,
        segment: None,
        work_ms: 100,
        attempts: Some(3),
    };
    let recipe = Recipe::built_in("rejoin").unwrap();
    Plan {
        version: PLAN_VERSION,
        job: id("talk"),
        output: id("video"),
        recipe: recipe.name.clone(),
        spec: recipe.outputs[&id("video")].clone(),
        source_key: "input/talk/source.mp4".into(),
        source_bytes: 20_000,
        duration_ms: Some(2000),
        timebase: Timebase::MICROS,
        segments: vec![segment(0), segment(1)],
        tasks: vec![sound, task(0), task(1)],
        reason: None,
        files: BTreeMap::from([("track.mov".into(), "segments/talk/video/1/track.mov".into())]),
        needs: BTreeMap::from([(id("transcript"), "c0de".into())]),
        tools: BTreeMap::from([("ffmpeg".into(), "5.1.9".into())]),
        engine: json!({ "streams": 2 }),
    }
}

fn index() -> OutputIndex {
    OutputIndex {
        version: INDEX_VERSION,
        job: id("talk"),
        epoch: id("0190-a"),
        output: id("video"),
        kind: "video".into(),
        recipe: "rejoin".into(),
        plan: PlanHash("77aa".into()),
        term: Term(4),
        needs: BTreeMap::from([(id("transcript"), "c0de".into())]),
        source_bytes: 20_000,
        duration_ms: Some(2000),
        segments: 2,
        tools: BTreeMap::from([("ffmpeg".into(), "5.1.9".into())]),
        notes: vec!["a data stream was left out".into()],
        reason: None,
        files: vec![PublishedFile {
            name: "final.mp4".into(),
            kind: FileKind::Media,
            media_type: "video/mp4".into(),
            bytes: 19_000,
            sha256: "ba78".into(),
            made: "copied packet by packet".into(),
            work_key: "work/talk/video/assemble/4/final.mp4".into(),
        }],
    }
}

fn completion() -> Completion {
    Completion {
        version: COMPLETION_VERSION,
        output: OutputRef { job: id("talk"), epoch: id("0190-a"), output: id("video") },
        task: TaskId::of(TaskKind::Digest, 1),
        term: Term(2),
        files: vec![PartFile {
            name: "part.mp4".into(),
            key: "work/talk/video/digest-00001/2/part.mp4".into(),
            bytes: 9_000,
        }],
        facts: json!({ "packets": 25 }),
    }
}

fn asset() -> Asset {
    Asset {
        version: ASSET_VERSION,
        id: id("talk"),
        epoch: id("0190-b"),
        revision: 1,
        owner: "archive".into(),
        kind: AssetKind::Video,
        title: "A talk".into(),
        file_name: "talk.mp4".into(),
        media_type: "video/mp4".into(),
        size_bytes: Some(20_000),
        source_key: "input/talk/source.mp4".into(),
        duration_ms: Some(2000),
        created_at_ms: 1_700_000_000_000,
        deleted_at_ms: Some(1_700_000_002_000),
    }
}

const IMAGES: &str = r#"
version = 2
name = "photos"

[outputs.image]
kind = "image"

[outputs.wide]
kind = "image"
quality = 60
max_megapixels = 40
max_frames = 1
variants = [{ width = 1600, height = 400, fit = "cover" }, { width = 90, height = 90 }]
"#;

const SOUND_AND_PICTURES: &str = r#"
version = 2
name = "viewer"

[outputs.audio]
kind = "audio"

[outputs.podcast]
kind = "audio"
formats = ["mp3", "opus", "flac", "wav16k", "flac16k"]
track = 1
normalize = -16
kbps = { mp3 = 128, opus = 96 }

[outputs.poster]
kind = "poster"

[outputs.still]
kind = "poster"
at = "30s"
width = 1920
formats = ["webp"]

[outputs.storyboard]
kind = "storyboard"

[outputs.strips]
kind = "storyboard"
interval = "5s"
width = 240
columns = 5
rows = 5
files = true
files_width = 640
preview = "webp"
"#;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn all() -> Vec<Golden> {
    let message = |name, message: Message| Golden {
        name,
        written: message.encode(),
        again: |text| Ok(Message::decode(text)?.encode()),
    };
    let (job_id, output) = (id("talk"), id("video"));
    let manifest = {
        let (_, hash) = index().encode();
        Manifest::new(&index(), &hash)
    };
    vec![
        message("message-plan-2", Message::Plan { job: id("talk") }),
        message(
            "message-task-2",
            Message::Task { job: id("talk"), output: id("video"), task: TaskId::of(TaskKind::Digest, 1) },
        ),
        message("message-assemble-2", Message::Assemble { job: job_id, output }),
        Golden {
            name: "job-1",
            written: job().encode(),
            again: |text| Ok(JobRecord::decode(text)?.encode()),
        },
        Golden {
            name: "plan-1",
            written: text(plan().encode().0),
            again: |written| {
                let bytes = written.as_bytes();
                Ok(text(Plan::decode(bytes, &PlanHash::of(bytes))?.encode().0))
            },
        },
        Golden {
            name: "completion-1",
            written: completion().encode(),
            again: |text| Ok(Completion::decode(text)?.encode()),
        },
        Golden {
            name: "index-1",
            written: text(index().encode().0),
            again: |written| Ok(text(OutputIndex::decode(written.as_bytes())?.encode().0)),
        },
        Golden {
            name: "manifest-2",
            written: text(manifest.encode()),
            again: |written| Ok(text(Manifest::decode(written.as_bytes())?.encode())),
        },
        Golden {
            name: "asset-1",
            written: asset().encode(),
            again: |text| Ok(Asset::decode(text)?.encode()),
        },
        Golden {
            name: "notice-1",
            written: notice().encode(),
            again: |text| Ok(OutboxEntry::decode(text)?.encode()),
        },
        Golden {
            name: "tombstone-1",
            written: Tombstone::new(id("talk"), id("0190-a"), 1_700_000_003_000).encode(),
            again: |text| Ok(Tombstone::decode(text)?.encode()),
        },
        Golden {
            name: "recipe-2",
            written: Recipe::built_in("standard").unwrap().to_json(),
            again: |text| Ok(Recipe::from_json(text)?.to_json()),
        },
        Golden {
            name: "recipe-2-sound-and-pictures",
            written: Recipe::from_toml(SOUND_AND_PICTURES).unwrap().to_json(),
            again: |text| Ok(Recipe::from_json(text)?.to_json()),
        },
        Golden {
            name: "recipe-2-images",
            written: Recipe::from_toml(IMAGES).unwrap().to_json(),
            again: |text| Ok(Recipe::from_json(text)?.to_json()),
        },
    ]
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"))
}

#[test]
fn every_document_is_written_as_its_golden_file_and_read_back() {
    for Golden { name, written, again } in all() {
        let pretty = |text: &str| {
            let value: Value = serde_json::from_str(text).unwrap();
            serde_json::to_string_pretty(&value).unwrap() + "\n"
        };
        if std::env::var_os("SEGUE_UPDATE_GOLDEN").is_some() {
            std::fs::write(path(name), pretty(&written)).unwrap();
        }
        let golden = std::fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(pretty(&written), golden, "{name} is written differently");
        let read = again(&golden).unwrap_or_else(|e| panic!("{name} is not read: {e}"));
        assert_eq!(pretty(&read), golden, "{name} is read differently");
    }
}

/// A newer document is distinguished from an invalid one before its fields are parsed, so that it can be left to a
/// newer build; one of this build's version with an unknown field is invalid.
#[test]
fn newer_documents_are_told_from_broken_ones() {
    for Golden { name, written, again } in all() {
        let with = |change: &dyn Fn(&mut Value)| {
            let mut value: Value = serde_json::from_str(&written).unwrap();
            change(&mut value);
            again(&value.to_string())
        };
        let newer = with(&|value| {
            value["version"] = json!(99);
            value["a_field_of_next_year"] = json!([1]);
        });
        // a recipe is written by users, so a newer one is a usage error
        if name.starts_with("recipe") {
            assert!(newer.unwrap_err().to_string().contains("99"), "{name}");
        } else {
            assert!(matches!(newer, Err(DomainError::Version { found: 99, .. })), "{name}: {newer:?}");
        }
        let unknown = with(&|value| value["a_field_of_next_year"] = json!([1]));
        assert!(
            unknown.is_err() && !matches!(unknown, Err(DomainError::Version { .. })),
            "{name}: {unknown:?}"
        );
        let unversioned = with(&|value| {
            value.as_object_mut().unwrap().remove("version");
        });
        assert!(unversioned.is_err(), "{name} without a version");
    }
}
