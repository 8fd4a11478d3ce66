//! Voice activity: how likely it is that somebody speaks, frame by frame.
//!
//! A port, so that the window rules can be tested with a voice whose pauses are known, and
//! Silero as the implementation, which whisper.cpp carries.

use std::path::Path;
use std::sync::Mutex;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use crate::error::{Result, SpeechError};

/// Samples in a frame of voice activity: 32 ms, Silero's step.
pub const FRAME: i64 = 512;

/// Tells speech from everything else.
pub trait VoiceActivity: Send + Sync {
    /// The probability of speech in each whole frame of `samples`, from a fresh state: the
    /// same samples give the same answer whatever was heard before.
    fn probabilities(&self, samples: &[f32]) -> Result<Vec<f32>>;
}

/// Silero VAD on one thread per call, with as many states as calls at once.
pub struct SileroVad {
    path: String,
    idle: Mutex<Vec<WhisperVadContext>>,
}

impl SileroVad {
    /// Loads the weights at `path` (`ggml-silero-*.bin`).
    pub fn load(path: &Path) -> Result<SileroVad> {
        crate::whisper::quiet_logs();
        let path = path
            .to_str()
            .ok_or_else(|| SpeechError::environment(format!("{}: the path is not UTF-8", path.display())))?;
        let first = open(path)?;
        Ok(SileroVad { path: path.to_owned(), idle: Mutex::new(vec![first]) })
    }
}

impl VoiceActivity for SileroVad {
    fn probabilities(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let taken = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let mut context = match taken {
            Some(context) => context,
            None => open(&self.path)?,
        };
        let whole = samples.len() - samples.len() % FRAME as usize;
        if whole == 0 {
            return Ok(Vec::new());
        }
        context
            .detect_speech(&samples[..whole])
            .map_err(|e| SpeechError::internal("voice activity detection failed").caused_by(e))?;
        let probabilities = context.probabilities().to_vec();
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(context);
        Ok(probabilities)
    }
}

fn open(path: &str) -> Result<WhisperVadContext> {
    if !Path::new(path).is_file() {
        return Err(SpeechError::environment(format!(
            "{path}: no voice activity model there; fetch it with `segue models fetch`"
        )));
    }
    let mut params = WhisperVadContextParams::default();
    params.set_n_threads(1);
    WhisperVadContext::new(path, params).map_err(|e| {
        SpeechError::environment(format!(
            "{path}: not a voice activity model; fetch it again with `segue models fetch`"
        ))
        .caused_by(e)
    })
}
