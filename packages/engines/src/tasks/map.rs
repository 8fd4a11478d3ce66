//! The map task that runs the user's map command on one segment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_domain::recipe::MapRecipe;
use segue_media::map_command::{MapCommand, MapTask};
use segue_media::part::{copy_part, indexed, part_extension};
use segue_media::{Limits, OpenIndex, PicturePlan, PictureSegment, lossless_part};
use segue_ports::{EngineError, MapEngine, ProducedFile, TaskRequest, TaskResult};

use super::encode::stream_of;
use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::{errors, picture};

/// Runs map commands.
pub struct CustomMapEngine {
    context: Arc<EngineContext>,
}

impl CustomMapEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> CustomMapEngine {
        CustomMapEngine { context }
    }
}

#[async_trait]
impl MapEngine for CustomMapEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Map]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        self.context.allow_map.check_output(&request.plan.spec).map_err(errors::failure)?;
        let notes = self.context.media_plan(&request.plan)?;
        let plan = notes.picture()?;
        let video = request.plan.spec.video();
        let recipe = video.and_then(|video| video.map.as_ref());
        let recipe = recipe.ok_or_else(|| internal("a map step that is not in the recipe"))?;
        let segment = picture::segment(plan, &request)?.clone();
        let cut = self.cut(&request, plan, &segment).await?;
        let fitting = cut.extension().unwrap_or_default();
        let extension = recipe.extension.as_deref().map_or(fitting, OsStr::new);
        let output = request.run.scratch.join("output").with_extension(extension);
        self.run_command(&request, recipe, plan, &segment, &cut, &output).await.map_err(worth_another_try)?;
        let limits = self.context.limits(&request.run.cancel);
        let output = indexed(&self.context.tools, &output, &limits).await;
        let output = output
            .map_err(|error| errors::media(error.context(format!("part {}", segment.index))))
            .map_err(worth_another_try)?;
        let extension = output.extension().unwrap_or_default();
        let name = format!("part.{}", extension.to_string_lossy());
        let ledger = picture::ledger_of_file(output.clone(), segment).await.map_err(worth_another_try)?;
        Ok(TaskResult { files: vec![ProducedFile { name, path: output }], facts: picture::facts(&ledger)? })
    }
}

impl CustomMapEngine {
    /// Writes exactly the frames that the segment owns: copied if the video can be
    /// cut there, else decoded and stored losslessly. All segments are cut in the same way, so
    /// that the program always gets the same codec.
    async fn cut(
        &self,
        request: &TaskRequest,
        plan: &PicturePlan,
        segment: &PictureSegment,
    ) -> Result<PathBuf, EngineError> {
        let copied = plan.all_closed();
        let extension = part_extension(plan, !copied);
        let input = request.run.scratch.join("input").with_extension(extension);
        let limits = self.context.limits(&request.run.cancel);
        picture::fetch_index(plan, &request.inputs).await?;
        let (owned_plan, owned_segment) = (plan.clone(), segment.clone());
        let (inputs, out) = (request.inputs.clone(), input.clone());
        let open: OpenIndex = tokio::task::spawn_blocking(move || {
            let open = picture::open(&owned_plan, &inputs)?;
            if copied {
                copy_part(&open, &owned_plan, &owned_segment, &out).map_err(errors::media)?;
            }
            Ok::<_, EngineError>(open)
        })
        .await
        .map_err(|e| internal(format!("the task that cuts a segment failed: {e}")))??;
        if !copied {
            self.cut_lossless(request, plan, Arc::new(open), segment, &input, &limits).await?;
        }
        Ok(input)
    }

    async fn cut_lossless(
        &self,
        request: &TaskRequest,
        plan: &PicturePlan,
        open: Arc<OpenIndex>,
        segment: &PictureSegment,
        out: &Path,
        limits: &Limits,
    ) -> Result<(), EngineError> {
        let notes = self.context.media_plan(&request.plan)?;
        let stream = stream_of(&notes, plan)?;
        let threads = request.run.threads as u32;
        lossless_part(&self.context.tools, open, plan, stream, segment, out, threads, limits)
            .await
            .map(drop)
            .map_err(errors::media)
    }

    async fn run_command(
        &self,
        request: &TaskRequest,
        recipe: &MapRecipe,
        plan: &PicturePlan,
        segment: &PictureSegment,
        input: &Path,
        output: &Path,
    ) -> Result<(), EngineError> {
        let command = MapCommand::parse(&recipe.command).map_err(errors::media)?;
        let what = format!("segment {}", segment.index);
        let task = MapTask {
            what: &what,
            input,
            output,
            index: segment.index,
            total: plan.segments.len() as u32,
            start_us: plan.timebase.to_micros(segment.range.start),
            end_us: plan.timebase.to_micros(segment.range.end),
            job: request.run.job.as_str(),
        };
        let time = Duration::from_millis(recipe.timeout.millis());
        let limits = Limits { time, ..self.context.limits(&request.run.cancel) };
        command.run(&task, &limits).await.map_err(errors::media)
    }
}

/// Failures of a map command are retryable: the cause may be temporary, and
/// the recipe sets the number of attempts.
fn worth_another_try(error: EngineError) -> EngineError {
    EngineError { retryable: true, ..error }
}
