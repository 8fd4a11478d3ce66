//! The map task that makes the still picture.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::thumbnail::thumbnail;
use segue_ports::{EngineError, MapEngine, ProducedFile, TaskRequest, TaskResult};

use super::kit::Kit;
use super::notes::internal;
use super::video_output::THUMBNAIL_FILE;
use super::{errors, source};

/// Makes still pictures.
pub struct ThumbnailEngine {
    kit: Arc<Kit>,
}

impl ThumbnailEngine {
    /// An engine with these tools.
    pub fn new(kit: Arc<Kit>) -> ThumbnailEngine {
        ThumbnailEngine { kit }
    }
}

#[async_trait]
impl MapEngine for ThumbnailEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Thumbnail]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.kit.notes(&request.plan)?;
        let recipe = &request.plan.recipe.thumbnail;
        let recipe = recipe.as_ref().ok_or_else(|| internal("a thumbnail that no recipe asks for"))?;
        let path = request.run.scratch.join(THUMBNAIL_FILE);
        let limits = self.kit.limits(&request.run.cancel);
        let at_us = recipe.at.map(|at| at.micros());
        let (source, tools) = (source::of(&request.inputs.source), &self.kit.tools);
        let made = thumbnail(tools, source, &notes.facts, at_us, recipe.width, &path, &limits).await;
        if !made.map_err(errors::media)? {
            return Err(internal("a thumbnail of a source without a picture"));
        }
        let files = vec![ProducedFile { name: THUMBNAIL_FILE.to_owned(), path }];
        Ok(TaskResult { files, facts: serde_json::Value::Null })
    }
}
