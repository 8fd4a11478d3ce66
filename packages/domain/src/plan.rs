//! The plan of an output: the segments and tasks that the planner derives from a source.
//!
//! A plan is sealed once, never changes afterwards, and is named by the hash of its bytes. Tasks do
//! not depend on each other; order exists only between outputs.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{JobId, OutputId, TaskId};
use crate::recipe::OutputSpec;
use crate::time::{TickRange, Timebase};

/// Newest plan document this build reads and the one it writes.
pub const PLAN_VERSION: u32 = 1;

/// Kind of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Hash the packets that a segment owns; no file is written.
    Digest,
    /// Cut a segment and run the map command on it.
    Map,
    /// Encode the frames that a segment owns.
    Encode,
    /// Encode the audio, once, for the whole duration.
    Sound,
    /// Transcribe the speech windows that start in a segment.
    Transcribe,
    /// Make the thumbnail.
    Thumbnail,
    /// Make the audio files, once, from the whole duration.
    Audio,
    /// Choose and make the poster.
    Poster,
    /// Make the storyboard's pictures of a segment.
    Storyboard,
    /// Make the storyboard's animated preview.
    Preview,
    /// Encode one part of a stream in all sizes.
    Stream,
    /// Encode the sound of a stream, once, for the whole duration.
    StreamSound,
    /// Make the sizes of an image.
    Image,
}

impl TaskKind {
    /// Every kind, in the order of their names in ids.
    pub const ALL: [TaskKind; 13] = [
        TaskKind::Digest,
        TaskKind::Map,
        TaskKind::Encode,
        TaskKind::Sound,
        TaskKind::Transcribe,
        TaskKind::Thumbnail,
        TaskKind::Audio,
        TaskKind::Poster,
        TaskKind::Storyboard,
        TaskKind::Preview,
        TaskKind::Stream,
        TaskKind::StreamSound,
        TaskKind::Image,
    ];

    /// The name in task ids, logs and progress.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskKind::Digest => "digest",
            TaskKind::Map => "map",
            TaskKind::Encode => "encode",
            TaskKind::Sound => "sound",
            TaskKind::Transcribe => "transcribe",
            TaskKind::Thumbnail => "thumbnail",
            TaskKind::Audio => "audio",
            TaskKind::Poster => "poster",
            TaskKind::Storyboard => "storyboard",
            TaskKind::Preview => "preview",
            TaskKind::Stream => "stream",
            TaskKind::StreamSound => "stream-sound",
            TaskKind::Image => "image",
        }
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A segment: a half-open range of the source's timeline, processed by one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Index in the timeline, from 0.
    pub index: u32,
    /// The owned range, in ticks of [`Plan::timebase`] on the source's own clock.
    pub range: TickRange,
    /// Number of frames it owns; 0 if the source has no video.
    pub frames: u64,
    /// Bytes of video it owns, if the index has them.
    pub bytes: u64,
}

/// One unit of map work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its id within the job.
    pub id: TaskId,
    /// Its kind.
    pub kind: TaskKind,
    /// The segment it works on; absent for work on the whole duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// Predicted work, in milliseconds of one core. A prediction orders tasks and
    /// scales progress; correctness does not depend on it.
    pub work_ms: u64,
    /// Number of attempts before its output fails; absent for the worker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

/// The segments and tasks of one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Document version, [`PLAN_VERSION`].
    pub version: u32,
    /// The job it is for.
    pub job: JobId,
    /// The output it is for.
    pub output: OutputId,
    /// Name of the recipe, for display.
    pub recipe: String,
    /// The specification of the output, with all defaults filled in.
    pub spec: OutputSpec,
    /// Key of the source in the media store.
    pub source_key: String,
    /// Size of the source in bytes.
    pub source_bytes: u64,
    /// Duration of the source in milliseconds, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Duration of a tick of the segments' ranges.
    pub timebase: Timebase,
    /// The segments in order, contiguous.
    pub segments: Vec<Segment>,
    /// The tasks, in the order in which to start them.
    pub tasks: Vec<Task>,
    /// Why there are no tasks, if there are none: the source lacks the input of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Files that the planner wrote for the workers: name to key.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Hashes of the indexes of the outputs that the plan was made from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<OutputId, String>,
    /// Names and versions of the programs that planned; a worker with other
    /// versions fails the task, so that a rendition is not made by two encoders.
    #[serde(default)]
    pub tools: BTreeMap<String, String>,
    /// Facts about the source for the engines; the roles do not read them.
    pub engine: serde_json::Value,
}

/// The hash of a plan: the BLAKE3 of its bytes, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanHash(pub String);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PlanHash {
    /// The hash of a plan document's bytes.
    pub fn of(bytes: &[u8]) -> PlanHash {
        PlanHash(blake3::hash(bytes).to_hex().to_string())
    }
}

