//! Subtitles: cues made from a transcript, and the file formats SRT, WebVTT and plain text.

mod cues;
mod formats;

pub use cues::{Cue, CueRules, cues};
pub use formats::{to_srt, to_txt, to_vtt};
