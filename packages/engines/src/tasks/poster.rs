//! The map task that chooses and makes the poster.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::pictures::poster;
use segue_ports::{EngineError, MapEngine, ProducedFile, TaskRequest, TaskResult};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::{errors, source};

/// Makes posters.
pub struct PosterEngine {
    context: Arc<EngineContext>,
}

impl PosterEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> PosterEngine {
        PosterEngine { context }
    }
}

#[async_trait]
impl MapEngine for PosterEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Poster]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.context.media_plan(&request.plan)?;
        let recipe = request.plan.spec.poster();
        let recipe = recipe.ok_or_else(|| internal("a poster of something that is none"))?;
        let (source, tools) = (source::of(&request.inputs.source), &self.context.tools);
        let (folder, limits) = (&request.run.scratch, self.context.limits(&request.run.cancel));
        let made = poster(tools, source, &notes.facts, recipe, folder, &limits).await;
        let made = made.map_err(errors::media)?;
        let made = made.ok_or_else(|| internal("a poster of a source without a picture"))?;
        let file = |name: &String| ProducedFile { name: name.clone(), path: folder.join(name) };
        let files = made.files.iter().map(file).collect();
        let facts = serde_json::to_value(made).map_err(|e| internal(e.to_string()))?;
        Ok(TaskResult { files, facts })
    }
}
