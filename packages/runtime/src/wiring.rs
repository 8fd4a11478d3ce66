//! Creates the engines from the settings: the only place that does.

use std::path::Path;
use std::sync::Arc;

use segue_domain::Failure;
use segue_media::{Limits, VerifyReport};
use tokio_util::sync::CancellationToken;

use crate::failure;
use crate::programs::tools;
use crate::settings::{AllowMap, Settings};
use segue_engines::{EngineContext, Engines, ModelShelf, SpeechShare};

/// The engines that these settings configure. `allow_map` applies where no setting names the programs
/// that recipes may run.
///
/// # Errors
/// ffmpeg that is missing or too old.
pub async fn engines(settings: &Settings, allow_map: AllowMap) -> Result<Engines, Failure> {
    let workers = settings.workers.max(1);
    let speech = SpeechShare { side_by_side: workers, threads: (settings.threads / workers).max(1) };
    let allow_map = settings.allow_map.clone().unwrap_or(allow_map);
    let models = ModelShelf::new(&settings.model_dir);
    let context = EngineContext::new(tools(settings).await?, models, speech, allow_map);
    Ok(segue_engines::all(Arc::new(context)))
}

/// Compares `joined` with `source`: every frame, every sample, every timestamp.
///
/// # Errors
/// A file that cannot be read, or ffmpeg that is missing.
pub async fn verify(
    settings: &Settings,
    source: &Path,
    joined: &Path,
    cancel: CancellationToken,
) -> Result<VerifyReport, Failure> {
    let tools = tools(settings).await?;
    let limits = Limits { cancel, ..Limits::default() };
    segue_media::verify(&tools, source, joined, &limits).await.map_err(|error| failure::media(&error))
}
