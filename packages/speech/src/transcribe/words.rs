//! Words from tokens: text, time and probability.

use segue_domain::transcript::Word;

use crate::engines::DecodedToken;

/// A word whose times are not final.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawWord {
    /// Text as decoded, with the space before it.
    pub text: String,
    /// Start, in samples from the start of the window.
    pub start: i64,
    /// End, in samples from the start of the window.
    pub end: i64,
    /// Mean probability of its tokens.
    pub probability: f32,
    /// Whether the engine starts a new segment of speech with it.
    pub starts_segment: bool,
}

impl RawWord {
    /// The word on the sound's clock; `window_start` is the window's first sample.
    pub fn to_word(&self, window_start: i64) -> Word {
        let start_ms = crate::sound::samples_to_ms(window_start + self.start);
        Word {
            text: self.text.trim().to_owned(),
            start_ms,
            end_ms: crate::sound::samples_to_ms(window_start + self.end).max(start_ms),
            probability: self.probability,
        }
    }

    /// Whether a sentence ends with this word.
    pub fn ends_sentence(&self) -> bool {
        let text = self.text.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»']);
        text.ends_with(['.', '?', '!', '…', '。', '？', '！']) && !is_abbreviation(text.trim())
    }
}

/// Whether the full stop belongs to an initial or a title, and so does not end a sentence.
fn is_abbreviation(word: &str) -> bool {
    const TITLES: [&str; 8] = ["Mr.", "Mrs.", "Ms.", "Dr.", "St.", "Prof.", "Jr.", "vs."];
    let letters = word.trim_end_matches('.');
    TITLES.contains(&word) || (letters.chars().count() == 1 && letters.chars().all(char::is_uppercase))
}

/// Joins tokens into words. A word begins with a space, with a new segment of speech, or with
/// a character of a script without spaces; its time starts where the previous word ends.
pub(crate) fn words(tokens: &[DecodedToken]) -> Vec<RawWord> {
    let mut words: Vec<RawWord> = Vec::new();
    let mut open: Vec<&DecodedToken> = Vec::new();
    for token in tokens {
        if !open.is_empty() && begins_word(token) {
            words.extend(join(&open));
            open.clear();
        }
        open.push(token);
    }
    words.extend(join(&open));
    let mut at = 0;
    for word in &mut words {
        word.start = at;
        at = word.end;
    }
    words
}

fn begins_word(token: &DecodedToken) -> bool {
    token.starts_segment
        || token.bytes.first() == Some(&b' ')
        || std::str::from_utf8(&token.bytes)
            .ok()
            .and_then(|text| text.chars().next())
            .is_some_and(is_unspaced_script)
}

/// Kana, ideographs, Thai, Lao, Khmer and Burmese, without punctuation, which belongs to the word before.
fn is_unspaced_script(letter: char) -> bool {
    letter.is_alphabetic()
        && matches!(u32::from(letter), 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0x20000..=0x2FA1F)
}

fn join(tokens: &[&DecodedToken]) -> Option<RawWord> {
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
        starts_segment: first.starts_segment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(parts: &[(&[u8], i64)]) -> Vec<DecodedToken> {
        let token = |(bytes, end): &(&[u8], i64)| DecodedToken {
            bytes: bytes.to_vec(),
            probability: 0.5,
            end: *end,
            starts_segment: false,
        };
        parts.iter().map(token).collect()
    }

    fn words_of(parts: &[(&[u8], i64)]) -> Vec<(String, i64, i64)> {
        words(&tokens(parts)).into_iter().map(|w| (w.text, w.start, w.end)).collect()
    }

    #[test]
    fn subwords_and_punctuation_are_joined_to_their_word() {
        let words = words_of(&[
            (b" Mr", 10),
            (b".", 11),
            (b" ill", 20),
            (b"-", 21),
            (b"dis", 22),
            (b"posed", 30),
            (b".", 31),
        ]);
        assert_eq!(words, [(" Mr.".into(), 0, 11), (" ill-disposed.".into(), 11, 31)]);
    }

    #[test]
    fn a_character_split_over_two_tokens_is_restored() {
        let words = words_of(&[(b" caf\xc3", 5), (b"\xa9", 6), (b" au", 9)]);
        assert_eq!(words, [(" caf\u{e9}".into(), 0, 6), (" au".into(), 6, 9)]);
    }

    #[test]
    fn scripts_without_spaces_have_one_word_per_token() {
        let words = words_of(&[
            ("今日".as_bytes(), 5),
            ("は".as_bytes(), 6),
            ("。".as_bytes(), 7),
            ("晴れ".as_bytes(), 9),
        ]);
        let text: Vec<&str> = words.iter().map(|(text, ..)| text.as_str()).collect();
        assert_eq!(text, ["今日", "は。", "晴れ"]);
    }

    #[test]
    fn a_title_does_not_end_a_sentence() {
        let ends = |text: &str| words(&tokens(&[(text.as_bytes(), 1)]))[0].ends_sentence();
        assert!(ends(" young.") && ends(" so?\""));
        assert!(!ends(" J."));
        assert!(!ends(" Mr.") && !ends(" well,"));
    }
}
