//! Speech engine on whisper.cpp: one set of weights, one decoding state per worker.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use tokio_util::sync::CancellationToken;
use whisper_rs::{
    DtwMode, DtwParameters, WhisperContext, WhisperContextParameters, WhisperState, get_lang_id,
};

use super::speech_engine::{DecodeOptions, DecodedWindow, Search, SpeechEngine};
use super::{logs, whisper_decode};
use crate::error::{Result, SpeechError};
use crate::models::{KNOWN_MODELS, KnownModel};

/// Engine settings.
#[derive(Debug, Clone)]
pub struct WhisperConfig {
    /// The weights, `ggml-*.bin`.
    pub weights: PathBuf,
    /// Model name for the transcript, e.g. `base.en`.
    pub model: String,
    /// Windows decoded concurrently.
    pub workers: usize,
    /// Threads of each worker.
    pub threads_per_worker: usize,
    /// Whether to use a GPU, where the build supports one.
    pub use_gpu: bool,
}

/// Decoder layers whose attention times the words when the model is not a known one.
const LAST_LAYERS: i32 = 2;

/// whisper.cpp through whisper-rs.
pub struct WhisperCpp {
    context: WhisperContext,
    model: String,
    threads: usize,
    /// One slot per free worker, with its last decoding state where that can be reused.
    idle: Mutex<Vec<Option<WhisperState>>>,
    returned: Condvar,
}

impl WhisperCpp {
    /// Loads the weights.
    pub fn load(config: &WhisperConfig) -> Result<WhisperCpp> {
        logs::route_to_tracing();
        if config.workers == 0 || config.threads_per_worker == 0 {
            return Err(SpeechError::usage("the speech engine needs at least one worker and thread"));
        }
        let mode = match known_model(config).and_then(KnownModel::alignment_heads) {
            Some(model_preset) => DtwMode::ModelPreset { model_preset },
            None => DtwMode::TopMost { n_top: LAST_LAYERS },
        };
        let mut params = WhisperContextParameters::default();
        params.use_gpu(config.use_gpu);
        // word times come from the decoder's attention weights, which flash attention does not store
        params.flash_attn(false);
        params.dtw_parameters(DtwParameters { mode, ..DtwParameters::default() });
        let context = load_weights(&config.weights, params)?;
        Ok(WhisperCpp {
            context,
            model: config.model.clone(),
            threads: config.threads_per_worker,
            idle: Mutex::new((0..config.workers).map(|_| None).collect()),
            returned: Condvar::new(),
        })
    }

    fn acquire(&self) -> Option<WhisperState> {
        let mut idle = self.idle.lock().unwrap_or_else(|e| e.into_inner());
        loop {
            match idle.pop() {
                Some(slot) => return slot,
                None => idle = self.returned.wait(idle).unwrap_or_else(|e| e.into_inner()),
            }
        }
    }

    fn release(&self, slot: Option<WhisperState>) {
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(slot);
        self.returned.notify_one();
    }

    /// Runs `decode` with a decoding state: the one in the worker's slot, or a new one.
    ///
    /// whisper.cpp samples the candidates of a beam search at random (`whisper_sample_token_topk`), and
    /// the state of a random generator survives the call, so that a reused state makes the result depend
    /// on earlier windows. A new state starts from the same seed; creating it takes some milliseconds, and
    /// its hundreds of megabytes are not allocated while the worker waits for sound.
    fn with_state<T>(
        &self,
        slot: &mut Option<WhisperState>,
        search: Search,
        decode: impl FnOnce(&mut WhisperState) -> Result<T>,
    ) -> Result<T> {
        if search != Search::Greedy {
            *slot = None;
            return decode(&mut self.new_state()?);
        }
        match slot {
            Some(state) => decode(state),
            None => decode(slot.insert(self.new_state()?)),
        }
    }

    fn new_state(&self) -> Result<WhisperState> {
        self.context.create_state().map_err(|e| {
            SpeechError::environment("not enough memory for a decoding state; use fewer workers").caused_by(e)
        })
    }
}

impl SpeechEngine for WhisperCpp {
    fn name(&self) -> &str {
        "whisper.cpp"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn check(&self, options: &DecodeOptions) -> Result<()> {
        let language = options.language.as_str();
        if let Search::Beam { width } = options.search
            && !(1..=8).contains(&width)
        {
            return Err(SpeechError::usage(format!("beam width {width} is not in 1 to 8")));
        }
        if language == "auto" {
            return Ok(());
        }
        if get_lang_id(language).is_none() {
            return Err(SpeechError::usage(format!(
                "whisper does not know language {language:?}; use auto or a code such as en"
            )));
        }
        if !self.context.is_multilingual() && language != "en" {
            return Err(SpeechError::usage(format!(
                "model {} supports English only, not {language}; choose a model without .en",
                self.model
            )));
        }
        Ok(())
    }

    fn transcribe(
        &self,
        samples: &[f32],
        options: &DecodeOptions,
        cancel: &CancellationToken,
    ) -> Result<DecodedWindow> {
        self.check(options)?;
        let mut slot = self.acquire();
        let context = whisper_decode::DecodeContext {
            options,
            threads: self.threads,
            multilingual: self.context.is_multilingual(),
            end_of_text: self.context.token_eot(),
            first_timestamp: self.context.token_beg(),
            audio_context: self.context.model_n_audio_ctx(),
        };
        let decode =
            |state: &mut WhisperState| whisper_decode::decode_window(state, samples, &context, cancel);
        let decoded = self.with_state(&mut slot, options.search, decode);
        self.release(slot);
        decoded
    }
}

fn known_model(config: &WhisperConfig) -> Option<&'static KnownModel> {
    let file = config.weights.file_name()?.to_str()?;
    KnownModel::find(&config.model).or_else(|| KNOWN_MODELS.iter().find(|m| m.file_name == file))
}

fn load_weights(path: &Path, params: WhisperContextParameters<'_>) -> Result<WhisperContext> {
    if !path.is_file() {
        return Err(SpeechError::environment(format!(
            "{}: speech model not found; fetch it with `segue models fetch`",
            path.display()
        )));
    }
    WhisperContext::new_with_params(path, params).map_err(|e| {
        SpeechError::environment(format!(
            "{}: not a whisper model; check it with `segue models verify`",
            path.display()
        ))
        .caused_by(e)
    })
}
