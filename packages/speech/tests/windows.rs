//! Speech windows, with a voice activity detector whose pauses are known.

use std::sync::Arc;

use proptest::prelude::*;
use segue_speech::{
    FRAME, FrameCache, LONGEST_WINDOW, MemorySound, Result, SAMPLE_RATE, SampleRange, SoundSource,
    VoiceActivity, Window, WindowRules, windows_starting_in,
};

/// Detects speech by loudness, with state: as with Silero, the result for a frame depends on the
/// frames before it, so that detection from another start gives another result.
struct StatefulDetector;

impl VoiceActivity for StatefulDetector {
    fn probabilities(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let mut state = 0.0;
        let frames = samples.chunks_exact(FRAME as usize).map(|frame| {
            let loud = frame.iter().map(|s| s.abs()).sum::<f32>() / frame.len() as f32;
            state = 0.8 * state + 0.2 * loud;
            (4.0 * loud + 2.0 * state).min(1.0)
        });
        Ok(frames.collect())
    }
}

/// A talk: milliseconds of speech and of pause alternating, with some noise.
fn talk(parts: &[(u32, u32)]) -> Arc<dyn SoundSource> {
    let mut samples: Vec<i16> = Vec::new();
    let mut seed: u32 = 7;
    let mut noise = |level: i32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((seed >> 16) as i32 % (2 * level + 1) - level) as i16
    };
    for (speech_ms, pause_ms) in parts {
        samples.extend((0..speech_ms * 16).map(|_| noise(12_000)));
        samples.extend((0..pause_ms * 16).map(|_| noise(20)));
    }
    Arc::new(MemorySound::new(samples))
}

fn frames(source: &Arc<dyn SoundSource>) -> FrameCache {
    FrameCache::new(Arc::clone(source), Arc::new(StatefulDetector))
}

/// Closely spaced anchors, so that a short talk has many blocks.
fn rules() -> WindowRules {
    WindowRules { anchor_spacing: 40 * SAMPLE_RATE, ..WindowRules::default() }
}

fn windows(source: &Arc<dyn SoundSource>, range: SampleRange) -> Vec<Window> {
    windows_starting_in(&frames(source), &rules(), range).expect("windows")
}

fn whole(source: &Arc<dyn SoundSource>) -> SampleRange {
    SampleRange::new(0, source.len())
}

fn any_talk() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((100u32..9_000, 0u32..4_000), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn windows_partition_the_sound_and_fit_the_engine(parts in any_talk()) {
        let source = talk(&parts);
        let windows = windows(&source, whole(&source));
        prop_assert_eq!(windows.first().map(|w| w.range.start), Some(0));
        prop_assert_eq!(windows.last().map(|w| w.range.end), Some(source.len()));
        for pair in windows.windows(2) {
            prop_assert_eq!(pair[0].range.end, pair[1].range.start);
        }
        for window in &windows {
            prop_assert!(!window.range.is_empty());
            prop_assert!(window.range.len() <= LONGEST_WINDOW, "{:?}", window.range);
            let span = window.speech_span(0).map_or(0, SampleRange::len);
            prop_assert!(span <= rules().longest_decoded, "{span}");
        }
    }

    #[test]
    fn windows_of_parts_equal_those_of_the_whole(
        parts in any_talk(),
        cuts in prop::collection::vec(0.0f64..1.0, 0..12),
    ) {
        let source = talk(&parts);
        let mut cuts: Vec<i64> = cuts.iter().map(|c| (c * source.len() as f64) as i64).collect();
        cuts.extend([0, source.len()]);
        cuts.sort_unstable();
        let by_parts: Vec<Window> = cuts
            .windows(2)
            .rev()
            .map(|pair| windows(&source, SampleRange::new(pair[0], pair[1])))
            .rev()
            .flatten()
            .collect();
        prop_assert_eq!(by_parts, windows(&source, whole(&source)));
    }

    #[test]
    fn a_frame_is_the_same_in_every_range(parts in any_talk(), from in 0.0f64..1.0, long in 1i64..2_000) {
        let source = talk(&parts);
        let all = frames(&source).frames(0, i64::MAX).expect("frames");
        let from = (from * all.len() as f64) as usize;
        let to = (from + long as usize).min(all.len());
        let some = frames(&source).frames(from as i64, to as i64).expect("frames");
        prop_assert_eq!(&some[..], &all[from..to]);
    }

    #[test]
    fn no_window_ends_within_a_word(parts in prop::collection::vec((100u32..5_000, 350u32..2_000), 1..40)) {
        let source = talk(&parts);
        let mut spoken = Vec::new();
        let mut at = 0;
        for (speech_ms, pause_ms) in &parts {
            spoken.push(at..at + i64::from(speech_ms * 16));
            at += i64::from((speech_ms + pause_ms) * 16);
        }
        for window in windows(&source, whole(&source)) {
            let end = window.range.end;
            prop_assert!(
                end == source.len() || !spoken.iter().any(|word| word.contains(&end)),
                "cut at {end}"
            );
        }
    }
}

#[test]
fn speech_without_pauses_is_cut_to_the_limit() {
    let source = talk(&[(200_000, 0)]);
    let windows = windows(&source, whole(&source));
    assert!(windows.len() >= 7, "{}", windows.len());
    let rules = WindowRules { longest_decoded: 12 * SAMPLE_RATE, ..rules() };
    let windows = windows_starting_in(&frames(&source), &rules, whole(&source)).expect("windows");
    let longest = windows.iter().filter_map(|w| w.speech_span(0)).map(SampleRange::len).max();
    assert!(longest <= Some(12 * SAMPLE_RATE), "{longest:?}");
}

#[test]
fn silence_has_windows_without_speech() {
    let source = talk(&[(0, 100_000)]);
    let windows = windows(&source, whole(&source));
    assert!(!windows.is_empty());
    assert!(windows.iter().all(|w| w.speech.is_empty()));
    assert!(
        windows_starting_in(&frames(&source), &rules(), SampleRange::new(5, 5)).expect("none").is_empty()
    );
}

#[test]
fn missing_samples_count_as_silence() {
    /// Reports a greater length than it has.
    struct Short(Arc<dyn SoundSource>);
    impl SoundSource for Short {
        fn len(&self) -> i64 {
            self.0.len() + 3 * SAMPLE_RATE + 5
        }
        fn read(&self, range: SampleRange) -> Result<Vec<f32>> {
            self.0.read(range.intersect(SampleRange::new(0, self.0.len())))
        }
    }
    let source: Arc<dyn SoundSource> = Arc::new(Short(talk(&[(3_000, 500)])));
    let windows = windows(&source, whole(&source));
    assert_eq!(windows.last().map(|w| w.range.end), Some(source.len()));
}

#[test]
fn contradicting_rules_are_refused() {
    let source = talk(&[(1_000, 500)]);
    let rules = WindowRules { anchor_reach: 30 * SAMPLE_RATE, ..rules() };
    let error = windows_starting_in(&frames(&source), &rules, whole(&source)).expect_err("refused");
    assert_eq!(error.kind(), segue_speech::SpeechErrorKind::Usage);
}
