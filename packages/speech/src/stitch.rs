//! The reduce step: the parts of all tasks become one transcript.

use segue_domain::transcript::{TRANSCRIPT_VERSION, Transcript};

use crate::error::{Result, SpeechError};
use crate::transcribe::{PART_VERSION, SpeechPart};

/// Joins `parts`, in any order, into the transcript of the whole.
///
/// Their ranges must partition the sound. Since a window is heard as a whole by the one task
/// in whose range it starts, no word is in two parts and joining is putting in order; times
/// are then made to run forward only.
pub fn stitch(mut parts: Vec<SpeechPart>, engine: &str, model: &str) -> Result<Transcript> {
    parts.sort_by_key(|part| (part.range.start, part.range.end));
    for part in &parts {
        if part.version != PART_VERSION {
            return Err(SpeechError::usage(format!(
                "speech part {} has version {}, this build reads {PART_VERSION}; run the job with one version",
                part.range, part.version
            )));
        }
    }
    for pair in parts.windows(2) {
        if pair[0].range.end != pair[1].range.start {
            return Err(SpeechError::internal(format!(
                "speech parts {} and {} do not meet; run the missing task",
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
