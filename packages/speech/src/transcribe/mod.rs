//! Transcription: the windows of a task, decoded, checked and timed; parts of tasks, joined.

mod align;
mod confidence;
mod coverage;
mod decode_window;
mod hallucination;
mod part;
mod stitch;
mod transcriber;
mod words;

pub use part::{PART_VERSION, SpeechPart};
pub use stitch::stitch;
pub use transcriber::{Progress, Transcriber};
