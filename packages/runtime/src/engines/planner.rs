//! From a source and a recipe to segments and tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::plan::PLAN_VERSION;
use segue_domain::recipe::{VideoMode, WithoutSound, default_map_attempts};
use segue_domain::{FaultKind, Plan, Recipe, Segment, Task, TaskId, TaskKind, TickRange, Timebase};
use segue_media::bounds::MAX_LENGTH_US;
use segue_media::encode::plan_on_grid;
use segue_media::{Limits, PicturePlan, SourceFacts, SpeechFile, StreamKind, TrackPlace, open_index};
use segue_ports::{EngineError, PlanRequest, Planned, Planner, ProducedFile};

use super::kit::Kit;
use super::notes::Notes;
use super::{errors, source, work};

/// Plans with ffprobe and the source's own index.
pub struct MediaPlanner {
    kit: Arc<Kit>,
}

impl MediaPlanner {
    /// A planner with these tools.
    pub fn new(kit: Arc<Kit>) -> MediaPlanner {
        MediaPlanner { kit }
    }
}

#[async_trait]
impl Planner for MediaPlanner {
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError> {
        let PlanRequest { run, source, source_key, recipe } = request;
        self.kit.allow_map.check(&recipe).map_err(errors::failure)?;
        self.kit.models.check(&recipe).map_err(errors::failure)?;
        let source = source::of(&source);
        source.bring_head().await.map_err(errors::media)?;
        let facts = self.kit.probe(source.path()).await?;
        check_length(&facts)?;
        check_wanted(&recipe, &facts)?;
        let limits = self.kit.limits(&run.cancel);
        let picture = match &recipe.video {
            Some(_) => self.picture(&source, &run.scratch, &recipe, &facts, &limits).await?,
            None => None,
        };
        let speech_stream = recipe.transcript.as_ref().and(facts.primary_audio()).map(|stream| stream.index);
        let mut notes = Notes::new(facts, picture, speech_stream);
        notes.warnings = warnings(&recipe, &notes);
        let (timebase, segments) = segments(&recipe, &notes)?;
        if let Some(stream) = speech_stream.filter(|_| segments.len() > 1) {
            notes.speech_file =
                SpeechFile::decode(&self.kit.tools, &source, &notes.facts, stream, &run.scratch, &limits)
                    .await
                    .map_err(errors::media)?;
        }
        let tasks = tasks(&recipe, &notes, timebase, &segments);
        check_tasks(&recipe, tasks.len())?;
        let track = notes.picture.as_ref().and_then(|picture| match &picture.track {
            TrackPlace::TrackFile { file_name, .. } => Some(file_name),
            TrackPlace::Source { .. } => None,
        });
        let names = track.into_iter().chain(notes.speech_file.as_ref().map(|speech| &speech.file_name));
        let file = |name: &String| ProducedFile { name: name.clone(), path: run.scratch.join(name) };
        let files = names.map(file).collect();
        let plan = Plan {
            version: PLAN_VERSION,
            job: run.job,
            recipe,
            source_key,
            source_bytes: notes.facts.size_bytes,
            timebase,
            segments,
            tasks,
            files: BTreeMap::new(),
            tools: self.kit.versions(),
            engine: notes.write()?,
        };
        Ok(Planned { plan, files, warnings: notes.warnings })
    }
}

impl MediaPlanner {
    async fn picture(
        &self,
        source: &segue_media::Source,
        scratch: &std::path::Path,
        recipe: &Recipe,
        facts: &SourceFacts,
        limits: &Limits,
    ) -> Result<Option<PicturePlan>, EngineError> {
        let every = recipe.segment_duration.micros();
        let plan = segue_media::plan_cuts(&self.kit.tools, source, scratch, every, facts, limits)
            .await
            .map_err(errors::media)?;
        let encode =
            recipe.video.as_ref().filter(|video| video.mode == VideoMode::Encode).map(|video| &video.encode);
        let (Some(plan), Some(encode)) = (&plan, encode) else { return Ok(plan) };
        // the encoder's keyframes stand on a grid that does not know the segments; cuts on it
        // cost no keyframe
        let open = open_index(plan, source, scratch).map_err(errors::media)?;
        plan_on_grid(plan, &open, encode, every).map(Some).map_err(errors::media)
    }
}

