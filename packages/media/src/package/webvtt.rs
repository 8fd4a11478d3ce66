//! WebVTT segments for HLS: RFC 8216, section 3.5.

use std::fmt::Write as _;

/// Cues count from the start of the stream, as the times of the fragments do.
const TIMESTAMP_MAP: &str = "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0";

/// A cue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// Start in microseconds of the stream.
    pub start_us: i64,
    /// End in microseconds of the stream.
    pub end_us: i64,
    /// Its text in plain characters.
    pub text: String,
}

/// Writes one segment for each pair of neighbouring bounds, in microseconds. A cue that crosses a bound is repeated
/// unchanged in every segment that it overlaps; a segment without cues has a header.
pub fn write_segments(cues: &[Cue], bounds_us: &[i64]) -> Vec<String> {
    let bounds = bounds_us.windows(2);
    bounds
        .map(|bound| {
            let mut out = format!("WEBVTT\n{TIMESTAMP_MAP}\n\n");
            for cue in cues.iter().filter(|cue| cue.start_us < bound[1] && cue.end_us > bound[0]) {
                write_cue(&mut out, cue);
            }
            out
        })
        .collect()
}

/// Writes all cues into one file, for DASH and for plain players.
pub fn whole_file(cues: &[Cue]) -> String {
    let mut out = "WEBVTT\n\n".to_owned();
    cues.iter().for_each(|cue| write_cue(&mut out, cue));
    out
}

/// Nothing is written for a cue without a duration or without text.
fn write_cue(out: &mut String, cue: &Cue) {
    let (start, end) = (millis(cue.start_us), millis(cue.end_us));
    // an empty line ends a cue
    let lines: Vec<&str> = cue.text.split(['\n', '\r']).map(str::trim).filter(|l| !l.is_empty()).collect();
    if start >= end || lines.is_empty() {
        return;
    }
    let text = lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(out, "{} --> {}\n{text}\n", clock(start), clock(end));
}

fn millis(us: i64) -> i64 {
    (us.max(0) + 500) / 1000
}

fn clock(ms: i64) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_us: i64, end_us: i64, text: &str) -> Cue {
        Cue { start_us, end_us, text: text.into() }
    }

    #[test]
    fn a_cue_across_bounds_is_repeated_unchanged() {
        let cues = [
            cue(500_000, 1_500_000, "one"),
            cue(3_000_000, 9_000_500, "two <b> & --> x\n\n second line"),
            cue(12_000_000, 13_000_000, "after the end"),
            cue(4_000_000, 4_000_000, "no duration"),
        ];
        let segments = write_segments(&cues, &[0, 4_000_000, 8_000_000, 10_000_000, 12_000_000]);
        let head = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n";
        let two = "00:00:03.000 --> 00:00:09.001\ntwo &lt;b&gt; &amp; --&gt; x\nsecond line\n\n";
        assert_eq!(segments.len(), 4);
        assert_eq!(segments[0], format!("{head}00:00:00.500 --> 00:00:01.500\none\n\n{two}"));
        assert_eq!(segments[1], format!("{head}{two}"));
        assert_eq!(segments[2], format!("{head}{two}"));
        assert_eq!(segments[3], head);
    }

    #[test]
    fn a_cue_that_ends_at_a_bound_belongs_to_the_segment_before() {
        let segments = write_segments(&[cue(0, 4_000_000, "a")], &[0, 4_000_000, 8_000_000]);
        assert!(segments[0].contains("\na\n") && !segments[1].contains("\na\n"));
    }

    #[test]
    fn hours_have_as_many_digits_as_they_need() {
        assert_eq!(clock(360_000_000 + 61_001), "100:01:01.001");
        assert!(!whole_file(&[cue(0, 1_000_000, "a")]).contains("TIMESTAMP"));
    }
}
