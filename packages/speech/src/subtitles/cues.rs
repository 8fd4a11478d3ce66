//! Subtitle cues of a transcript, by common subtitling rules.
//!
//! Dynamic programming over the words chooses all cuts between cues together: cues fit two
//! lines, end where a sentence or a pause ends, and stay long enough to read.

use segue_domain::transcript::Transcript;
use serde::{Deserialize, Serialize};

/// A subtitle cue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// Start, milliseconds on the source's clock.
    pub start_ms: i64,
    /// End, milliseconds; after `start_ms`, and not after the next cue's start.
    pub end_ms: i64,
    /// One or more lines, none empty.
    pub lines: Vec<String>,
}

/// Subtitling rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CueRules {
    /// Longest line, in columns; a wide character takes two.
    pub line_columns: usize,
    /// Most lines per cue.
    pub lines: usize,
    /// Shortest duration, as far as the next cue permits.
    pub shortest_ms: i64,
    /// Longest duration.
    pub longest_ms: i64,
    /// Time that a cue stays after its last word.
    pub linger_ms: i64,
    /// Shortest pause that no cue spans.
    pub pause_ms: i64,
}

impl Default for CueRules {
    fn default() -> Self {
        CueRules {
            line_columns: 42,
            lines: 2,
            shortest_ms: 1_000,
            longest_ms: 7_000,
            linger_ms: 500,
            pause_ms: 1_500,
        }
    }
}

/// A word with the space before it.
struct Piece<'a> {
    text: &'a str,
    spaced: bool,
    ends_utterance: bool,
    start_ms: i64,
    end_ms: i64,
}

/// The cues of `transcript`, in order and without overlap.
pub fn cues(transcript: &Transcript, rules: &CueRules) -> Vec<Cue> {
    let pieces = pieces(transcript);
    let bounds = cue_bounds(&pieces, rules);
    let mut cues: Vec<Cue> = bounds
        .windows(2)
        .map(|pair| {
            let group = &pieces[pair[0]..pair[1]];
            let (first, last) = (&group[0], &group[group.len() - 1]);
            Cue { start_ms: first.start_ms.max(0), end_ms: last.end_ms.max(0), lines: lines(group, rules) }
        })
        .collect();
    extend_cues(&mut cues, rules);
    cues
}

fn pieces(transcript: &Transcript) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for utterance in &transcript.segments {
        let mut rest = utterance.text.as_str();
        let count = utterance.words.len();
        for (index, word) in utterance.words.iter().enumerate().filter(|(_, w)| !w.text.is_empty()) {
            let at = rest.find(word.text.as_str());
            let spaced = at.is_none_or(|at| at > 0) || index == 0;
            rest = at.map_or(rest, |at| &rest[at + word.text.len()..]);
            pieces.push(Piece {
                text: &word.text,
                spaced,
                ends_utterance: index + 1 == count,
                start_ms: word.start_ms,
                end_ms: word.end_ms,
            });
        }
    }
    pieces
}

