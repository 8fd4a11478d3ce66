//! State shared by all engines: programs, models, and limits on CPU use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use segue_domain::recipe::TranscriptRecipe;
use segue_domain::{FaultKind, Plan};
use segue_media::{Limits, SourceFacts, Tools};
use segue_ports::EngineError;
use segue_speech::{
    DecodeOptions, Search, SileroVad, SpeechEngine, Transcriber, WhisperConfig, WhisperCpp, WindowRules,
};
use tokio_util::sync::CancellationToken;

use super::errors;
use crate::allow_map::AllowMap;
use crate::media_plan::MediaPlan;
use crate::models::ModelShelf;

/// The tools and models of this process.
pub struct EngineContext {
    /// ffmpeg and ffprobe.
    pub tools: Tools,
    /// The models.
    pub models: ModelShelf,
    /// Number of windows transcribed concurrently, and threads for each.
    pub speech: SpeechShare,
    /// Programs of recipes that may run.
    pub allow_map: AllowMap,
    model: Mutex<Option<(LoadedModelKey, Arc<LoadedModel>)>>,
    media_plan: Mutex<Option<(Weak<Plan>, Arc<MediaPlan>)>>,
}

/// CPU use of speech recognition.
#[derive(Debug, Clone, Copy)]
pub struct SpeechShare {
    /// Number of concurrent windows, at least 1.
    pub side_by_side: usize,
    /// Threads for each, at least 1.
    pub threads: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LoadedModelKey {
    model: String,
    options: DecodeOptions,
}

/// Loaded weights, ready to transcribe.
pub struct LoadedModel {
    /// Transcribes windows.
    pub transcriber: Transcriber,
    /// Name of the engine, for the transcript.
    pub engine: String,
}

impl EngineContext {
    /// A context without cached plans or models.
    pub fn new(tools: Tools, models: ModelShelf, speech: SpeechShare, allow_map: AllowMap) -> EngineContext {
        let (model, media_plan) = (Mutex::default(), Mutex::default());
        EngineContext { tools, models, speech, allow_map, model, media_plan }
    }

    /// Probes the source.
    pub async fn probe(&self, source: &Path) -> Result<SourceFacts, EngineError> {
        segue_media::probe(&self.tools, source).await.map_err(errors::media)
    }

    /// The engines' part of a plan. That of the last plan is cached: its size grows with the number of
    /// segments, and every task reads it.
    pub fn media_plan(&self, plan: &Arc<Plan>) -> Result<Arc<MediaPlan>, EngineError> {
        let known = self.media_plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, notes)) =
            known.filter(|(of, _)| of.as_ptr() == Arc::as_ptr(plan) && of.strong_count() > 0)
        {
            return Ok(notes);
        }
        let notes = Arc::new(MediaPlan::read(plan)?);
        let kept = (Arc::downgrade(plan), Arc::clone(&notes));
        *self.media_plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(notes)
    }

    /// Limits for one of Segue's own programs that works on the whole source.
    pub fn limits(&self, cancel: &CancellationToken) -> Limits {
        Limits { cancel: cancel.clone(), ..Limits::default() }
    }

    /// Names and versions for plans, manifests and certificates.
    pub fn versions(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("segue".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("ffmpeg".to_owned(), self.tools.ffmpeg_version.clone()),
            ("ffprobe".to_owned(), self.tools.ffprobe_version.clone()),
        ])
    }

    /// Fails for a plan that was made with other program versions: parts of two encoders cannot be joined.
    pub fn check_same_tools(&self, plan: &Plan) -> Result<(), EngineError> {
        let ours = self.versions();
        let other = plan.tools.iter().find(|(name, version)| ours.get(*name) != Some(version));
        let Some((name, version)) = other else { return Ok(()) };
        let here = ours.get(name).map_or("none", String::as_str);
        let why = format!(
            "the plan was made with {name} {version} and here is {here}; use the same everywhere, or start the job again"
        );
        Err(EngineError { retryable: true, ..EngineError::new(FaultKind::Environment, why) })
    }

    /// The weights of a transcript's model, cached until another one is requested. Blocks while they are read.
    pub fn model(&self, recipe: &TranscriptRecipe) -> Result<Arc<LoadedModel>, EngineError> {
        let key = LoadedModelKey { model: recipe.model.clone(), options: decoding(recipe) };
        let mut kept = self.model.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, model)) = kept.as_ref().filter(|(k, _)| *k == key) {
            return Ok(Arc::clone(model));
        }
        // the old weights are dropped first: two models at once may exceed memory
        *kept = None;
        let model = Arc::new(self.load(&key)?);
        *kept = Some((key, Arc::clone(&model)));
        Ok(model)
    }

    fn load(&self, key: &LoadedModelKey) -> Result<LoadedModel, EngineError> {
        let config = WhisperConfig {
            weights: self.models.transcription(&key.model).map_err(errors::failure)?,
            model: key.model.clone(),
            workers: self.speech.side_by_side,
            threads_per_worker: self.speech.threads,
            use_gpu: true,
        };
        let vad = SileroVad::load(&self.models.voice_activity().map_err(errors::failure)?)
            .map_err(errors::speech)?;
        let engine: Arc<dyn SpeechEngine> = Arc::new(WhisperCpp::load(&config).map_err(errors::speech)?);
        let name = engine.name().to_owned();
        let options = key.options.clone();
        let transcriber = Transcriber::new(engine, Arc::new(vad), WindowRules::default(), options)
            .map_err(errors::speech)?;
        Ok(LoadedModel { transcriber, engine: name })
    }
}

fn decoding(recipe: &TranscriptRecipe) -> DecodeOptions {
    let usual = DecodeOptions { language: recipe.language.clone(), ..DecodeOptions::default() };
    match recipe.beam_size {
        None => usual,
        Some(1) => DecodeOptions { search: Search::Greedy, ..usual },
        Some(width) => DecodeOptions { search: Search::Beam { width }, ..usual },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_says_how_words_are_searched_for() {
        let usual = DecodeOptions::default().search;
        for (beam_size, expected) in
            [(None, usual), (Some(1), Search::Greedy), (Some(3), Search::Beam { width: 3 })]
        {
            let options = decoding(&TranscriptRecipe { beam_size, ..TranscriptRecipe::default() });
            assert_eq!((options.search, options.language.as_str()), (expected, "auto"));
        }
    }
}
