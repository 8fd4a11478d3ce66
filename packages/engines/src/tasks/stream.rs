//! The map tasks of a stream: one part of the pictures in all sizes, and the sound.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::package::{MadePart, PartEncoding, encode_part, encode_sound};
use segue_ports::{EngineError, Event, MapEngine, ProducedFile, Stage, TaskRequest, TaskResult};

use crate::context::EngineContext;
use crate::media_plan::{MediaPlan, internal};
use crate::tasks::encode::{Encoders, stream_of};
use crate::{errors, picture, source};

/// Name of the document with the parts of a task, `[MadePart]`.
pub const PARTS_FILE: &str = "parts.json";

/// Encodes parts and sound of streams.
pub struct StreamEngine {
    context: Arc<EngineContext>,
    encoders: Encoders,
}

impl StreamEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> StreamEngine {
        StreamEngine { encoders: Encoders::new(Arc::clone(&context)), context }
    }

    async fn pictures(&self, request: &TaskRequest, notes: &MediaPlan) -> Result<Vec<MadePart>, EngineError> {
        let (plan, stream_plan) = (notes.picture()?.clone(), notes.stream()?);
        let recipe =
            request.plan.spec.stream().ok_or_else(|| internal("a part of something that is no stream"))?;
        let stream = stream_of(notes, &plan)?;
        let encoder = self.encoders.get(recipe.codec, stream).await?;
        let part = request.task.segment.ok_or_else(|| internal("a part without a number"))?;
        picture::fetch_index(&plan, &request.inputs).await?;
        let (inputs, for_index) = (request.inputs.clone(), plan.clone());
        let open = tokio::task::spawn_blocking(move || picture::open(&for_index, &inputs))
            .await
            .map_err(|e| internal(format!("the task that reads the index failed: {e}")))??;
        let track = picture::track(&plan, &request.inputs)?;
        let what = PartEncoding {
            track: &track,
            picture: &plan,
            stream,
            plan: stream_plan,
            part: part as usize,
            recipe,
            encoder,
            out: &request.run.scratch,
            threads: request.run.threads as u32,
        };
        let owns = request.plan.segments.get(part as usize).map_or(1, |segment| segment.frames.max(1));
        let mut before = 0;
        let on_frames = |frames: u64| {
            let done = frames.min(owns) * request.task.work_ms / owns;
            if done > before {
                let job = request.run.job.clone();
                let stage = Stage::Task(TaskKind::Stream);
                request.run.reporter.report(Event::StageAdvanced { job, stage, done: done - before });
                before = done;
            }
        };
        let limits = self.context.limits(&request.run.cancel);
        encode_part(&self.context.tools, Arc::new(open), &what, &limits, on_frames)
            .await
            .map_err(errors::media)
    }

    async fn sound(&self, request: &TaskRequest, notes: &MediaPlan) -> Result<Vec<MadePart>, EngineError> {
        let plan = notes.stream()?;
        let recipe =
            request.plan.spec.stream().ok_or_else(|| internal("sound of something that is no stream"))?;
        let limits = self.context.limits(&request.run.cancel);
        let mut made = Vec::new();
        for track in &notes.sounds {
            let stream = notes.facts.streams.iter().find(|stream| stream.index == track.stream);
            let stream = stream.ok_or_else(|| internal(format!("there is no stream {}", track.stream)))?;
            let source = source::of(&request.inputs.source);
            source.bring_stream(&notes.facts, stream).await.map_err(errors::media)?;
            let part = encode_sound(
                &self.context.tools,
                source.path(),
                &notes.facts,
                stream,
                track,
                plan,
                recipe.sound_kbps,
                &request.run.scratch,
                &limits,
            );
            made.push(part.await.map_err(errors::media)?);
        }
        Ok(made)
    }
}

#[async_trait]
impl MapEngine for StreamEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Stream, TaskKind::StreamSound]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        self.context.check_same_tools(&request.plan)?;
        let notes = self.context.media_plan(&request.plan)?;
        let parts = match request.task.kind {
            TaskKind::StreamSound => self.sound(&request, &notes).await?,
            _ => self.pictures(&request, &notes).await?,
        };
        recorded(&parts, &request.run.scratch)
    }
}

/// The parts as a result: their files, and the document that lists them.
fn recorded(parts: &[MadePart], folder: &Path) -> Result<TaskResult, EngineError> {
    let path = folder.join(PARTS_FILE);
    let text = serde_json::to_vec(parts).map_err(|e| internal(e.to_string()))?;
    std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
    let names = parts.iter().flat_map(|made| [&made.part.uri, &made.part.init]);
    let mut files: Vec<ProducedFile> =
        names.map(|name| ProducedFile { name: name.clone(), path: folder.join(name) }).collect();
    files.push(ProducedFile { name: PARTS_FILE.to_owned(), path });
    Ok(TaskResult { files, facts: serde_json::json!({ "renditions": parts.len() }) })
}
