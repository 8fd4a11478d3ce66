//! Loudness on both sides of a seam: a click or a gap shows as a step.

use std::ffi::OsString;
use std::path::Path;

use crate::error::Result;
use crate::facts::{SourceFacts, StreamFacts};
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
use crate::tools::Tools;

const RATE: i64 = 16_000;
/// Samples measured on each side of a seam: 50 ms.
const WINDOW: i64 = RATE / 20;
/// Level assigned to silence, so that a step from silence is finite.
const FLOOR_DB: f64 = -96.0;

/// Level after minus level before, in dB, at each of the given times (from the file's start).
pub async fn steps(
    tools: &Tools,
    path: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    at_us: &[i64],
    limits: &Limits,
) -> Result<Vec<f64>> {
    let origin_us = stream.start.map_or(0, |t| stream.timebase.to_micros(t)) - facts.start_time_us;
    let mut args: Vec<OsString> = ["-v", "error", "-nostdin"].map(OsString::from).to_vec();
    args.extend(source_input(path));
    args.extend(["-map".into(), format!("0:{}", stream.index).into()]);
    args.extend(["-ac", "1", "-ar", "16000", "-f", "s16le", "pipe:1"].map(OsString::from));
    let call = tools.ffmpeg(format!("measuring the sound of {}", path.display()), args);
    let call = call.with_growing_lists().reading(path);
    let mut meter = Meter::new(at_us.iter().map(|t| (t - origin_us) * RATE / 1_000_000).collect());
    process::run(&call, limits, |piece| {
        meter.push(piece);
        Heard::Progress
    })
    .await?;
    Ok(meter.steps())
}

/// Energy on both sides of each seam, accumulated over the stream of samples.
struct Meter {
    seams: Vec<i64>,
    energy: Vec<[f64; 2]>,
    position: i64,
    odd: Option<u8>,
    first: usize,
}

impl Meter {
    /// Seams in samples, in order.
    fn new(seams: Vec<i64>) -> Meter {
        let energy = vec![[0.0; 2]; seams.len()];
        Meter { seams, energy, position: 0, odd: None, first: 0 }
    }

    fn push(&mut self, piece: &[u8]) {
        let mut bytes = piece.iter().copied();
        while let Some(low) = self.odd.take().or_else(|| bytes.next()) {
            let Some(high) = bytes.next() else {
                self.odd = Some(low);
                return;
            };
            self.sample(f64::from(i16::from_le_bytes([low, high])) / 32768.0);
        }
    }

    fn sample(&mut self, value: f64) {
        while self.seams.get(self.first).is_some_and(|s| s + WINDOW <= self.position) {
            self.first += 1;
        }
        for (seam, energy) in self.seams.iter().zip(&mut self.energy).skip(self.first) {
            let from = self.position - seam;
            if from < -WINDOW {
                break;
            }
            if from < WINDOW {
                energy[usize::from(from >= 0)] += value * value;
            }
        }
        self.position += 1;
    }

    fn steps(&self) -> Vec<f64> {
        let db = |e: f64| (10.0 * (e / WINDOW as f64).max(1e-12).log10()).max(FLOOR_DB);
        self.energy.iter().map(|[before, after]| db(*after) - db(*before)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_20_db_is_seen_at_its_seam_only() {
        let mut meter = Meter::new(vec![1000, 4000, 9000]);
        let tone: Vec<u8> = (0..12_000i32)
            .flat_map(|i| {
                let loud = if i < 4000 { 2000 } else { 20_000 };
                (if i % 2 == 0 { loud } else { -loud } as i16).to_le_bytes()
            })
            .collect();
        tone.chunks(777).for_each(|c| meter.push(c));
        let steps = meter.steps();
        assert!(steps[0].abs() < 0.1 && steps[2].abs() < 0.1, "{steps:?}");
        assert!((steps[1] - 20.0).abs() < 0.1, "{steps:?}");
    }
}
