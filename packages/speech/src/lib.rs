//! Voice activity detection, speech windows, transcription with whisper.cpp, subtitle formats.
//!
//! A transcript is cut independently of the picture. [`FrameCache`] computes voice activity per
//! frame, [`windows_starting_in`] finds windows that end in pauses and are the same in every
//! process, a [`SpeechEngine`] decodes one window, a [`Transcriber`] does so for the windows of
//! one task, and [`stitch()`] joins the tasks' parts into the transcript.
//!
//! *Architecture invariant:* this crate depends on no ffmpeg, network, cloud or async executor.
//! Sound comes through [`SoundSource`]; every call blocks.

mod engines;
mod error;
mod models;
mod sound;
mod subtitles;
mod transcribe;
mod windows;

pub use engines::{
    DecodeOptions, DecodedToken, DecodedWindow, FRAME, Search, SileroVad, SpeechEngine, VoiceActivity,
    WhisperConfig, WhisperCpp,
};
pub use error::{Result, SpeechError, SpeechErrorKind};
pub use models::{Checksum, KNOWN_MODELS, KnownModel, ModelUse, PackageSource};
pub use sound::{MemorySound, SAMPLE_RATE, SampleRange, SoundSource, ms_to_samples, samples_to_ms};
pub use subtitles::{Cue, CueRules, cues, to_srt, to_txt, to_vtt};
pub use transcribe::{PART_VERSION, Progress, SpeechPart, Transcriber, stitch};
pub use windows::{Frame, FrameCache, LONGEST_WINDOW, Window, WindowRules, windows_starting_in};
