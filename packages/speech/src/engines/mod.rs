//! Speech engines: the traits for recognition and voice activity, and their whisper.cpp
//! implementations.

mod logs;
mod silero;
mod speech_engine;
mod voice_activity;
mod whisper;
mod whisper_decode;

pub use silero::SileroVad;
pub use speech_engine::{DecodeOptions, DecodedToken, DecodedWindow, Search, SpeechEngine};
pub use voice_activity::{FRAME, VoiceActivity};
pub use whisper::{WhisperConfig, WhisperCpp};
