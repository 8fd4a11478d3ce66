//! The planner: derives segments and tasks of several outputs from one probe of the source.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::plan::PLAN_VERSION;
use segue_domain::recipe::ImageRecipe;
use segue_domain::{OutputId, OutputMake, Plan, Recipe};
use segue_media::SourceFacts;
use segue_ports::{EngineError, PlanRequest, Planned, PlannedOutput, Planner};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::outputs::video::PictureCuts;
use crate::outputs::{
    OutputRequest, Tasks, audio, image, limits, poster, progressive, storyboard, stream, thumbnail,
    transcript, video,
};
use crate::{errors, source};

/// Plans with ffprobe and the source's own index.
pub struct MediaPlanner {
    context: Arc<EngineContext>,
}

impl MediaPlanner {
    /// A planner with these tools.
    pub fn new(context: Arc<EngineContext>) -> MediaPlanner {
        MediaPlanner { context }
    }
}

#[async_trait]
impl Planner for MediaPlanner {
    async fn plan(&self, mut request: PlanRequest) -> Result<Planned, EngineError> {
        let mut planned = Planned { outputs: BTreeMap::new(), warnings: Vec::new() };
        request.outputs.retain(|output| {
            let spec = request.recipe.outputs.get(output);
            let allowed = spec.map_or(Ok(()), |spec| self.context.allow_map.check_output(spec));
            let Err(refused) = allowed else { return true };
            planned.outputs.insert(output.clone(), Err(errors::failure(refused)));
            false
        });
        if request.outputs.is_empty() {
            return Ok(planned);
        }
        let source = source::of(&request.source);
        source.bring_head().await.map_err(errors::media)?;
        let facts = self.facts(&request.recipe, source.path()).await?;
        limits::check_length(&facts)?;
        let warnings = source_warnings(&facts);
        let mut cuts = PictureCuts::default();
        planned.warnings.clone_from(&warnings);
        for output in &request.outputs {
            let spec = request.recipe.outputs.get(output);
            let spec = spec.ok_or_else(|| internal(format!("the recipe has no output {output}")))?;
            let wanted = OutputRequest {
                run: &request.run,
                output,
                spec,
                segment_us: request.recipe.segment_duration.micros(),
                has_others: request.recipe.outputs.len() > 1,
                recipe: &request.recipe,
                facts: &facts,
                warnings: &warnings,
            };
            let tasks = match &spec.make {
                OutputMake::Video(recipe) => {
                    video::plan(&self.context, &source, &wanted, recipe, &mut cuts).await
                }
                OutputMake::Transcript(recipe) => {
                    transcript::plan(&self.context, &source, &wanted, recipe).await
                }
                OutputMake::Thumbnail(_) => Ok(thumbnail::plan(&wanted)),
                OutputMake::Audio(recipe) => audio::plan(&wanted, recipe),
                OutputMake::Poster(_) => Ok(poster::plan(&wanted)),
                OutputMake::Storyboard(recipe) => storyboard::plan(&wanted, recipe),
                OutputMake::Stream(recipe) => {
                    stream::plan(&self.context, &source, &wanted, recipe, &mut cuts).await
                }
                OutputMake::Progressive(_) => Ok(progressive::plan(&wanted)),
                OutputMake::Image(recipe) => self.plan_image(&request, &wanted, recipe).await,
            };
            if let Err(error) = &tasks
                && error.cancelled
            {
                return Err(error.clone());
            }
            let tasks = tasks.and_then(|tasks| {
                limits::check_tasks(wanted.segment_us, tasks.tasks.len())?;
                Ok(tasks)
            });
            let plan = tasks.and_then(|tasks| self.finish(&request, output, &facts, tasks));
            if let Ok(plan) = &plan {
                planned.warnings.extend(plan.plan.reason.clone());
            }
            planned.outputs.insert(output.clone(), plan);
        }
        Ok(planned)
    }
}

impl MediaPlanner {
    /// Facts of the source. ffprobe is not asked for an image if the recipe has an output of that kind.
    async fn facts(&self, recipe: &Recipe, path: &Path) -> Result<SourceFacts, EngineError> {
        let takes_images = recipe.outputs.values().any(|spec| spec.image().is_some());
        match image::facts(path).ok().flatten().filter(|_| takes_images) {
            Some(facts) => Ok(facts),
            None => self.context.probe(path).await,
        }
    }

    async fn plan_image(
        &self,
        request: &PlanRequest,
        wanted: &OutputRequest<'_>,
        recipe: &ImageRecipe,
    ) -> Result<Tasks, EngineError> {
        let path = request.source.path();
        if image::format(path)?.is_some() {
            source::whole(&request.source).await?;
        }
        image::plan(wanted, path, recipe)
    }

    fn finish(
        &self,
        request: &PlanRequest,
        output: &OutputId,
        facts: &SourceFacts,
        tasks: Tasks,
    ) -> Result<PlannedOutput, EngineError> {
        let Tasks { media, timebase, segments, tasks, files, reason } = tasks;
        let Recipe { name, outputs, .. } = &request.recipe;
        let plan = Plan {
            version: PLAN_VERSION,
            job: request.run.job.clone(),
            output: output.clone(),
            recipe: name.clone(),
            spec: outputs[output].clone(),
            source_key: request.source_key.clone(),
            source_bytes: facts.size_bytes,
            duration_ms: facts.duration_us.and_then(|us| u64::try_from(us / 1000).ok()),
            timebase,
            segments,
            tasks,
            reason,
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
            tools: self.context.versions(),
            engine: media.write()?,
        };
        Ok(PlannedOutput { plan, files })
    }
}

fn source_warnings(facts: &SourceFacts) -> Vec<String> {
    let missing = facts.short_by_bytes;
    missing
        .map(|bytes| format!("the source is cut off: {bytes} bytes that it announces are missing"))
        .into_iter()
        .collect()
}
