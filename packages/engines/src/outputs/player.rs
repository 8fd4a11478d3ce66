//! A page that plays a stream, with the transcript beside it.

use segue_domain::transcript::Transcript;
use segue_ports::EngineError;
use serde_json::json;

use crate::media_plan::internal;

/// The page, with places for the data and for hls.js.
const PAGE: &str = include_str!("player.html");

/// hls.js, which plays HLS where the browser does not; empty if the build had none.
const HLS: &str = include_str!(concat!(env!("OUT_DIR"), "/hls.js"));

/// The page for the stream in whose folder it is published; `one_file` is the path of the stream in one file.
///
/// # Errors
/// A transcript that cannot be encoded.
pub fn page(transcript: Option<&Transcript>, one_file: Option<&str>) -> Result<String, EngineError> {
    let lines: Vec<_> = transcript
        .iter()
        .flat_map(|transcript| &transcript.segments)
        .map(|line| json!({ "start_ms": line.start_ms, "end_ms": line.end_ms, "text": line.text }))
        .collect();
    let language = transcript.map(|transcript| transcript.language.as_str());
    let data = json!({ "language": language, "transcript": lines, "one_file": one_file });
    let data = serde_json::to_string(&data).map_err(|e| internal(e.to_string()))?;
    // in a script element, `<` of a text could end it
    let data = data.replace('<', "\\u003c");
    let (head, rest) =
        PAGE.split_once("__DATA__").ok_or_else(|| internal("the page has no place for data"))?;
    let (middle, tail) =
        rest.split_once("__HLS__").ok_or_else(|| internal("the page has no place for hls.js"))?;
    Ok([head, &data, middle, HLS, tail].concat())
}

#[cfg(test)]
mod tests {
    use segue_domain::transcript::{TRANSCRIPT_VERSION, Utterance};

    use super::*;

    #[test]
    fn a_text_cannot_end_the_script_that_holds_it() {
        let line = Utterance {
            start_ms: 0,
            end_ms: 1000,
            text: "</script><script>alert(1)</script>".into(),
            words: Vec::new(),
            no_speech: 0.0,
        };
        let transcript = Transcript {
            version: TRANSCRIPT_VERSION,
            language: "en".into(),
            model: "m".into(),
            engine: "e".into(),
            segments: vec![line],
        };
        let page = page(Some(&transcript), Some("../a.mp4")).unwrap();
        assert!(!page.contains("alert(1)</script>") && page.contains("\\u003c/script>"), "{page}");
        assert!(!page.contains("__DATA__") && !page.contains("__HLS__"));
    }
}