/// Indices at which cues begin, and the number of pieces.
fn cue_bounds(pieces: &[Piece<'_>], rules: &CueRules) -> Vec<usize> {
    let mut best = vec![(f32::INFINITY, 0usize); pieces.len() + 1];
    best[0] = (0.0, 0);
    for to in 1..=pieces.len() {
        for from in (0..to).rev() {
            let group = &pieces[from..to];
            if from + 1 < to && !fits_one_cue(group, rules) {
                break;
            }
            let cost = best[from].0 + cue_cost(group, pieces.get(to), rules);
            if cost < best[to].0 {
                best[to] = (cost, from);
            }
        }
    }
    let mut bounds = vec![pieces.len()];
    while let Some(at) = bounds.last().copied().filter(|at| *at > 0) {
        bounds.push(best[at].1);
    }
    bounds.reverse();
    bounds
}

fn fits_one_cue(group: &[Piece<'_>], rules: &CueRules) -> bool {
    let (first, last) = (&group[0], &group[group.len() - 1]);
    last.end_ms - first.start_ms <= rules.longest_ms
        && group[1].start_ms - first.end_ms < rules.pause_ms
        && lines(group, rules).len() <= rules.lines
}

/// The cost of one cue: 1, plus penalties for ending within a sentence, for spanning the end of
/// a sentence, and for a duration too short to read.
fn cue_cost(group: &[Piece<'_>], next: Option<&Piece<'_>>, rules: &CueRules) -> f32 {
    let (first, last) = (&group[0], &group[group.len() - 1]);
    let room = next.map_or(i64::MAX, |next| next.start_ms) - first.start_ms.min(last.end_ms);
    let spanned = group[..group.len() - 1].iter().filter(|p| p.ends_utterance).count();
    let ends = match next.map(|next| next.start_ms - last.end_ms) {
        None => 0.0,
        _ if last.ends_utterance => 0.0,
        _ if last.text.ends_with([',', ';', ':', '、', '，']) => 0.6,
        Some(pause) if pause >= 300 => 0.8,
        Some(_) => 2.0,
    };
    let too_short = if room < rules.shortest_ms { 2.0 } else { 0.0 };
    1.0 + ends + too_short + 0.7 * spanned as f32
}

/// Breaks pieces into as few lines as possible; two lines get about the same length.
fn lines(group: &[Piece<'_>], rules: &CueRules) -> Vec<String> {
    let needed = fill(group, rules.line_columns).len();
    if needed != 2 {
        return fill(group, rules.line_columns);
    }
    let whole: usize = group.iter().map(|p| columns(p.text) + usize::from(p.spaced)).sum();
    (whole / 2..=rules.line_columns)
        .map(|limit| fill(group, limit))
        .find(|lines| lines.len() == 2)
        .unwrap_or_else(|| fill(group, rules.line_columns))
}

fn fill(group: &[Piece<'_>], limit: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in group {
        let space = if piece.spaced { " " } else { "" };
        match lines.last_mut() {
            Some(line) if columns(line) + space.len() + columns(piece.text) <= limit => {
                line.push_str(space);
                line.push_str(piece.text);
            }
            _ => lines.push(piece.text.to_owned()),
        }
    }
    lines
}

fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| if (0x1100..=0xFFDC).contains(&u32::from(c)) && c.is_alphabetic() { 2 } else { 1 })
        .sum()
}

/// Extends cues to `linger_ms` and `shortest_ms`, as far as the next cue permits.
fn extend_cues(cues: &mut [Cue], rules: &CueRules) {
    let starts: Vec<i64> = cues.iter().map(|cue| cue.start_ms).collect();
    let mut earliest = 0;
    for (index, cue) in cues.iter_mut().enumerate() {
        cue.start_ms = cue.start_ms.max(earliest);
        let wanted = (cue.end_ms + rules.linger_ms)
            .max(cue.start_ms + rules.shortest_ms)
            .min(cue.start_ms + rules.longest_ms.max(cue.end_ms - cue.start_ms));
        let room = starts.get(index + 1).map_or(wanted, |next| *next);
        cue.end_ms = wanted.min(room).max(cue.start_ms + 1);
        earliest = cue.end_ms;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use segue_domain::transcript::{TRANSCRIPT_VERSION, Utterance, Word};

    use super::*;

    /// A transcript of sentences of words `(text, pause before it in ms, duration in ms)`.
    fn transcript(sentences: &[Vec<(String, i64, i64)>]) -> Transcript {
        let mut at = 0;
        let mut segments = Vec::new();
        for sentence in sentences {
            let mut words = Vec::new();
            for (text, pause_ms, duration_ms) in sentence {
                let start_ms = at + pause_ms;
                at = start_ms + duration_ms;
                words.push(Word { text: text.clone(), start_ms, end_ms: at, probability: 1.0 });
            }
            let text: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
            segments.push(Utterance {
                start_ms: words[0].start_ms,
                end_ms: at,
                text: text.join(" "),
                words,
                no_speech: 0.0,
            });
        }
        Transcript {
            version: TRANSCRIPT_VERSION,
            language: "en".into(),
            model: "m".into(),
            engine: "e".into(),
            segments,
        }
    }

    fn any_sentences() -> impl Strategy<Value = Vec<Vec<(String, i64, i64)>>> {
        let word = ("[a-zäж]{1,14}[,.]?", 0i64..900, 1i64..900);
        prop::collection::vec(prop::collection::vec(word, 1..25), 0..8)
    }

    proptest! {
        #[test]
        fn cues_contain_every_word_once_and_follow_the_rules(sentences in any_sentences()) {
            let transcript = transcript(&sentences);
            let rules = CueRules::default();
            let cues = cues(&transcript, &rules);
            let shown: Vec<&str> = cues.iter().flat_map(|c| &c.lines).flat_map(|l| l.split(' ')).collect();
            let spoken: Vec<&str> = sentences.iter().flatten().map(|(text, ..)| text.as_str()).collect();
            prop_assert_eq!(shown, spoken);
            for cue in &cues {
                prop_assert!(cue.lines.len() <= rules.lines, "{cue:?}");
                prop_assert!(cue.lines.iter().all(|l| l.chars().count() <= rules.line_columns), "{cue:?}");
                prop_assert!(cue.start_ms < cue.end_ms && cue.end_ms - cue.start_ms <= rules.longest_ms, "{cue:?}");
            }
            for pair in cues.windows(2) {
                prop_assert!(pair[0].end_ms <= pair[1].start_ms, "{pair:?}");
            }
            let begins = |at| transcript.segments.iter().flat_map(|u| &u.words).any(|w| w.start_ms == at);
            prop_assert!(cues.iter().all(|cue| begins(cue.start_ms)));
        }
    }

    #[test]
    fn cues_end_with_sentences_and_last_long_enough_to_read() {
        let sentence = |text: &str| text.split(' ').map(|w| (w.to_owned(), 20, 200)).collect::<Vec<_>>();
        let mut next =
            sentence("He was not an ill-disposed young man, unless to be rather cold-hearted is to be so.");
        next[0].1 = 2_000;
        let cues = cues(&transcript(&[sentence("Fail better."), next]), &CueRules::default());
        assert_eq!(cues[0].lines, ["Fail better."]);
        assert_eq!((cues[0].start_ms, cues[0].end_ms), (20, 1_020));
        assert_eq!(cues[1].lines, ["He was not an ill-disposed young man,"]);
        assert_eq!(cues[2].lines, ["unless to be rather", "cold-hearted is to be so."]);
    }
}