/// Most tasks of a job. A task costs messages, a lease and a process, however little there is to do.
const MAX_TASKS: usize = 10_000;

/// Whether the source is short enough, by what its header says of its length.
fn check_length(facts: &SourceFacts) -> Result<(), EngineError> {
    let length = facts.duration_us.unwrap_or(0);
    if length <= MAX_LENGTH_US {
        return Ok(());
    }
    let hour = 3_600 * 1_000_000;
    let why = format!(
        "the source says that it is {} hours long; the limit is {} hours: cut it into shorter files first",
        length / hour,
        MAX_LENGTH_US / hour
    );
    Err(EngineError::new(FaultKind::Source, why))
}

/// Whether the segments are few enough, and the tasks that they make.
fn check_tasks(recipe: &Recipe, tasks: usize) -> Result<(), EngineError> {
    if tasks <= MAX_TASKS {
        return Ok(());
    }
    let why = format!(
        "segments of {} make at least {tasks} tasks of this source; the limit is {MAX_TASKS}: use longer segments",
        recipe.segment_duration
    );
    Err(EngineError::new(FaultKind::Source, why))
}

/// Whether the source has what the recipe cannot do without.
fn check_wanted(recipe: &Recipe, facts: &SourceFacts) -> Result<(), EngineError> {
    let has_picture = facts.primary_video().is_some();
    let has_sound = facts.primary_audio().is_some();
    if recipe.map.is_some() && !has_picture {
        let why = "the source has no moving picture to run the map command on; leave out --map or the [map] section";
        return Err(EngineError::new(FaultKind::Source, why));
    }
    let Some(transcript) = &recipe.transcript else { return Ok(()) };
    let nothing_else = recipe.video.is_none() && recipe.thumbnail.is_none();
    if !has_sound && (nothing_else || transcript.without_sound == WithoutSound::Fail) {
        let why = "the source has no sound to transcribe; use a recipe without a transcript, such as rejoin";
        return Err(EngineError::new(FaultKind::Source, why));
    }
    Ok(())
}

fn warnings(recipe: &Recipe, notes: &Notes) -> Vec<String> {
    let mut said = Vec::new();
    let facts = &notes.facts;
    if let Some(bytes) = facts.short_by_bytes {
        said.push(format!("the source is cut off: {bytes} bytes that it announces are missing"));
    }
    if let Some(lost) = notes.picture.as_ref().and_then(|picture| picture.lost.as_ref()) {
        said.push(format!("the source is cut off: its last {} pictures are missing", lost.samples));
    }
    if recipe.transcript.is_some() && notes.speech_stream.is_none() {
        said.push("no transcript: the source has no sound".to_owned());
    }
    if recipe.thumbnail.is_some() && !has_still(facts) {
        said.push("no thumbnail: the source has no picture".to_owned());
    }
    said
}

fn has_still(facts: &SourceFacts) -> bool {
    facts.primary_video().is_some() || facts.of(StreamKind::Picture).next().is_some()
}

/// The segments: the picture's, or equal stretches of time where there is none to cut.
///
/// # Errors
/// More segments than there may be tasks.
fn segments(recipe: &Recipe, notes: &Notes) -> Result<(Timebase, Vec<Segment>), EngineError> {
    if let Some(picture) = &notes.picture {
        let of = |s: &segue_media::PictureSegment| Segment {
            index: s.index,
            range: s.range,
            frames: s.frames,
            bytes: s.bytes,
        };
        check_tasks(recipe, picture.segments.len())?;
        return Ok((picture.timebase, picture.segments.iter().map(of).collect()));
    }
    let start = notes.facts.start_time_us;
    let length = notes.facts.duration_us.unwrap_or(0).max(1);
    let every = recipe.segment_duration.micros();
    // a tail shorter than half a segment stays with the one before
    let count = ((length + every / 2) / every).max(1);
    check_tasks(recipe, usize::try_from(count).unwrap_or(usize::MAX))?;
    let segments = (0..count).map(|i| Segment {
        index: i as u32,
        range: TickRange {
            start: start + i * every,
            end: if i + 1 == count { start + length.max(i * every + 1) } else { start + (i + 1) * every },
        },
        frames: 0,
        bytes: 0,
    });
    Ok((Timebase::MICROS, segments.collect()))
}

