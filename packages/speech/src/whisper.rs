//! The speech engine of whisper.cpp: one set of weights, one decoding state per worker.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, Once};

use tokio_util::sync::CancellationToken;
use whisper_rs::{
    DtwMode, DtwParameters, WhisperContext, WhisperContextParameters, WhisperState, get_lang_id,
};

use crate::engine::{DecodeOptions, Hearing, Search, SpeechEngine};
use crate::error::{Result, SpeechError};
use crate::models::{KNOWN_MODELS, KnownModel};
use crate::whisper_decode;

/// How to load the engine.
#[derive(Debug, Clone)]
pub struct WhisperConfig {
    /// The weights, `ggml-*.bin`.
    pub weights: PathBuf,
    /// Name of the weights for the transcript, e.g. `base.en`.
    pub model: String,
    /// Windows decoded side by side.
    pub workers: usize,
    /// Threads of each worker.
    pub threads_per_worker: usize,
    /// Whether a graphics device may be used, where the build has one.
    pub use_gpu: bool,
}

/// Decoder layers whose attention times the words of weights that we do not know.
const LAST_LAYERS: i32 = 2;

/// whisper.cpp through whisper-rs.
pub struct WhisperCpp {
    context: WhisperContext,
    model: String,
    threads: usize,
    /// A place for each worker, with the state that it used last where that may be used again.
    idle: Mutex<Vec<Option<WhisperState>>>,
    returned: Condvar,
}

/// Sends what whisper.cpp and ggml print to `tracing` instead of stderr.
pub(crate) fn quiet_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(whisper_rs::install_logging_hooks);
}

impl WhisperCpp {
    /// Loads the weights.
    pub fn load(config: &WhisperConfig) -> Result<WhisperCpp> {
        quiet_logs();
        if config.workers == 0 || config.threads_per_worker == 0 {
            return Err(SpeechError::usage("the speech engine needs at least one worker and thread"));
        }
        let mode = match known(config).and_then(KnownModel::alignment_heads) {
            Some(model_preset) => DtwMode::ModelPreset { model_preset },
            None => DtwMode::TopMost { n_top: LAST_LAYERS },
        };
        let mut params = WhisperContextParameters::default();
        params.use_gpu(config.use_gpu);
        // Words are timed by the decoder's attention, which flash attention never writes down.
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

    fn take(&self) -> Option<WhisperState> {
        let mut idle = self.idle.lock().unwrap_or_else(|e| e.into_inner());
        loop {
            match idle.pop() {
                Some(place) => return place,
                None => idle = self.returned.wait(idle).unwrap_or_else(|e| e.into_inner()),
            }
        }
    }

    fn give_back(&self, place: Option<WhisperState>) {
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(place);
        self.returned.notify_one();
    }

    /// Decodes with a state: the one in a worker's place, or a new one.
    ///
    /// whisper.cpp draws the candidates of a beam search by chance (`whisper_sample_token_topk`), and one
    /// of its generators goes on from call to call: what a used state hears depends on what it heard
    /// before. A new state throws the same dice for the same sound; it costs some milliseconds, and its
    /// memory, hundreds of megabytes, is not held while its worker waits for sound.
    fn decode<T>(
        &self,
        place: &mut Option<WhisperState>,
        search: Search,
        by: impl FnOnce(&mut WhisperState) -> Result<T>,
    ) -> Result<T> {
        if search != Search::Greedy {
            *place = None;
            return by(&mut self.new_state()?);
        }
        match place {
            Some(state) => by(state),
            None => by(place.insert(self.new_state()?)),
        }
    }

    fn new_state(&self) -> Result<WhisperState> {
        self.context.create_state().map_err(|e| {
            SpeechError::environment("no memory for a decoding state; use fewer workers").caused_by(e)
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
            return Err(SpeechError::usage(format!("beam width {width}: give 1 to 8")));
        }
        if language == "auto" {
            return Ok(());
        }
        if get_lang_id(language).is_none() {
            return Err(SpeechError::usage(format!(
                "language {language:?} is not known to whisper; give auto or a code such as en"
            )));
        }
        if !self.context.is_multilingual() && language != "en" {
            return Err(SpeechError::usage(format!(
                "model {} knows English only, not {language}; choose a model without .en",
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
    ) -> Result<Hearing> {
        self.check(options)?;
        let mut place = self.take();
        let setting = whisper_decode::Setting {
            options,
            threads: self.threads,
            multilingual: self.context.is_multilingual(),
            end_of_text: self.context.token_eot(),
            first_timestamp: self.context.token_beg(),
            audio_context: self.context.model_n_audio_ctx(),
        };
        let by = |state: &mut WhisperState| whisper_decode::hear(state, samples, &setting, cancel);
        let heard = self.decode(&mut place, options.search, by);
        self.give_back(place);
        heard
    }
}

fn known(config: &WhisperConfig) -> Option<&'static KnownModel> {
    let file = config.weights.file_name()?.to_str()?;
    KnownModel::find(&config.model).or_else(|| KNOWN_MODELS.iter().find(|m| m.file_name == file))
}

fn load_weights(path: &Path, params: WhisperContextParameters<'_>) -> Result<WhisperContext> {
    if !path.is_file() {
        return Err(SpeechError::environment(format!(
            "{}: no speech model there; fetch it with `segue models fetch`",
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