impl Plan {
    /// Encodes the document; returns it with its hash.
    pub fn encode(&self) -> (Vec<u8>, PlanHash) {
        // every map in a plan is a BTreeMap and every struct has a fixed order of fields
        let bytes = serde_json::to_vec(self).expect("a plan has no key that is not a string");
        let hash = PlanHash::of(&bytes);
        (bytes, hash)
    }

    /// Decodes a stored plan and verifies its hash and its validity.
    ///
    /// # Errors
    /// Bytes that do not hash to `expected`, a newer version, or a plan that violates
    /// the rules of [`Plan::check`].
    pub fn decode(bytes: &[u8], expected: &PlanHash) -> Result<Plan, DomainError> {
        let found = PlanHash::of(bytes);
        if found != *expected {
            let why = format!("its bytes hash to {found}, the sealed plan is {expected}");
            return Err(DomainError::Invalid { document: "plan", why });
        }
        crate::wire::check_version("plan", bytes, PLAN_VERSION)?;
        let plan: Plan = serde_json::from_slice(bytes)
            .map_err(|e| DomainError::Document { document: "plan", why: e.to_string() })?;
        plan.check()?;
        Ok(plan)
    }

    /// Whether segments partition the timeline, task ids are unique and tasks reference
    /// existing segments.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn check(&self) -> Result<(), DomainError> {
        let bad = |why: String| Err(DomainError::Invalid { document: "plan", why });
        for (position, segment) in self.segments.iter().enumerate() {
            if segment.index as usize != position {
                return bad(format!("segment {} is at position {position}", segment.index));
            }
            if segment.range.end < segment.range.start {
                return bad(format!("segment {position} ends before it starts"));
            }
        }
        for pair in self.segments.windows(2) {
            if pair[0].range.end != pair[1].range.start {
                return bad(format!("segments {} and {} are not contiguous", pair[0].index, pair[1].index));
            }
        }
        let may_be_empty = self.reason.is_some() || !self.spec.make.has_tasks();
        if self.tasks.is_empty() != may_be_empty {
            return bad("a plan has tasks, or a reason why it has none".to_owned());
        }
        let mut seen = HashSet::new();
        for task in &self.tasks {
            if !seen.insert(&task.id) {
                return bad(format!("task {} is listed twice", task.id));
            }
            if task.segment.is_some_and(|index| index as usize >= self.segments.len()) {
                return bad(format!("task {} references a missing segment", task.id));
            }
        }
        Ok(())
    }

    /// The task of that name.
    pub fn task(&self, id: &TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;
    use proptest::prelude::*;

    fn plan(segments: usize) -> Plan {
        Plan {
            version: PLAN_VERSION,
            job: "j".parse().unwrap(),
            output: "video".parse().unwrap(),
            recipe: "rejoin".into(),
            spec: Recipe::built_in("rejoin").unwrap().outputs.into_values().next().unwrap(),
            source_key: "input/j/source.mp4".into(),
            source_bytes: 1,
            duration_ms: None,
            timebase: Timebase { num: 1, den: 1000 },
            segments: (0..segments as i64)
                .map(|i| Segment {
                    index: i as u32,
                    range: TickRange { start: i * 10, end: i * 10 + 10 },
                    frames: 1,
                    bytes: 1,
                })
                .collect(),
            tasks: (0..segments as u32)
                .map(|i| Task {
                    id: TaskId::of(TaskKind::Digest, i),
                    kind: TaskKind::Digest,
                    segment: Some(i),
                    work_ms: 1,
                    attempts: None,
                })
                .collect(),
            reason: None,
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
            tools: BTreeMap::new(),
            engine: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_plan_is_named_by_its_bytes() {
        let (bytes, hash) = plan(3).encode();
        assert_eq!(Plan::decode(&bytes, &hash).unwrap(), plan(3));
        let mut other = bytes.clone();
        let at = other.iter().position(|b| *b == b'1').unwrap();
        other[at] = b'2';
        assert!(Plan::decode(&other, &hash).is_err());
    }

    #[test]
    fn broken_plans_are_refused() {
        type Break = fn(&mut Plan);
        let cases: [(&str, Break); 6] = [
            ("not contiguous", |p| p.segments[1].range.start += 1),
            ("is at position", |p| p.segments[1].index = 7),
            ("listed twice", |p| p.tasks[1].id = p.tasks[0].id.clone()),
            ("missing segment", |p| p.tasks[1].segment = Some(9)),
            ("has tasks, or a reason", |p| p.tasks.clear()),
            ("has tasks, or a reason", |p| p.reason = Some("no sound".into())),
        ];
        for (expected, breaks) in cases {
            let mut p = plan(3);
            breaks(&mut p);
            let message = p.check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let empty = Plan { tasks: vec![], reason: Some("the source has no sound".into()), ..plan(3) };
        empty.check().unwrap();
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Plan::decode(&bytes, &PlanHash::of(&bytes));
        }
    }
}
