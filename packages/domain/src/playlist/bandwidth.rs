//! Bit rates as RFC 8216, section 4.3.4.2, defines them.

use super::model::{Fragment, Rendition};

/// Measured bit rates in bits per second, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// The largest bit rate of any contiguous fragments whose duration is between 0.5 and 1.5 target durations.
    pub peak: u64,
    /// The bit rate of all fragments together.
    pub average: u64,
}

/// Measures the fragments of a rendition.
pub fn measure(rendition: &Rendition, target_s: u32, fragments: &[Fragment]) -> Bandwidth {
    rates(rendition, target_s, fragments, |f| f.bytes)
}

/// Measures the keyframes of a rendition, each shown until the next one.
pub fn measure_keyframes(rendition: &Rendition, target_s: u32, fragments: &[Fragment]) -> Bandwidth {
    rates(rendition, target_s, fragments, |f| f.keyframe_bytes)
}

fn rates(
    rendition: &Rendition,
    target_s: u32,
    fragments: &[Fragment],
    bytes: impl Fn(&Fragment) -> u64,
) -> Bandwidth {
    let scale = u128::from(rendition.timescale);
    let rate = |bytes: u128, ticks: u128| (bytes * 8 * scale).div_ceil(ticks.max(1));
    let target = u128::from(target_s) * scale;
    let length = |f: &Fragment| f.ticks.max(0) as u128;
    let mut peak = 0;
    for from in 0..fragments.len() {
        let (mut size, mut ticks) = (0, 0);
        for fragment in &fragments[from..] {
            size += u128::from(bytes(fragment));
            ticks += length(fragment);
            if 2 * ticks > 3 * target {
                break;
            }
            if 2 * ticks >= target {
                peak = peak.max(rate(size, ticks));
            }
        }
    }
    let size = fragments.iter().map(|f| u128::from(bytes(f))).sum();
    let ticks = fragments.iter().map(length).sum();
    let average = if ticks == 0 { 0 } else { rate(size, ticks) };
    // a stream that is shorter than half a target duration has no such set
    let peak = if peak == 0 { average } else { peak };
    let whole = |rate: u128| u64::try_from(rate).unwrap_or(u64::MAX);
    Bandwidth { peak: whole(peak), average: whole(average) }
}
