//! The map tasks of a storyboard: the pictures of a segment, and the animated preview.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_domain::recipe::StoryboardRecipe;
use segue_media::pictures::{Board, board_part, preview};
use segue_ports::{EngineError, MapEngine, ProducedFile, TaskRequest, TaskResult};

use crate::context::EngineContext;
use crate::media_plan::{MediaPlan, internal};
use crate::outputs::storyboard::{SINGLES_FILE, TILES_FILE, preview_name};
use crate::{errors, source};

/// Makes pictures of storyboards, and previews.
pub struct StoryboardEngine {
    context: Arc<EngineContext>,
}

impl StoryboardEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> StoryboardEngine {
        StoryboardEngine { context }
    }

    async fn pictures(
        &self,
        request: &TaskRequest,
        notes: &MediaPlan,
        recipe: &StoryboardRecipe,
    ) -> Result<TaskResult, EngineError> {
        let facts = &notes.facts;
        let board = Board::of(facts, recipe).map_err(errors::media)?;
        let index = request.task.segment.ok_or_else(|| internal("a task of no segment"))?;
        let segment = request.plan.segments.get(index as usize);
        let range = segment.ok_or_else(|| internal(format!("there is no segment {index}")))?.range;
        let start = facts.start_time_us;
        let pictures = board.pictures_in(range.start - start, range.end - start);
        let scratch = &request.run.scratch;
        let (tiles, singles) = (scratch.join(TILES_FILE), scratch.join(SINGLES_FILE));
        let (source, tools) = (source::of(&request.inputs.source), &self.context.tools);
        let limits = self.context.limits(&request.run.cancel);
        let part = board_part(tools, &source, facts, recipe, &board, pictures, &tiles, &singles, &limits);
        let part = part.await.map_err(errors::media)?;
        let mut files = vec![ProducedFile { name: TILES_FILE.to_owned(), path: tiles }];
        if recipe.files {
            files.push(ProducedFile { name: SINGLES_FILE.to_owned(), path: singles });
        }
        let facts = serde_json::to_value(part).map_err(|e| internal(e.to_string()))?;
        Ok(TaskResult { files, facts })
    }

    async fn preview(
        &self,
        request: &TaskRequest,
        notes: &MediaPlan,
        recipe: &StoryboardRecipe,
    ) -> Result<TaskResult, EngineError> {
        let format = recipe.preview.ok_or_else(|| internal("a preview that the recipe has not"))?;
        let name = preview_name(format);
        let path = request.run.scratch.join(&name);
        let (source, tools) = (source::of(&request.inputs.source), &self.context.tools);
        let limits = self.context.limits(&request.run.cancel);
        let frames = preview(tools, source, &notes.facts, format, &path, &limits).await;
        let facts = serde_json::json!({ "frames": frames.map_err(errors::media)? });
        Ok(TaskResult { files: vec![ProducedFile { name, path }], facts })
    }
}

#[async_trait]
impl MapEngine for StoryboardEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Storyboard, TaskKind::Preview]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.context.media_plan(&request.plan)?;
        let recipe = request.plan.spec.storyboard();
        let recipe = recipe.ok_or_else(|| internal("a storyboard of something that is none"))?;
        match request.task.kind {
            TaskKind::Preview => self.preview(&request, &notes, recipe).await,
            _ => self.pictures(&request, &notes, recipe).await,
        }
    }
}
