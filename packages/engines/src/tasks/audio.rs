//! The map task that makes the audio files, once, from the whole track.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::audio_files::{make, track};
use segue_ports::{EngineError, MapEngine, ProducedFile, TaskRequest, TaskResult};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::{errors, source};

/// Makes audio files.
pub struct AudioEngine {
    context: Arc<EngineContext>,
}

impl AudioEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> AudioEngine {
        AudioEngine { context }
    }
}

#[async_trait]
impl MapEngine for AudioEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Audio]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.context.media_plan(&request.plan)?;
        let recipe = request.plan.spec.audio();
        let recipe = recipe.ok_or_else(|| internal("audio of something that is none"))?;
        let stream = track(&notes.facts, recipe).map_err(errors::media)?;
        let stream = stream.ok_or_else(|| internal("audio of a source without sound"))?;
        let source = source::of(&request.inputs.source);
        source.bring_stream(&notes.facts, stream).await.map_err(errors::media)?;
        let (tools, folder) = (&self.context.tools, &request.run.scratch);
        let limits = self.context.limits(&request.run.cancel);
        let made = make(tools, source.path(), &notes.facts, stream, recipe, folder, &limits).await;
        let made = made.map_err(errors::media)?;
        let file = |name: &String| ProducedFile { name: name.clone(), path: folder.join(name) };
        let files = made.files.iter().map(|made| file(&made.name)).collect();
        let facts = serde_json::to_value(made).map_err(|e| internal(e.to_string()))?;
        Ok(TaskResult { files, facts })
    }
}
