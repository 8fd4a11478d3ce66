//! The map task that makes the sizes of an image.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_domain::recipe::ImageRecipe;
use segue_image::{ImageSet, describe, heif, variants, variants_of_converted};
use segue_media::Limits;
use segue_ports::{EngineError, MapEngine, ProducedFile, TaskRequest, TaskResult};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::outputs::image::{ImageFile, ImageRecord, read, request_of};
use crate::{errors, source};

/// Makes the sizes of images.
pub struct ImageEngine {
    context: Arc<EngineContext>,
}

impl ImageEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> ImageEngine {
        ImageEngine { context }
    }
}

#[async_trait]
impl MapEngine for ImageEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Image]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let recipe = request.plan.spec.image();
        let recipe = recipe.ok_or_else(|| internal("an image of something that is none"))?;
        let path = source::whole(&request.inputs.source).await?;
        let folder = &request.run.scratch;
        let limits = self.context.limits(&request.run.cancel);
        let made = make(path, recipe, folder, &limits).await?;
        let (mut produced, mut files) = (Vec::new(), Vec::new());
        for (variant, encoded) in recipe.variants.iter().zip(&made.files) {
            let name = variant.file_name();
            let path = folder.join(&name);
            std::fs::write(&path, &encoded.bytes).map_err(|e| errors::io(path.display(), &e))?;
            produced.push(ProducedFile { name: name.clone(), path });
            let bytes = encoded.bytes.len() as u64;
            files.push(ImageFile { name, width: encoded.width, height: encoded.height, bytes });
        }
        let ImageSet { facts, summary, notes, .. } = made;
        let (blurhash, mean, colours) = (summary.blurhash, summary.mean, summary.colours);
        let record = ImageRecord { facts, blurhash, mean, colours, files, notes };
        let facts = serde_json::to_value(record).map_err(|e| internal(e.to_string()))?;
        Ok(TaskResult { files: produced, facts })
    }
}

async fn make(
    path: &Path,
    recipe: &ImageRecipe,
    folder: &Path,
    limits: &Limits,
) -> Result<ImageSet, EngineError> {
    let (request, owned) = (request_of(recipe), path.to_owned());
    let own_limits = request.limits;
    let (bytes, facts) = blocking(move || {
        let bytes = read(&owned)?;
        let facts = describe(&bytes, &own_limits).map_err(errors::image)?;
        Ok((bytes, facts))
    })
    .await?;
    if !facts.format.needs_program() {
        return blocking(move || variants(&bytes, &request).map_err(errors::image)).await;
    }
    drop(bytes);
    let program = PathBuf::from(heif::PROGRAM);
    let png = heif::convert(&program, path, &facts, &request.variants, folder, limits).await;
    let png = png.map_err(errors::image)?;
    blocking(move || variants_of_converted(&read(&png)?, &facts, &request).map_err(errors::image)).await
}

/// Runs work on another thread. A panic of a decoder fails the task, as a damaged image does.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|e| crate::outputs::source_error(&format!("the image cannot be decoded: {e}")))?
}
