//! Speech engine trait, its options and its result.

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::Result;

/// Search strategy of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// The most probable token at each step.
    Greedy,
    /// Beam search.
    Beam {
        /// Number of hypotheses, 1 to 8.
        width: u8,
    },
}

/// Decoding options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeOptions {
    /// `auto`, or a language code such as `en`.
    pub language: String,
    /// Search strategy.
    pub search: Search,
    /// Whether to decode again with a beam search where a greedy result is unreliable.
    pub fallback: bool,
}

impl Default for DecodeOptions {
    /// The search of whisper.cpp's own command-line program.
    fn default() -> Self {
        DecodeOptions { language: "auto".into(), search: Search::Beam { width: 5 }, fallback: true }
    }
}

/// A decoded token: a word, a part of one, or punctuation.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedToken {
    /// Its bytes; a character may be spread over several tokens.
    pub bytes: Vec<u8>,
    /// Probability, 0 to 1.
    pub probability: f32,
    /// Estimated end, in samples from the start of the window.
    pub end: i64,
    /// Whether the engine starts a new segment of speech with it.
    pub starts_segment: bool,
}

/// What an engine decoded in one window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodedWindow {
    /// The tokens, in order.
    pub tokens: Vec<DecodedToken>,
    /// Language code: the requested one, or the detected one.
    pub language: String,
}

/// Speech recognition. One call decodes one window. Calls may run concurrently up to the number
/// of workers the engine was created with; further calls block until a worker is free.
///
/// The result depends on the samples and the options only, not on earlier calls.
pub trait SpeechEngine: Send + Sync {
    /// Engine name for the transcript, e.g. `whisper.cpp`.
    fn name(&self) -> &str;

    /// Model name, e.g. `base.en`.
    fn model(&self) -> &str;

    /// Returns a `Usage` error for options that the model does not support, before any work.
    fn check(&self, options: &DecodeOptions) -> Result<()>;

    /// Decodes `samples`, 16 kHz mono, at most 30 s. Returns a `Cancelled` error soon after
    /// `cancel` is set.
    fn transcribe(
        &self,
        samples: &[f32],
        options: &DecodeOptions,
        cancel: &CancellationToken,
    ) -> Result<DecodedWindow>;
}
