//! The map task that encodes the audio, once, for the whole duration.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_domain::recipe::{SoundCodec, default_map_timeout};
use segue_media::{AudioCodec, AudioInput, AudioSettings, SoundMap, StreamKind, encode_audio};
use segue_ports::{EngineError, MapEngine, Part, ProducedFile, TaskRequest, TaskResult};
use serde::{Deserialize, Serialize};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::{errors, source};

/// One encoded stream, as recorded in a completion's facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EncodedSound {
    /// Name of the file.
    name: String,
    /// Offset from its times to the source's, microseconds.
    offset_us: i64,
    /// Index of the source stream that it replaces.
    stands_for: u32,
    /// ffmpeg's name of the codec.
    codec: String,
    /// Priming samples at its start.
    priming: u32,
}

/// Encodes audio.
pub struct SoundEngine {
    context: Arc<EngineContext>,
}

impl SoundEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> SoundEngine {
        SoundEngine { context }
    }
}

#[async_trait]
impl MapEngine for SoundEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Sound]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        self.context.allow_map.check_output(&request.plan.spec).map_err(errors::failure)?;
        let notes = self.context.media_plan(&request.plan)?;
        let video =
            request.plan.spec.video().ok_or_else(|| internal("sound of something that is no video"))?;
        let codec = match video.sound.codec {
            SoundCodec::Opus => AudioCodec::Opus,
            SoundCodec::Copy if video.sound.map.is_none() => {
                return Err(internal("a copy of the sound needs no task"));
            }
            SoundCodec::Aac | SoundCodec::Copy => AudioCodec::Aac,
        };
        let settings = AudioSettings { codec, bitrate: Some(video.sound.kbps * 1000), channels: None };
        let limits = self.context.limits(&request.run.cancel);
        let (mut files, mut sounds) = (Vec::new(), Vec::new());
        for stream in notes.facts.of(StreamKind::Audio).filter(|stream| stream.codec.is_some()) {
            let name = format!("sound-{}.m4a", stream.index);
            let out = request.run.scratch.join(&name);
            source::of(&request.inputs.source)
                .bring_stream(&notes.facts, stream)
                .await
                .map_err(errors::media)?;
            let source = request.inputs.source.path();
            let tools = &self.context.tools;
            let input = match &video.sound.map {
                None => encode_audio(tools, source, &notes.facts, stream, &settings, &out, &limits).await,
                Some(command) => {
                    let map = SoundMap { command, job: request.run.job.as_str(), time: time_limit(&request) };
                    let work = request.run.scratch.join(format!("map-{}", stream.index));
                    map.encode(tools, source, &notes.facts, stream, &settings, &work, &out, &limits).await
                }
            };
            let input = input.map_err(errors::media)?;
            let AudioInput { path, offset_us, stands_for, codec, priming } = input;
            files.push(ProducedFile { name: name.clone(), path });
            sounds.push(EncodedSound { name, offset_us, stands_for, codec, priming });
        }
        let facts = serde_json::to_value(sounds).map_err(|e| internal(e.to_string()))?;
        Ok(TaskResult { files, facts })
    }
}

/// Time limit of the map command.
fn time_limit(request: &TaskRequest) -> Duration {
    let map = request.plan.spec.video().and_then(|video| video.map.as_ref());
    Duration::from_millis(map.map_or_else(default_map_timeout, |map| map.timeout).millis())
}

/// The encoded audio of a job, as inputs of its join.
pub fn inputs(parts: &[Part]) -> Result<Vec<AudioInput>, EngineError> {
    let Some(part) = parts.iter().find(|part| part.task.kind == TaskKind::Sound) else {
        return Ok(Vec::new());
    };
    let sounds: Vec<EncodedSound> = serde_json::from_value(part.facts.clone())
        .map_err(|e| internal(format!("what the sound came to cannot be read: {e}")))?;
    let input = |sound: EncodedSound| {
        let path = part.files.get(&sound.name).cloned();
        let path = path.ok_or_else(|| internal(format!("{} left no {}", part.task.id, sound.name)))?;
        let EncodedSound { offset_us, stands_for, codec, priming, .. } = sound;
        Ok(AudioInput { path, offset_us, stands_for, codec, priming })
    };
    sounds.into_iter().map(input).collect()
}
