//! Silero voice activity detection, run by whisper.cpp.

use std::path::Path;
use std::sync::Mutex;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use super::logs;
use super::voice_activity::{FRAME, VoiceActivity};
use crate::error::{Result, SpeechError};

/// Silero VAD: one thread per call, and a context for each concurrent call.
pub struct SileroVad {
    path: String,
    idle: Mutex<Vec<WhisperVadContext>>,
}

impl SileroVad {
    /// Loads the weights at `path` (`ggml-silero-*.bin`).
    pub fn load(path: &Path) -> Result<SileroVad> {
        logs::route_to_tracing();
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
            "{path}: voice activity model not found; fetch it with `segue models fetch`"
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
