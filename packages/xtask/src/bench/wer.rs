//! Word error rate, computed as by `tools/wer.py` of the shared folder.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Word error rate in percent.
pub fn percent(reference: &str, transcript: &str) -> f64 {
    let (reference, transcript) = (words(reference), words(transcript));
    100.0 * distance(&reference, &transcript) as f64 / reference.len().max(1) as f64
}

/// Word error rate of a file, checked with the external tool `judge`, if given.
///
/// # Errors
/// The tool fails or computes another rate.
pub fn judged(judge: Option<&Path>, reference: &Path, transcript: &Path) -> Result<f64> {
    let own = percent(&std::fs::read_to_string(reference)?, &std::fs::read_to_string(transcript)?);
    let Some(judge) = judge else { return Ok(own) };
    let output = Command::new("python3").arg(judge).arg(reference).arg(transcript).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let theirs: f64 = printed
        .split('%')
        .next()
        .and_then(|n| n.parse().ok())
        .with_context(|| format!("wer.py printed {printed:?}"))?;
    ensure!((own - theirs).abs() < 0.006, "wer.py computes {theirs}%, xtask {own:.2}%");
    Ok(own)
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('-', " ");
    let kept = |c: char| if c.is_ascii_lowercase() || c == '\'' { c } else { ' ' };
    lower.chars().map(kept).collect::<String>().split_whitespace().map(str::to_owned).collect()
}

fn distance(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, word) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let best = (corner + usize::from(word != other)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted() {
        for (reference, transcript, expected) in [
            ("a b c d", "A, b-c d.", 0.0),
            ("a b c d", "a c d", 25.0),
            ("a b c d", "a x c d", 25.0),
            ("a b c d", "a b c d e", 25.0),
            ("a b", "", 100.0),
            ("don't go", "dont go", 50.0),
        ] {
            assert_eq!(percent(reference, transcript), expected, "{reference:?} {transcript:?}");
        }
    }
}
