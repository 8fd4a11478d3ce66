//! Speech windows: where the sound is cut for recognition.
//!
//! [`frames`] computes voice activity and loudness per frame, [`speech_runs`] thresholds them,
//! [`pack`] finds the cheapest cuts, and [`blocks`] applies both between anchors.

mod blocks;
mod frames;
mod pack;
mod rules;
mod speech_runs;

pub(crate) use blocks::Blocks;
pub use blocks::{Window, windows_starting_in};
pub use frames::{Frame, FrameCache};
pub use rules::{LONGEST_WINDOW, WindowRules};
