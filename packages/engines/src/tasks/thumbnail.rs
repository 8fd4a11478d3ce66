//! The map task that makes the thumbnail.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::thumbnail::thumbnail;
use segue_ports::{EngineError, MapEngine, ProducedFile, TaskRequest, TaskResult};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::outputs::thumbnail::THUMBNAIL_FILE;
use crate::{errors, source};

/// Makes thumbnails.
pub struct ThumbnailEngine {
    context: Arc<EngineContext>,
}

impl ThumbnailEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> ThumbnailEngine {
        ThumbnailEngine { context }
    }
}

#[async_trait]
impl MapEngine for ThumbnailEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Thumbnail]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.context.media_plan(&request.plan)?;
        let recipe = request.plan.spec.thumbnail();
        let recipe = recipe.ok_or_else(|| internal("a thumbnail of something that is none"))?;
        let path = request.run.scratch.join(THUMBNAIL_FILE);
        let limits = self.context.limits(&request.run.cancel);
        let at_us = recipe.at.map(|at| at.micros());
        let (source, tools) = (source::of(&request.inputs.source), &self.context.tools);
        let made = thumbnail(tools, source, &notes.facts, at_us, recipe.width, &path, &limits).await;
        if !made.map_err(errors::media)? {
            return Err(internal("a thumbnail of a source without a picture"));
        }
        let files = vec![ProducedFile { name: THUMBNAIL_FILE.to_owned(), path }];
        Ok(TaskResult { files, facts: serde_json::Value::Null })
    }
}
