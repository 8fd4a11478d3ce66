//! Joining the parts of all tasks into one transcript.

use segue_domain::transcript::{TRANSCRIPT_VERSION, Transcript};

use super::part::{PART_VERSION, SpeechPart};
use crate::error::{Result, SpeechError};

/// Joins `parts`, given in any order, into the transcript of the whole sound.
///
/// Their ranges must partition the sound. One task, in whose range it starts, decodes a whole
/// window, so that no word is in two parts: joining sorts the parts, and then makes word times
/// monotonic.
pub fn stitch(mut parts: Vec<SpeechPart>, engine: &str, model: &str) -> Result<Transcript> {
    parts.sort_by_key(|part| (part.range.start, part.range.end));
    for part in &parts {
        if part.version != PART_VERSION {
            return Err(SpeechError::usage(format!(
                "speech part {} has version {}, this build reads {PART_VERSION}; use one Segue version for the whole job",
                part.range, part.version
            )));
        }
    }
    for pair in parts.windows(2) {
        if pair[0].range.end != pair[1].range.start {
            return Err(SpeechError::internal(format!(
                "speech parts {} and {} are not adjacent; run the missing task",
                pair[0].range, pair[1].range
            )));
        }
    }
    let language = parts.iter().find_map(|part| part.language.clone());
    let mut segments: Vec<_> = parts.into_iter().flat_map(|part| part.utterances).collect();
    let mut last = i64::MIN;
    for utterance in &mut segments {
        for word in &mut utterance.words {
            word.start_ms = word.start_ms.max(last);
            word.end_ms = word.end_ms.max(word.start_ms);
            last = word.end_ms;
        }
        if let (Some(first), Some(end)) = (utterance.words.first(), utterance.words.last()) {
            utterance.start_ms = first.start_ms;
            utterance.end_ms = end.end_ms;
        }
    }
    Ok(Transcript {
        version: TRANSCRIPT_VERSION,
        language: language.unwrap_or_else(|| "und".into()),
        model: model.to_owned(),
        engine: engine.to_owned(),
        segments,
    })
}

#[cfg(test)]
mod tests {
    use segue_domain::transcript::{Utterance, Word};

    use super::*;
    use crate::error::SpeechErrorKind;
    use crate::sound::SampleRange;

    fn part(start: i64, end: i64, words: &[(&str, i64, i64)]) -> SpeechPart {
        let words: Vec<Word> = words
            .iter()
            .map(|(text, start_ms, end_ms)| Word {
                text: (*text).into(),
                start_ms: *start_ms,
                end_ms: *end_ms,
                probability: 1.0,
            })
            .collect();
        let utterance = Utterance { start_ms: 0, end_ms: 0, text: "words".into(), words, no_speech: 0.0 };
        SpeechPart {
            version: PART_VERSION,
            range: SampleRange::new(start, end),
            language: (start > 0).then(|| "en".into()),
            utterances: vec![utterance],
        }
    }

    #[test]
    fn parts_in_any_order_are_joined_with_monotonic_times() {
        let first = part(0, 10, &[("one", 0, 500)]);
        let second = part(10, 20, &[("two", 480, 900), ("three", 900, 950)]);
        let joined = stitch(vec![second, first], "e", "m").expect("adjacent parts");
        let times: Vec<(i64, i64)> =
            joined.segments.iter().flat_map(|u| &u.words).map(|w| (w.start_ms, w.end_ms)).collect();
        assert_eq!(times, [(0, 500), (500, 900), (900, 950)]);
        assert_eq!((joined.segments[1].start_ms, joined.segments[1].end_ms), (500, 950));
        assert_eq!(joined.language, "en");
        assert_eq!(stitch(Vec::new(), "e", "m").expect("empty").language, "und");
    }

    #[test]
    fn a_missing_or_duplicate_part_is_an_error() {
        let parts = || vec![part(0, 10, &[]), part(10, 20, &[]), part(20, 30, &[])];
        let mut missing = parts();
        missing.remove(1);
        let mut duplicate = parts();
        duplicate.push(part(10, 20, &[]));
        for parts in [missing, duplicate] {
            let error = stitch(parts, "e", "m").expect_err("refused");
            assert_eq!(error.kind(), SpeechErrorKind::Internal);
        }
        let mut other = parts();
        other[0].version += 1;
        assert_eq!(stitch(other, "e", "m").expect_err("refused").kind(), SpeechErrorKind::Usage);
    }
}
