//! Media time: exact ticks of a rational timebase, never floating-point seconds.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The duration of one tick in seconds, as the fraction `num / den`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timebase {
    /// Numerator, at least 1.
    pub num: u32,
    /// Denominator, at least 1.
    pub den: u32,
}

impl Timebase {
    /// One microsecond a tick, the unit of ffmpeg's `AV_TIME_BASE_Q`.
    pub const MICROS: Timebase = Timebase { num: 1, den: 1_000_000 };

    /// A timebase of `num / den` seconds a tick; `None` when either is zero.
    pub fn new(num: u32, den: u32) -> Option<Timebase> {
        (num > 0 && den > 0).then_some(Timebase { num, den })
    }

    /// `ticks` of this timebase in ticks of `to`, to the nearest, halves away from zero
    /// (as ffmpeg's `av_rescale_q`); saturates at the ends of `i64`.
    pub fn rescale(self, ticks: i64, to: Timebase) -> i64 {
        let num = i128::from(ticks) * i128::from(self.num) * i128::from(to.den);
        let den = i128::from(self.den) * i128::from(to.num);
        let half = den / 2;
        let rounded = if num >= 0 { (num + half) / den } else { (num - half) / den };
        rounded.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// `ticks` in whole microseconds, to the nearest.
    pub fn to_micros(self, ticks: i64) -> i64 {
        self.rescale(ticks, Timebase::MICROS)
    }

    /// Microseconds in ticks of this timebase, to the nearest.
    pub fn from_micros(self, micros: i64) -> i64 {
        Timebase::MICROS.rescale(micros, self)
    }

    /// Seconds, for display and for ffmpeg's command line; never for arithmetic.
    pub fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 * f64::from(self.num) / f64::from(self.den)
    }
}

impl fmt::Display for Timebase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// A half-open range `[start, end)` in ticks of a timebase that is named beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TickRange {
    /// First tick of the range.
    pub start: i64,
    /// First tick after the range.
    pub end: i64,
}

impl TickRange {
    /// The range `[start, end)`; `None` when `end < start`.
    pub fn new(start: i64, end: i64) -> Option<TickRange> {
        (start <= end).then_some(TickRange { start, end })
    }

    /// Whether `tick` is in the range.
    pub fn contains(self, tick: i64) -> bool {
        self.start <= tick && tick < self.end
    }

    /// Number of ticks in the range.
    pub fn len(self) -> i64 {
        self.end - self.start
    }

    /// Whether the range is empty.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescales_as_ffmpeg_does() {
        let ntsc = Timebase { num: 1001, den: 30000 };
        let ms = Timebase { num: 1, den: 1000 };
        assert_eq!(ntsc.rescale(1, ms), 33);
        assert_eq!(ntsc.rescale(-1, ms), -33);
        assert_eq!(ms.rescale(33, Timebase { num: 1, den: 90000 }), 2970);
        assert_eq!(Timebase { num: 1, den: 2 }.rescale(1, Timebase { num: 1, den: 1 }), 1);
        assert_eq!(Timebase { num: 1, den: 2 }.rescale(-1, Timebase { num: 1, den: 1 }), -1);
        assert_eq!(Timebase { num: 1000, den: 1 }.rescale(i64::MAX, ms), i64::MAX);
    }
}
