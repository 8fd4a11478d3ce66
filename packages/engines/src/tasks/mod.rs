//! Map engines: one file for each kind of task.

pub mod audio;
pub mod digest;
pub mod encode;
pub mod image;
pub mod map;
pub mod poster;
pub mod sound;
pub mod storyboard;
pub mod stream;
pub mod thumbnail;
pub mod transcribe;

use std::sync::Arc;

use segue_ports::MapEngine;

use crate::context::EngineContext;

/// Every map engine.
pub fn all(context: &Arc<EngineContext>) -> Vec<Arc<dyn MapEngine>> {
    vec![
        Arc::new(digest::DigestEngine::new(Arc::clone(context))),
        Arc::new(map::CustomMapEngine::new(Arc::clone(context))),
        Arc::new(encode::EncodeEngine::new(Arc::clone(context))),
        Arc::new(sound::SoundEngine::new(Arc::clone(context))),
        Arc::new(transcribe::TranscribeEngine::new(Arc::clone(context))),
        Arc::new(thumbnail::ThumbnailEngine::new(Arc::clone(context))),
        Arc::new(audio::AudioEngine::new(Arc::clone(context))),
        Arc::new(poster::PosterEngine::new(Arc::clone(context))),
        Arc::new(storyboard::StoryboardEngine::new(Arc::clone(context))),
        Arc::new(stream::StreamEngine::new(Arc::clone(context))),
        Arc::new(image::ImageEngine::new(Arc::clone(context))),
    ]
}
