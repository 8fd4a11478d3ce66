//! The sound as the rest of the crate sees it: exact samples on one clock.
//!
//! Everything here is counted in samples at 16 kHz, so that two workers that look at the
//! same place speak of the same place. How samples are decoded is the caller's business.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Samples in a second: whisper and Silero both listen at 16 kHz.
pub const SAMPLE_RATE: i64 = 16_000;

/// A half-open range `[start, end)` of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SampleRange {
    /// First sample inside.
    pub start: i64,
    /// First sample after.
    pub end: i64,
}

impl SampleRange {
    /// The range `[start, end)`; empty at `start` when `end` lies before it.
    pub fn new(start: i64, end: i64) -> SampleRange {
        SampleRange { start, end: end.max(start) }
    }

    /// Number of samples inside.
    pub fn len(self) -> i64 {
        self.end - self.start
    }

    /// Whether no sample lies inside.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether `sample` lies inside.
    pub fn contains(self, sample: i64) -> bool {
        self.start <= sample && sample < self.end
    }

    /// What both ranges hold.
    pub fn intersect(self, other: SampleRange) -> SampleRange {
        SampleRange::new(self.start.max(other.start), self.end.min(other.end))
    }
}

impl fmt::Display for SampleRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// Milliseconds of a number of samples, to the nearest.
pub fn samples_to_ms(samples: i64) -> i64 {
    (samples * 1000 + SAMPLE_RATE / 2).div_euclid(SAMPLE_RATE)
}

/// Samples of a number of milliseconds, exactly.
pub const fn ms_to_samples(ms: i64) -> i64 {
    ms * (SAMPLE_RATE / 1000)
}

/// Sound that can be read at any place, 16 kHz mono.
///
/// `read` blocks; callers with an executor call this crate off it. The same range gives the
/// same samples every time, in every process: that is what makes the cuts agree.
pub trait SoundSource: Send + Sync {
    /// Length in samples. May be too long where a container only estimates it: what `read`
    /// then lacks counts as silence. Must be the same in every process.
    fn len(&self) -> i64;

    /// The samples of `range`, which lies within `0..len()`, between -1 and 1. Fewer than
    /// asked for only where the sound ends.
    fn read(&self, range: SampleRange) -> Result<Vec<f32>>;

    /// Whether there is no sound at all.
    fn is_empty(&self) -> bool {
        self.len() <= 0
    }
}

/// Reads `range`, clipped to the sound, and makes up with silence what the source lacks.
pub(crate) fn read_padded(source: &dyn SoundSource, range: SampleRange) -> Result<Vec<f32>> {
    let inside = range.intersect(SampleRange::new(0, source.len()));
    let mut samples = if inside.is_empty() { Vec::new() } else { source.read(inside)? };
    samples.resize(inside.len() as usize, 0.0);
    Ok(samples)
}

/// Sound held in memory: for tests, and for clips short enough not to matter.
pub struct MemorySound(Vec<i16>);

impl MemorySound {
    /// The sound of these 16 bit samples.
    pub fn new(samples: Vec<i16>) -> MemorySound {
        MemorySound(samples)
    }
}

impl SoundSource for MemorySound {
    fn len(&self) -> i64 {
        self.0.len() as i64
    }

    fn read(&self, range: SampleRange) -> Result<Vec<f32>> {
        let inside = range.intersect(SampleRange::new(0, self.len()));
        let samples = &self.0[inside.start as usize..inside.end as usize];
        Ok(samples.iter().map(|s| f32::from(*s) / 32768.0).collect())
    }
}
