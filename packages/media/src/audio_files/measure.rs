//! Length and loudness of an audio track, measured on its decoded samples.

use std::ffi::OsString;
use std::path::Path;

use ebur128::{EbuR128, Mode};
use serde::{Deserialize, Serialize};

use crate::error::{MediaError, Result};
use crate::mux::seconds;
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
use crate::tools::Tools;

/// Filter that puts silence where a track has no samples, from time 0 on, so that a sample's index
/// is its time.
pub(super) const FILL: &str = "aresample=async=1:min_hard_comp=0.1:first_pts=0";

/// Samples of all channels that are decoded before the meter reads them.
const BLOCK: usize = 1 << 15;

/// Sample rate and channels of decoded sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Samples per second and channel.
    pub rate: u32,
    /// Channels.
    pub channels: u32,
}

/// Loudness by EBU R128. A value is absent where the sound is silent or too short for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Integrated loudness, LUFS.
    pub integrated_lufs: Option<f64>,
    /// Loudness range, LU.
    pub range_lu: Option<f64>,
    /// Maximum true peak of all channels, dBTP.
    pub true_peak_dbtp: Option<f64>,
    /// Relative threshold of the gating, LUFS.
    pub threshold_lufs: Option<f64>,
}

/// A decoded track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Sample rate and channels in which it was measured.
    pub shape: Shape,
    /// Samples per channel, gaps included.
    pub samples: u64,
    /// Its loudness.
    pub loudness: Loudness,
    /// The first line that the decoder reported, if it reported errors.
    pub error: Option<String>,
}

impl Measured {
    /// Duration in microseconds.
    pub fn length_us(&self) -> i64 {
        (u128::from(self.samples) * 1_000_000 / u128::from(self.shape.rate)) as i64
    }
}

/// How times of a track become positions of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeline {
    /// The sample at this time of the file, microseconds, is the first.
    From(i64),
    /// The first decoded sample is the first.
    Packed,
}

/// The arguments that decode one stream to 32-bit samples on stdout.
fn args(path: &Path, stream: u32, timeline: Timeline, filters: &str, shape: Shape) -> Vec<OsString> {
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let mut args = words(&["-v", "error", "-nostdin"]);
    if let Timeline::From(start_us) = timeline {
        args.extend(words(&["-copyts", "-itsoffset", &seconds(-start_us)]));
    }
    args.extend(source_input(path));
    args.extend(words(&["-map", &format!("0:{stream}")]));
    args.extend(words(&["-af", filters]));
    let Shape { rate, channels } = shape;
    args.extend(words(&["-ar", &rate.to_string(), "-ac", &channels.to_string()]));
    args.extend(words(&["-f", "f32le", "-c:a", "pcm_f32le", "pipe:1"]));
    args
}

/// Decodes one stream, which `filters` mix to `shape`, and measures it.
///
/// # Errors
/// A stream that cannot be decoded at all; decoding errors in between are in the result.
pub(super) async fn measure(
    tools: &Tools,
    path: &Path,
    stream: u32,
    timeline: Timeline,
    filters: &str,
    shape: Shape,
    limits: &Limits,
) -> Result<Measured> {
    let args = args(path, stream, timeline, filters, shape);
    let call = tools.ffmpeg(format!("measuring the sound of {}", path.display()), args);
    let call = call.with_growing_lists().reading(path);
    let mut meter = Meter::new(shape)?;
    let finished = process::run(&call, limits, |piece| {
        meter.push(piece);
        Heard::Progress
    })
    .await?;
    meter.finish(finished.stderr_tail.first().map(|line| message_of(line).to_owned()))
}

/// A line of ffmpeg's log without the address of the component in front of it.
fn message_of(line: &str) -> &str {
    let rest = line.strip_prefix('[').and_then(|rest| rest.split_once(" @ 0x")?.1.split_once("] "));
    rest.map_or(line, |(_, message)| message)
}

/// Loudness of a stream of samples.
struct Meter {
    shape: Shape,
    r128: EbuR128,
    /// Bytes of a sample that is not complete yet.
    rest: Vec<u8>,
    block: Vec<f32>,
    samples: u64,
    failed: Option<ebur128::Error>,
}

