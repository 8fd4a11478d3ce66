//! Listening: voice activity and loudness on the sound's own frame grid.
//!
//! Silero has a memory, so its answer for a frame depends on where it began to listen. Here
//! it always begins at a listening chunk of the grid, a little early: the answer for a frame
//! is then a function of the sound alone, whoever asks and in whatever order. Everything that
//! must agree between neighbours (cuts, windows) is derived from these frames and nothing else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::sound::{SampleRange, SoundSource, read_padded};
use crate::vad::{FRAME, VoiceActivity};

/// Frames in a listening chunk: 30.08 s.
const CHUNK_FRAMES: i64 = 940;
/// Frames heard before a chunk to wake the detector up: about a second.
const WARM_UP_FRAMES: i64 = 32;
/// Chunks remembered: a window block's worth, so that neighbours in one process share.
const REMEMBERED: usize = 16;

/// What was heard in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Probability of speech.
    pub speech: f32,
    /// Loudness, decibels below full scale.
    pub level_db: f32,
}

type Chunk = (i64, Arc<Vec<Frame>>);

/// A sound being listened to; cheap to ask twice.
pub struct Listener {
    source: Arc<dyn SoundSource>,
    vad: Arc<dyn VoiceActivity>,
    remembered: Mutex<VecDeque<Chunk>>,
}

impl Listener {
    /// Listens to `source` by `vad`.
    pub fn new(source: Arc<dyn SoundSource>, vad: Arc<dyn VoiceActivity>) -> Listener {
        Listener { source, vad, remembered: Mutex::new(VecDeque::new()) }
    }

    /// The sound listened to.
    pub fn source(&self) -> &dyn SoundSource {
        self.source.as_ref()
    }

    /// Number of frames of the sound, the last one possibly cut short.
    pub fn frame_count(&self) -> i64 {
        (self.source.len() + FRAME - 1) / FRAME
    }

    /// The frames `from..to`, clipped to the sound.
    pub fn frames(&self, from: i64, to: i64) -> Result<Vec<Frame>> {
        let (from, to) = (from.max(0), to.min(self.frame_count()));
        let mut frames = Vec::with_capacity((to - from).max(0) as usize);
        let mut at = from;
        while at < to {
            let index = at / CHUNK_FRAMES;
            let chunk = self.chunk(index)?;
            let first = index * CHUNK_FRAMES;
            let end = to.min(first + chunk.len() as i64);
            frames.extend_from_slice(&chunk[(at - first) as usize..(end - first) as usize]);
            at = end;
        }
        Ok(frames)
    }

    fn chunk(&self, index: i64) -> Result<Arc<Vec<Frame>>> {
        if let Some(chunk) = self.recall(index) {
            return Ok(chunk);
        }
        let chunk = Arc::new(self.hear(index)?);
        let mut remembered = self.remembered.lock().unwrap_or_else(|e| e.into_inner());
        remembered.push_back((index, Arc::clone(&chunk)));
        if remembered.len() > REMEMBERED {
            remembered.pop_front();
        }
        Ok(chunk)
    }

    fn recall(&self, index: i64) -> Option<Arc<Vec<Frame>>> {
        let remembered = self.remembered.lock().unwrap_or_else(|e| e.into_inner());
        remembered.iter().find(|(i, _)| *i == index).map(|(_, chunk)| Arc::clone(chunk))
    }

    fn hear(&self, index: i64) -> Result<Vec<Frame>> {
        let first = index * CHUNK_FRAMES;
        let last = (first + CHUNK_FRAMES).min(self.frame_count());
        let warm = (first - WARM_UP_FRAMES).max(0);
        let mut samples = read_padded(self.source.as_ref(), SampleRange::new(warm * FRAME, last * FRAME))?;
        samples.resize(((last - warm) * FRAME) as usize, 0.0);
        let speech = self.vad.probabilities(&samples)?;
        let skip = (first - warm) as usize;
        let frames = samples
            .chunks_exact(FRAME as usize)
            .zip(speech)
            .skip(skip)
            .map(|(samples, speech)| Frame { speech, level_db: level_db(samples) })
            .collect();
        Ok(frames)
    }
}

/// Loudness of some samples in decibels below full scale; -100 for digital silence.
pub(crate) fn level_db(samples: &[f32]) -> f32 {
    let power: f32 = samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32;
    10.0 * (power + 1e-10).log10()
}
