//! Voice activity and loudness on the sound's own frame grid.
//!
//! Silero is stateful, so its result for a frame depends on where detection began. Here it
//! always begins at a chunk of a fixed grid, preceded by a warm-up: the result for a frame is
//! then a function of the sound alone, in every process and in any order of calls. Everything
//! that neighbouring tasks must agree on (cuts, windows) is derived from these frames only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::engines::{FRAME, VoiceActivity};
use crate::error::Result;
use crate::sound::{SampleRange, SoundSource, level_db, read_padded};

/// Frames in a chunk: 30.08 s.
const CHUNK_FRAMES: i64 = 940;
/// Frames analysed before a chunk to warm up the detector: about a second.
const WARM_UP_FRAMES: i64 = 32;
/// Chunks cached: more than a block of windows, so that neighbouring tasks in one process share them.
const CACHED_CHUNKS: usize = 16;

/// Voice activity and loudness of one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Probability of speech.
    pub speech: f32,
    /// Loudness, decibels below full scale.
    pub level_db: f32,
}

type Chunk = (i64, Arc<Vec<Frame>>);

/// The frames of one sound, computed on demand; recent chunks are cached.
pub struct FrameCache {
    source: Arc<dyn SoundSource>,
    vad: Arc<dyn VoiceActivity>,
    cached: Mutex<VecDeque<Chunk>>,
}

impl FrameCache {
    /// Frames of `source`, analysed by `vad`.
    pub fn new(source: Arc<dyn SoundSource>, vad: Arc<dyn VoiceActivity>) -> FrameCache {
        FrameCache { source, vad, cached: Mutex::new(VecDeque::new()) }
    }

    /// The analysed sound.
    pub fn source(&self) -> &dyn SoundSource {
        self.source.as_ref()
    }

    /// Number of frames of the sound; the last one may be incomplete.
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
        if let Some(chunk) = self.cached_chunk(index) {
            return Ok(chunk);
        }
        let chunk = Arc::new(self.analyse(index)?);
        let mut cached = self.cached.lock().unwrap_or_else(|e| e.into_inner());
        cached.push_back((index, Arc::clone(&chunk)));
        if cached.len() > CACHED_CHUNKS {
            cached.pop_front();
        }
        Ok(chunk)
    }

    fn cached_chunk(&self, index: i64) -> Option<Arc<Vec<Frame>>> {
        let cached = self.cached.lock().unwrap_or_else(|e| e.into_inner());
        cached.iter().find(|(i, _)| *i == index).map(|(_, chunk)| Arc::clone(chunk))
    }

    fn analyse(&self, index: i64) -> Result<Vec<Frame>> {
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