impl Meter {
    fn new(shape: Shape) -> Result<Meter> {
        let modes = Mode::I | Mode::LRA | Mode::TRUE_PEAK;
        let r128 = EbuR128::new(shape.channels, shape.rate, modes).map_err(|e| {
            MediaError::source(format!(
                "sound with {} channels at {} Hz cannot be measured: {e}",
                shape.channels, shape.rate
            ))
        })?;
        Ok(Meter { shape, r128, rest: Vec::new(), block: Vec::new(), samples: 0, failed: None })
    }

    fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        let whole = self.rest.len() / 4 * 4;
        let values = self.rest[..whole].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        self.block.extend(values.map(|value| if value.is_finite() { value } else { 0.0 }));
        self.rest.drain(..whole);
        if self.block.len() >= BLOCK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let channels = self.shape.channels as usize;
        let whole = self.block.len() / channels * channels;
        self.samples += (whole / channels) as u64;
        self.failed = self.failed.or(self.r128.add_frames_f32(&self.block[..whole]).err());
        self.block.drain(..whole);
    }

    fn finish(mut self, error: Option<String>) -> Result<Measured> {
        self.flush();
        if let Some(failed) = self.failed {
            return Err(MediaError::internal(format!("the loudness meter failed: {failed}")));
        }
        let r128 = &self.r128;
        // the meter returns its floor, or minus infinity, for silence
        let real = |value: std::result::Result<f64, ebur128::Error>| {
            value.ok().filter(|v| v.is_finite() && *v > -70.0).map(rounded)
        };
        let peaks = (0..self.shape.channels).filter_map(|channel| r128.true_peak(channel).ok());
        let peak = 20.0 * peaks.fold(0.0, f64::max).log10();
        let integrated_lufs = real(r128.loudness_global());
        let loudness = Loudness {
            integrated_lufs,
            range_lu: integrated_lufs.and(r128.loudness_range().ok()).filter(|v| v.is_finite()).map(rounded),
            true_peak_dbtp: Some(peak).filter(|peak| peak.is_finite()).map(rounded),
            threshold_lufs: integrated_lufs.and(real(r128.relative_threshold())),
        };
        Ok(Measured { shape: self.shape, samples: self.samples, loudness, error })
    }
}

/// To hundredths, which is more than a meter's accuracy.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { rate: 48_000, channels: 2 };

    /// Both channels: a sine of 997 Hz with this amplitude.
    fn tone(amplitude: f64, seconds: usize) -> Vec<u8> {
        (0..seconds * 48_000)
            .flat_map(|i| {
                let value = amplitude * (i as f64 * 997.0 * std::f64::consts::TAU / 48_000.0).sin();
                let bytes = (value as f32).to_le_bytes();
                [bytes, bytes].concat()
            })
            .collect()
    }

    #[test]
    fn a_sine_has_the_loudness_of_the_standard() {
        // EBU Tech 3341, case 1: -23 dBFS in both channels is -23 LUFS
        let mut meter = Meter::new(SHAPE).unwrap();
        let amplitude = 10f64.powf(-23.0 / 20.0);
        tone(amplitude, 5).chunks(1_001).for_each(|piece| meter.push(piece));
        let measured = meter.finish(None).unwrap();
        assert_eq!((measured.samples, measured.length_us()), (5 * 48_000, 5_000_000));
        let Loudness { integrated_lufs, range_lu, true_peak_dbtp, .. } = measured.loudness;
        assert!((integrated_lufs.unwrap() + 23.0).abs() < 0.1, "{integrated_lufs:?}");
        assert!((true_peak_dbtp.unwrap() + 23.0).abs() < 0.1, "{true_peak_dbtp:?}");
        assert!(range_lu.unwrap() < 0.1, "{range_lu:?}");
    }

    #[test]
    fn a_reported_error_has_no_address() {
        let line = "[aac @ 0x55f5c1065e40] Number of bands (5) exceeds limit (3).";
        assert_eq!(message_of(line), "Number of bands (5) exceeds limit (3).");
        for line in ["Error while decoding", "[a] b", ""] {
            assert_eq!(message_of(line), line);
        }
    }

    #[test]
    fn silence_and_a_moment_have_no_loudness() {
        for bytes in [vec![0; 4 * 48_000 * 8], tone(0.5, 1)[..8 * 100].to_vec(), Vec::new()] {
            let mut meter = Meter::new(SHAPE).unwrap();
            meter.push(&bytes);
            let measured = meter.finish(None).unwrap();
            assert_eq!(measured.samples, bytes.len() as u64 / 8);
            assert_eq!(measured.loudness.integrated_lufs, None, "{} bytes", bytes.len());
        }
    }
}
