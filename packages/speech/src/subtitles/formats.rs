//! Subtitle files: SRT, WebVTT and plain text.

use std::fmt::Write;

use segue_domain::transcript::Transcript;

use super::cues::Cue;

/// Formats cues as a SubRip file.
pub fn to_srt(cues: &[Cue]) -> String {
    let mut out = String::new();
    for (index, cue) in cues.iter().enumerate() {
        let (start, end) = (clock(cue.start_ms, ','), clock(cue.end_ms, ','));
        let text = cue.lines.join("\n").replace("-->", "→");
        let _ = write!(out, "{}\n{start} --> {end}\n{text}\n\n", index + 1);
    }
    out
}

/// Formats cues as a WebVTT file.
pub fn to_vtt(cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for cue in cues {
        let (start, end) = (clock(cue.start_ms, '.'), clock(cue.end_ms, '.'));
        let text = escape(&cue.lines.join("\n"));
        let _ = write!(out, "{start} --> {end}\n{text}\n\n");
    }
    out
}

/// The plain text, one utterance per line.
pub fn to_txt(transcript: &Transcript) -> String {
    transcript.segments.iter().map(|utterance| format!("{}\n", utterance.text)).collect()
}

fn clock(ms: i64, point: char) -> String {
    let ms = ms.max(0);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{point}{:03}", ms / 1000 % 60, ms % 1000)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn milliseconds(clock: &str) -> i64 {
        let (time, ms) = clock.split_once(['.', ',']).expect("a point");
        let seconds = time.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("digits"));
        seconds * 1000 + ms.parse::<i64>().expect("digits")
    }

    /// A parser as simple as those of players: blocks between empty lines, times, text.
    fn parse(file: &str) -> Vec<Cue> {
        let unescape = |line: &str| line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        file.split("\n\n")
            .filter_map(|block| {
                let mut lines = block.lines().skip_while(|line| !line.contains(" --> "));
                let (start, end) = lines.next()?.split_once(" --> ")?;
                Some(Cue {
                    start_ms: milliseconds(start),
                    end_ms: milliseconds(end),
                    lines: lines.map(unescape).collect(),
                })
            })
            .collect()
    }

    fn any_cues() -> impl Strategy<Value = Vec<Cue>> {
        let line = "[a-zäßжд&<>\"'.,!? -]{0,20}[a-zж<>&]";
        let cue = (0i64..400_000_000, 1i64..7000, prop::collection::vec(line, 1..3));
        prop::collection::vec(
            cue.prop_map(|(start_ms, long, lines)| Cue { start_ms, end_ms: start_ms + long, lines }),
            0..8,
        )
    }

    proptest! {
        #[test]
        fn vtt_round_trips(cues in any_cues()) {
            prop_assert_eq!(parse(&to_vtt(&cues)), cues);
        }

        #[test]
        fn srt_round_trips(mut cues in any_cues()) {
            let file = to_srt(&cues);
            for line in cues.iter_mut().flat_map(|cue| &mut cue.lines) {
                *line = line.replace("-->", "→");
            }
            let read: Vec<Vec<String>> = parse(&file).into_iter().map(|cue| cue.lines).collect();
            // SRT has no escapes, and the generated lines contain none
            prop_assert_eq!(read, cues.into_iter().map(|cue| cue.lines).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_arrow_in_the_text_is_escaped() {
        let cue = Cue { start_ms: 0, end_ms: 3_661_001, lines: vec!["a --> b & <i>".into()] };
        assert_eq!(
            to_vtt(std::slice::from_ref(&cue)),
            "WEBVTT\n\n00:00:00.000 --> 01:01:01.001\na --&gt; b &amp; &lt;i&gt;\n\n"
        );
        assert_eq!(to_srt(&[cue]), "1\n00:00:00,000 --> 01:01:01,001\na → b & <i>\n\n");
    }
}
