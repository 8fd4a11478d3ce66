//! The engines: segue-media and segue-speech behind the ports that the roles know.
//!
//! Here, and nowhere else, a recipe becomes tasks, and tasks become calls of ffmpeg and
//! whisper.

mod carry;
mod encode;
mod errors;
mod files;
mod kit;
mod map;
mod notes;
mod picture;
mod planner;
mod reducer;
mod sound;
mod source;
mod speech_output;
mod thumbnail;
mod transcribe;
mod video_output;
mod work;

use std::sync::Arc;

pub use kit::{Kit, SpeechShare};
pub use notes::Notes;
pub use reducer::Certificate;

use crate::run::Engines;

/// Every engine, sharing one kit.
pub fn all(kit: Arc<Kit>) -> Engines {
    Engines {
        planner: Arc::new(planner::MediaPlanner::new(Arc::clone(&kit))),
        map: vec![
            Arc::new(carry::CarryEngine::new(Arc::clone(&kit))),
            Arc::new(map::CustomMapEngine::new(Arc::clone(&kit))),
            Arc::new(encode::EncodeEngine::new(Arc::clone(&kit))),
            Arc::new(sound::SoundEngine::new(Arc::clone(&kit))),
            Arc::new(transcribe::TranscribeEngine::new(Arc::clone(&kit))),
            Arc::new(thumbnail::ThumbnailEngine::new(Arc::clone(&kit))),
        ],
        reducer: Arc::new(reducer::MediaReducer::new(kit)),
    }
}
