//! Sound sources: samples, sample ranges and their units.
//!
//! All positions are counted in samples at 16 kHz, so that two workers mean the same place by
//! the same number. The caller decodes the samples.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Samples per second: whisper and Silero both take 16 kHz.
pub const SAMPLE_RATE: i64 = 16_000;

/// A half-open range `[start, end)` of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SampleRange {
    /// First sample of the range.
    pub start: i64,
    /// First sample after the range.
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

    /// The intersection of both ranges.
    pub fn intersect(self, other: SampleRange) -> SampleRange {
        SampleRange::new(self.start.max(other.start), self.end.min(other.end))
    }
}

impl fmt::Display for SampleRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// Converts samples to milliseconds, rounded to the nearest.
pub fn samples_to_ms(samples: i64) -> i64 {
    (samples * 1000 + SAMPLE_RATE / 2).div_euclid(SAMPLE_RATE)
}

/// Converts milliseconds to samples; exact.
pub const fn ms_to_samples(ms: i64) -> i64 {
    ms * (SAMPLE_RATE / 1000)
}

/// Random access to sound, 16 kHz mono.
///
/// `read` blocks: async callers use a blocking thread. The same range gives the same samples
/// every time, in every process; equal cuts depend on it.
pub trait SoundSource: Send + Sync {
    /// Length in samples, the same in every process. May be too long where a container only
    /// estimates it: the samples missing from `read` count as silence.
    fn len(&self) -> i64;

    /// The samples of `range`, which lies within `0..len()`, between -1 and 1. Shorter than
    /// `range` only where the sound ends.
    fn read(&self, range: SampleRange) -> Result<Vec<f32>>;

    /// Whether there is no sound at all.
    fn is_empty(&self) -> bool {
        self.len() <= 0
    }
}

/// Reads `range`, clipped to the sound; missing samples are filled with silence.
pub(crate) fn read_padded(source: &dyn SoundSource, range: SampleRange) -> Result<Vec<f32>> {
    let inside = range.intersect(SampleRange::new(0, source.len()));
    let mut samples = if inside.is_empty() { Vec::new() } else { source.read(inside)? };
    samples.resize(inside.len() as usize, 0.0);
    Ok(samples)
}

/// Loudness of `samples` in dBFS; -100 for digital silence.
pub(crate) fn level_db(samples: &[f32]) -> f32 {
    let power: f32 = samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32;
    10.0 * (power + 1e-10).log10()
}

/// Sound in memory, for tests and short clips.
pub struct MemorySound(Vec<i16>);

impl MemorySound {
    /// A sound of 16 bit samples.
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
