//! Tokens become words: text, time on the source's clock, probability.

use segue_domain::transcript::Word;

use crate::engine::SpokenToken;

/// A word before its time is settled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawWord {
    /// Text with the space before it, as the engine wrote it.
    pub text: String,
    /// Start, samples from the window's first.
    pub start: i64,
    /// End, samples from the window's first.
    pub end: i64,
    /// Mean probability of its tokens.
    pub probability: f32,
    /// Whether the engine began a stretch of speech with it.
    pub begins_stretch: bool,
}

impl RawWord {
    /// The word on the source's clock; `at` is the sample of the window's first.
    pub fn placed(&self, at: i64) -> Word {
        let start_ms = crate::sound::samples_to_ms(at + self.start);
        Word {
            text: self.text.trim().to_owned(),
            start_ms,
            end_ms: crate::sound::samples_to_ms(at + self.end).max(start_ms),
            probability: self.probability,
        }
    }

    /// Whether a sentence ends with it.
    pub fn ends_sentence(&self) -> bool {
        let text = self.text.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»']);
        text.ends_with(['.', '?', '!', '…', '。', '？', '！']) && !is_abbreviation(text.trim())
    }
}

/// A full stop after one capital letter or a title ends no sentence.
fn is_abbreviation(word: &str) -> bool {
    const TITLES: [&str; 8] = ["Mr.", "Mrs.", "Ms.", "Dr.", "St.", "Prof.", "Jr.", "vs."];
    let letters = word.trim_end_matches('.');
    TITLES.contains(&word) || (letters.chars().count() == 1 && letters.chars().all(char::is_uppercase))
}

/// Joins tokens into words. A word begins with a space, with a new stretch of speech, or
/// with a character of a script that writes no spaces; it starts where the one before ends.
pub(crate) fn words(tokens: &[SpokenToken]) -> Vec<RawWord> {
    let mut words: Vec<RawWord> = Vec::new();
    let mut open: Vec<&SpokenToken> = Vec::new();
    for token in tokens {
        if !open.is_empty() && begins_word(token) {
            words.extend(joined(&open));
            open.clear();
        }
        open.push(token);
    }
    words.extend(joined(&open));
    let mut at = 0;
    for word in &mut words {
        word.start = at;
        at = word.end;
    }
    words
}

fn begins_word(token: &SpokenToken) -> bool {
    token.begins_stretch
        || token.bytes.first() == Some(&b' ')
        || std::str::from_utf8(&token.bytes)
            .ok()
            .and_then(|text| text.chars().next())
            .is_some_and(writes_no_spaces)
}

/// Kana, ideographs, Thai, Lao, Khmer and Burmese; their punctuation stays with the word before.
fn writes_no_spaces(letter: char) -> bool {
    letter.is_alphabetic()
        && matches!(u32::from(letter), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0x20000..=0x2FA1F)
}

fn joined(tokens: &[&SpokenToken]) -> Option<RawWord> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.bytes.iter().copied()).collect();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.trim().is_empty() {
        return None;
    }
    Some(RawWord {
        text,
        start: 0,
        end: last.end,
        probability: tokens.iter().map(|t| t.probability).sum::<f32>() / tokens.len() as f32,
        begins_stretch: first.begins_stretch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(parts: &[(&[u8], i64)]) -> Vec<SpokenToken> {
        let token = |(bytes, end): &(&[u8], i64)| SpokenToken {
            bytes: bytes.to_vec(),
            probability: 0.5,
            end: *end,
            begins_stretch: false,
        };
        parts.iter().map(token).collect()
    }

    fn spelled(parts: &[(&[u8], i64)]) -> Vec<(String, i64, i64)> {
        words(&tokens(parts)).into_iter().map(|w| (w.text, w.start, w.end)).collect()
    }

    #[test]
    fn parts_and_punctuation_stay_with_their_word() {
        let heard = spelled(&[
            (b" Mr", 10),
            (b".", 11),
            (b" ill", 20),
            (b"-", 21),
            (b"dis", 22),
            (b"posed", 30),
            (b".", 31),
        ]);
        assert_eq!(heard, [(" Mr.".into(), 0, 11), (" ill-disposed.".into(), 11, 31)]);
    }

    #[test]
    fn a_character_in_two_tokens_is_whole_again() {
        let heard = spelled(&[(b" caf\xc3", 5), (b"\xa9", 6), (b" au", 9)]);
        assert_eq!(heard, [(" caf\u{e9}".into(), 0, 6), (" au".into(), 6, 9)]);
    }

    #[test]
    fn scripts_without_spaces_have_a_word_a_token() {
        let heard = spelled(&[
            ("今日".as_bytes(), 5),
            ("は".as_bytes(), 6),
            ("。".as_bytes(), 7),
            ("晴れ".as_bytes(), 9),
        ]);
        let text: Vec<&str> = heard.iter().map(|(text, ..)| text.as_str()).collect();
        assert_eq!(text, ["今日", "は。", "晴れ"]);
    }

    #[test]
    fn a_title_ends_no_sentence() {
        let ends = |text: &str| words(&tokens(&[(text.as_bytes(), 1)]))[0].ends_sentence();
        assert!(ends(" young.") && ends(" so?\""));
        assert!(!ends(" J."));
        assert!(!ends(" Mr.") && !ends(" well,"));
    }
}
