//! The map task that transcribes: the speech windows that start in one segment.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::{Plan, TaskKind};
use segue_media::SpeechSound;
use segue_ports::{EngineError, Event, MapEngine, ProducedFile, Stage, TaskRequest, TaskResult};
use segue_speech::{Progress, SAMPLE_RATE, SampleRange, SoundSource, SpeechError};

use crate::context::EngineContext;
use crate::media_plan::{MediaPlan, internal};
use crate::outputs::transcript::SPEECH_FILE;
use crate::{errors, source};

/// Transcribes segments.
pub struct TranscribeEngine {
    context: Arc<EngineContext>,
}

impl TranscribeEngine {
    /// An engine with these models.
    pub fn new(context: Arc<EngineContext>) -> TranscribeEngine {
        TranscribeEngine { context }
    }
}

#[async_trait]
impl MapEngine for TranscribeEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Transcribe]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.context.media_plan(&request.plan)?;
        let context = Arc::clone(&self.context);
        let cancel = request.run.cancel.clone();
        let stream = notes.speech_stream.ok_or_else(|| internal("a transcript of a source without sound"))?;
        let sound = match &notes.speech_file {
            Some(stored) => {
                let file = request.inputs.files.get(&stored.file_name);
                let file =
                    file.ok_or_else(|| internal(format!("the plan has no file {}", stored.file_name)))?;
                SpeechSound::stored(&source::of(file), stored)
            }
            None => {
                let (source, scratch) = (source::of(&request.inputs.source), &request.run.scratch);
                let limits = context.limits(&cancel);
                SpeechSound::open(&context.tools, source, &notes.facts, stream, scratch, &limits).await
            }
        }
        .map_err(errors::media)?;
        let heard = tokio::task::spawn_blocking(move || hear(&context, &request, &notes, sound));
        let result = heard.await.map_err(|e| internal(format!("the transcription task failed: {e}")))?;
        if cancel.is_cancelled() { Err(EngineError::cancelled()) } else { result }
    }
}

fn hear(
    context: &EngineContext,
    request: &TaskRequest,
    notes: &MediaPlan,
    sound: SpeechSound,
) -> Result<TaskResult, EngineError> {
    let run = &request.run;
    let recipe = request.plan.spec.transcript();
    let recipe = recipe.ok_or_else(|| internal("a transcription of something that is no transcript"))?;
    let index = request.task.segment.ok_or_else(|| internal("a transcript of no segment"))?;
    let model = context.model(recipe)?;
    let offset_ms = sound.start_offset_ms();
    let first_sample_us = notes.facts.start_time_us + offset_ms * 1000;
    let range = range_of(&request.plan, index, first_sample_us, sound.len_samples());
    let frames = model.transcriber.frames(Arc::new(Heard(sound)));
    let total = range.len().max(1);
    let reported = std::sync::Mutex::new(0u64);
    let progress = |progress: Progress| {
        let done = (progress.done.max(0) as u64).saturating_mul(request.task.work_ms) / total as u64;
        let mut before = reported.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if done > *before {
            let stage = Stage::Task(TaskKind::Transcribe);
            run.reporter.report(Event::StageAdvanced { job: run.job.clone(), stage, done: done - *before });
            *before = done;
        }
    };
    let part = model
        .transcriber
        .transcribe(&frames, range, context.speech.side_by_side, offset_ms, &progress, &run.cancel)
        .map_err(errors::speech)?;
    let words: usize = part.utterances.iter().map(|u| u.words.len()).sum();
    let facts = serde_json::json!({
        "from_sample": range.start, "to_sample": range.end, "words": words, "engine": model.engine,
    });
    let path = run.scratch.join(SPEECH_FILE);
    write_json(&path, &part)?;
    Ok(TaskResult { files: vec![ProducedFile { name: SPEECH_FILE.to_owned(), path }], facts })
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), EngineError> {
    let bytes = serde_json::to_vec(value).map_err(|e| internal(e.to_string()))?;
    std::fs::write(path, bytes).map_err(|e| errors::io(path.display(), &e))
}

/// The samples of a segment. The first segment starts with the audio and the
/// last one ends with it, so that together they cover all of it, whichever stream starts first.
fn range_of(plan: &Plan, index: u32, first_sample_us: i64, len: i64) -> SampleRange {
    let sample = |tick: i64| {
        let us = plan.timebase.to_micros(tick) - first_sample_us;
        (us * (SAMPLE_RATE / 1000) / 1000).clamp(0, len)
    };
    let range = plan.segments[index as usize].range;
    let last = index as usize + 1 == plan.segments.len();
    let start = if index == 0 { 0 } else { sample(range.start) };
    let end = if last { len } else { sample(range.end) };
    SampleRange::new(start, end)
}

/// Adapts the media crate's audio for the speech crate.
struct Heard(SpeechSound);

impl SoundSource for Heard {
    fn len(&self) -> i64 {
        self.0.len_samples()
    }

    fn read(&self, range: SampleRange) -> segue_speech::Result<Vec<f32>> {
        let samples = self.0.read(range.start, range.end).map_err(|e| match e.kind() {
            segue_media::MediaErrorKind::Cancelled => SpeechError::cancelled(),
            segue_media::MediaErrorKind::Environment => SpeechError::environment(e.to_string()),
            _ => SpeechError::source(e.to_string()),
        })?;
        Ok(samples.into_iter().map(|s| f32::from(s) / 32768.0).collect())
    }
}
