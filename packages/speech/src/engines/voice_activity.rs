//! Voice activity detection: the probability of speech, frame by frame.
//!
//! A trait, so that the window rules can be tested with a detector whose pauses are known.

use crate::error::Result;

/// Samples in a frame of voice activity: 32 ms, Silero's step.
pub const FRAME: i64 = 512;

/// Detects speech.
pub trait VoiceActivity: Send + Sync {
    /// The probability of speech in each whole frame of `samples`, from a fresh state: equal
    /// samples give equal probabilities whatever was analysed before.
    fn probabilities(&self, samples: &[f32]) -> Result<Vec<f32>>;
}
