//! Voice activity, speech windows, whisper engines, subtitle formats.
//!
//! Voice has its own cuts. A [`Listener`] hears where somebody speaks, [`windows_starting_in`]
//! finds windows that end in pauses and are the same for everybody, a [`SpeechEngine`] turns a
//! window into words, a [`Transcriber`] does that for the windows of one task, and [`stitch()`]
//! joins the tasks' parts into the transcript.
//!
//! *Architecture invariant:* this crate knows no ffmpeg, no network, no cloud and no
//! executor. Sound comes through [`SoundSource`]; every call blocks.

mod align;
mod coverage;
mod cues;
mod doubt;
mod engine;
mod error;
mod guard;
mod hear;
mod listen;
mod models;
mod pack;
mod sound;
mod stitch;
mod subtitles;
mod transcribe;
mod vad;
mod whisper;
mod whisper_decode;
mod window;
mod words;

pub use cues::{Cue, CueRules, cues};
pub use engine::{DecodeOptions, Hearing, Search, SpeechEngine, SpokenToken};
pub use error::{Result, SpeechError, SpeechErrorKind};
pub use listen::{Frame, Listener};
pub use models::{Checksum, KNOWN_MODELS, KnownModel, ModelUse, PackageSource};
pub use sound::{MemorySound, SAMPLE_RATE, SampleRange, SoundSource, ms_to_samples, samples_to_ms};
pub use stitch::stitch;
pub use subtitles::{to_srt, to_txt, to_vtt};
pub use transcribe::{PART_VERSION, Progress, SpeechPart, Transcriber};
pub use vad::{FRAME, SileroVad, VoiceActivity};
pub use whisper::{WhisperConfig, WhisperCpp};
pub use window::{LONGEST_WINDOW, Window, WindowRules, windows_starting_in};
