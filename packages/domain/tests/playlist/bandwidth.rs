//! Bit rates.

use segue_domain::playlist::{Bandwidth, Fragment, FrameRate, RenditionKind, measure, measure_keyframes};

use crate::common::rendition;

fn measured(target_s: u32, fragments: &[(u64, i64)]) -> Bandwidth {
    let kind = RenditionKind::Picture { width: 2, height: 2, frame_rate: FrameRate { num: 25, den: 1 } };
    let all: Vec<Fragment> = fragments
        .iter()
        .map(|(bytes, ticks)| Fragment { offset: 0, bytes: *bytes, ticks: *ticks, keyframe_bytes: bytes / 2 })
        .collect();
    let rendition = rendition("v", kind, "avc1.64001f", 10, 1);
    let rates = measure(&rendition, target_s, &all);
    let half = measure_keyframes(&rendition, target_s, &all);
    assert!(half.peak <= rates.peak && half.average <= rates.average);
    rates
}

#[test]
fn the_peak_is_that_of_fragments_of_half_to_one_and_a_half_target_durations() {
    // 4 s each: windows of one fragment
    assert_eq!(measured(4, &[(1000, 40), (3000, 40), (1000, 40)]), Bandwidth { peak: 6000, average: 3334 });
    // 1 s fragments and a target of 4 s: a single one is too short, 2 to 6 of them count
    let short = [(100, 10), (900, 10), (100, 10), (100, 10)];
    assert_eq!(measured(4, &short), Bandwidth { peak: 4000, average: 2400 });
    // the short last fragment alone is below half a target duration
    assert_eq!(measured(4, &[(1000, 40), (9000, 10)]).peak, 16_000);
    // with a target of 2 s only it alone and nothing longer
    assert_eq!(measured(2, &[(1000, 40), (9000, 10)]).peak, 72_000);
}

#[test]
fn a_stream_without_such_fragments_has_its_average_as_the_peak() {
    assert_eq!(measured(4, &[(1000, 10)]), Bandwidth { peak: 8000, average: 8000 });
    assert_eq!(measured(4, &[]), Bandwidth::default());
}

#[test]
fn numbers_at_their_limits_do_not_overflow() {
    assert_eq!(measured(1, &[(u64::MAX, 10), (u64::MAX, 1)]).average, u64::MAX);
}
