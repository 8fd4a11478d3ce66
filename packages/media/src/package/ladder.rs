//! The ladder: sizes and bit rates of the renditions of a stream.

use segue_domain::recipe::VideoCodec;
use serde::{Deserialize, Serialize};

/// One rendition to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Its name: the length of the shorter side, as in `720p`.
    pub lines: u32,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Limit of the bit rate in bits per second, for H.264 with 8 bits.
    pub max_rate: u64,
}

impl Rung {
    /// Upper limit of the bit rate of any fragments that a playlist's `BANDWIDTH` measures: half a target duration of at least 4 s
    /// with a full buffer of [`Rung::buffer`] before it, and 3% for headers.
    pub fn peak_limit(&self) -> u64 {
        (self.max_rate + self.buffer() / 2) * 103 / 100
    }

    /// The same with the limit for a codec: HEVC takes about 60% and AV1 half of the bits of H.264 for the same quality.
    pub fn for_codec(self, codec: VideoCodec) -> Rung {
        let percent = match codec {
            VideoCodec::H264 => 100,
            VideoCodec::Hevc => 60,
            VideoCodec::Av1 => 50,
        };
        Rung { max_rate: self.max_rate * percent / 100, ..self }
    }

    /// Size of the decoder's buffer in bits: one second at the limit.
    pub fn buffer(&self) -> u64 {
        self.max_rate
    }
}

/// Shorter side and limit in kbit/s at up to 30 frames a second.
const TABLE: [(u32, u64); 6] =
    [(2160, 18_000), (1440, 10_000), (1080, 6_000), (720, 3_500), (480, 1_600), (360, 900)];
/// A source this much larger than the highest rung of the table (6/5) has a rung of its own size.
const OWN_SIZE: (u32, u32) = (6, 5);

/// The rungs for a source that is displayed with this width and height (square pixels, upright) and that has this many
/// frames a second at most; from the highest to the lowest, none larger than the source.
///
/// An empty source size gives no rungs.
pub fn ladder(width: u32, height: u32, frames: u32) -> Vec<Rung> {
    let shorter = width.min(height);
    if shorter == 0 {
        return Vec::new();
    }
    let mut rungs: Vec<Rung> = TABLE
        .iter()
        .filter(|(lines, _)| *lines <= shorter)
        .map(|row| rung(width, height, *row, frames))
        .collect();
    let highest = rungs.first().map_or(0, |r| r.lines);
    if highest < TABLE[0].0 && shorter * OWN_SIZE.1 >= highest * OWN_SIZE.0 {
        rungs.insert(0, rung(width, height, (shorter, limit(shorter)), frames));
    }
    rungs
}

/// The rungs of these shorter sides, from the highest to the lowest; those above the source's are left out. If that
/// leaves none, there is one of the source's size.
pub fn rungs_of(width: u32, height: u32, frames: u32, wanted: &[u32]) -> Vec<Rung> {
    let shorter = width.min(height);
    if shorter == 0 {
        return Vec::new();
    }
    let mut lines: Vec<u32> = wanted.iter().copied().filter(|lines| *lines <= shorter).collect();
    if lines.is_empty() {
        lines.push(shorter);
    }
    lines.sort_unstable_by_key(|lines| std::cmp::Reverse(*lines));
    lines.into_iter().map(|lines| rung(width, height, (lines, limit(lines)), frames)).collect()
}

/// The limit of a size between those of the table, by its area.
fn limit(lines: u32) -> u64 {
    let area = |lines: u32| u64::from(lines) * u64::from(lines);
    let (above, kbps) = TABLE.iter().rev().copied().find(|(l, _)| *l >= lines).unwrap_or(TABLE[0]);
    (kbps * area(lines) / area(above)).max(100)
}

fn rung(width: u32, height: u32, (lines, kbps): (u32, u64), frames: u32) -> Rung {
    let shorter = width.min(height);
    // to the nearest even number, and not above the source
    let side = |n: u32| {
        let nearest = (u64::from(n) * u64::from(lines) + u64::from(shorter)) / (2 * u64::from(shorter)) * 2;
        (nearest as u32).min(n & !1).max(2)
    };
    let kbps = if frames > 40 { kbps * 3 / 2 } else { kbps };
    Rung { lines, width: side(width), height: side(height), max_rate: kbps * 1000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(width: u32, height: u32) -> Vec<(u32, u32)> {
        ladder(width, height, 30).iter().map(|r| (r.width, r.height)).collect()
    }

    #[test]
    fn no_rung_is_larger_than_the_source() {
        assert_eq!(sizes(1920, 1080), [(1920, 1080), (1280, 720), (854, 480), (640, 360)]);
        assert_eq!(sizes(1080, 1920), [(1080, 1920), (720, 1280), (480, 854), (360, 640)]);
        assert_eq!(sizes(7680, 4320)[0], (3840, 2160));
        assert_eq!(sizes(7680, 4320).len(), 6);
        assert_eq!(sizes(16, 16), [(16, 16)]);
        assert_eq!(sizes(1, 1), [(2, 2)]);
        assert_eq!(sizes(0, 480), []);
        for (width, height) in [(853, 481), (427, 240), (1998, 1080), (720, 577), (4096, 2161)] {
            for (w, h) in sizes(width, height) {
                assert!(w <= width && h <= height && w % 2 == 0 && h % 2 == 0, "{w}x{h} of {width}x{height}");
            }
        }
    }

    #[test]
    fn a_size_between_two_rungs_has_one_of_its_own() {
        assert_eq!(sizes(1440, 900)[..2], [(1440, 900), (1152, 720)]);
        // 576 lines are as good as 480
        assert_eq!(sizes(720, 576)[0], (720, 576));
        assert_eq!(sizes(720, 500)[0], (692, 480));
        let rates: Vec<u64> = ladder(1440, 900, 30).iter().map(|r| r.max_rate / 1000).collect();
        assert_eq!(rates, [4_166, 3_500, 1_600, 900]);
    }

    #[test]
    fn sizes_that_were_asked_for_are_not_above_the_source() {
        let of = |wanted: &[u32]| -> Vec<(u32, u64)> {
            rungs_of(1280, 720, 30, wanted).iter().map(|r| (r.lines, r.max_rate / 1000)).collect()
        };
        assert_eq!(of(&[360, 1080, 720]), [(720, 3_500), (360, 900)]);
        assert_eq!(of(&[2160]), [(720, 3_500)]);
        assert_eq!(of(&[600]), [(600, 2_430)]);
    }

    #[test]
    fn many_frames_a_second_have_half_as_much_again() {
        assert_eq!(ladder(1280, 720, 60)[0].max_rate, 5_250_000);
        assert_eq!(ladder(1280, 720, 30)[0].peak_limit(), 5_407_500);
    }
}