/// The tasks, the longest kinds first.
fn tasks(recipe: &Recipe, notes: &Notes, timebase: Timebase, segments: &[Segment]) -> Vec<Task> {
    let mut tasks = Vec::new();
    let maps_sound = recipe.video.as_ref().is_some_and(|video| video.sound.map.is_some());
    let mut add = |kind: TaskKind, segment: Option<u32>, work_ms: u64| {
        let own_program = kind == TaskKind::Map || (kind == TaskKind::Sound && maps_sound);
        let attempts =
            own_program.then(|| recipe.map.as_ref().map_or_else(default_map_attempts, |m| m.attempts));
        let id = TaskId::of(kind, segment.unwrap_or(0));
        tasks.push(Task { id, kind, segment, work_ms: work_ms.max(1), attempts });
    };
    let whole_ms = (notes.facts.duration_us.unwrap_or(0) / 1000).max(0) as u64;
    if notes.speech_stream.is_some() {
        for segment in segments {
            add(TaskKind::Transcribe, Some(segment.index), work::transcribe_ms(timebase, segment));
        }
    }
    if let Some(video) = &recipe.video {
        if video.sound.is_made() && notes.facts.primary_audio().is_some() {
            add(TaskKind::Sound, None, work::sound_ms(whole_ms));
        }
        match (&notes.picture, &recipe.map, video.mode) {
            (None, _, _) => add(TaskKind::Carry, None, work::carry_ms(notes.facts.size_bytes)),
            (Some(_), Some(_), _) => {
                for segment in segments {
                    add(TaskKind::Map, Some(segment.index), work::map_ms(timebase, segment));
                }
            }
            (Some(_), None, VideoMode::Copy) => {
                for segment in segments {
                    add(TaskKind::Carry, Some(segment.index), work::carry_ms(segment.bytes));
                }
            }
            (Some(_), None, VideoMode::Encode) => {
                let stream = notes.facts.primary_video();
                let pixels = stream.map_or(0, |s| u64::from(s.width) * u64::from(s.height));
                for segment in segments {
                    add(TaskKind::Encode, Some(segment.index), work::encode_ms(pixels, segment.frames));
                }
            }
        }
    }
    if recipe.thumbnail.is_some() && has_still(&notes.facts) {
        add(TaskKind::Thumbnail, None, work::THUMBNAIL_MS);
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sound of so many microseconds, by its header.
    fn sound(length_us: i64) -> SourceFacts {
        serde_json::from_value(serde_json::json!({
            "size_bytes": 1042, "format": "flac", "container": "other", "start_time_us": 0,
            "duration_us": length_us, "streams": [], "chapters": 0, "tags": {}
        }))
        .unwrap()
    }

    #[test]
    fn a_source_of_more_than_two_days_is_refused() {
        check_length(&sound(MAX_LENGTH_US)).unwrap();
        let error = check_length(&sound(MAX_LENGTH_US + 3_600_000_000)).unwrap_err();
        assert_eq!(error.kind, FaultKind::Source);
        assert!(error.to_string().contains("49 hours long; the limit is 48 hours"), "{error}");
    }

    #[test]
    fn more_tasks_than_a_job_may_have_are_refused_before_they_are_made() {
        let recipe = Recipe::built_in("transcript").unwrap();
        let every = recipe.segment_duration.micros();
        let plan = |length_us| segments(&recipe, &Notes::new(sound(length_us), None, None));
        assert_eq!(plan(10_000 * every).unwrap().1.len(), 10_000);
        for length_us in [10_001 * every, i64::MAX / 2] {
            let error = plan(length_us).unwrap_err();
            assert_eq!(error.kind, FaultKind::Source);
            assert!(error.to_string().contains("the limit is 10000"), "{error}");
        }
        assert!(check_tasks(&recipe, 10_001).is_err() && check_tasks(&recipe, 10_000).is_ok());
    }
}
