//! Word error rate, as `tools/wer.py` of the shared folder has it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Words wrong in a hundred of the reference's.
pub fn percent(reference: &str, heard: &str) -> f64 {
    let (reference, heard) = (words(reference), words(heard));
    100.0 * distance(&reference, &heard) as f64 / reference.len().max(1) as f64
}

/// The same by the judge, where there is one; it must agree.
///
/// # Errors
/// A judge that says something else.
pub fn judged(judge: Option<&Path>, reference: &Path, heard: &Path) -> Result<f64> {
    let own = percent(&std::fs::read_to_string(reference)?, &std::fs::read_to_string(heard)?);
    let Some(judge) = judge else { return Ok(own) };
    let said = Command::new("python3").arg(judge).arg(reference).arg(heard).output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let theirs: f64 = said
        .split('%')
        .next()
        .and_then(|n| n.parse().ok())
        .with_context(|| format!("wer.py said {said:?}"))?;
    ensure!((own - theirs).abs() < 0.006, "wer.py says {theirs}%, we say {own:.2}%");
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
        for (reference, heard, expected) in [
            ("a b c d", "A, b-c d.", 0.0),
            ("a b c d", "a c d", 25.0),
            ("a b c d", "a x c d", 25.0),
            ("a b c d", "a b c d e", 25.0),
            ("a b", "", 100.0),
            ("don't go", "dont go", 50.0),
        ] {
            assert_eq!(percent(reference, heard), expected, "{reference:?} {heard:?}");
        }
    }
}
