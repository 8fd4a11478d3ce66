//! Printing; a reader that closes the pipe is not an error.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write};

use segue_domain::Failure;
use serde::Serialize;

/// Writes a line to stdout. A closed pipe is not an error.
pub fn line(text: impl Display) {
    write(format_args!("{text}\n"));
}

/// Writes text to stdout as it is.
pub fn text(text: impl Display) {
    write(format_args!("{text}"));
}

fn write(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = writeln!(std::io::stderr(), "segue: writing to stdout: {error}");
    }
}

/// Writes a document to stdout.
pub fn json(document: &impl Serialize) {
    match serde_json::to_string_pretty(document) {
        Ok(text) => line(text),
        Err(error) => note(format_args!("cannot write JSON: {error}")),
    }
}

/// Writes a line to stderr.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "segue: {text}");
}

/// Prints why a command failed: one line, and on request the last output of the program that failed.
pub fn failure(failure: &Failure, verbose: bool) {
    note(one_line(&failure.cause));
    if verbose {
        for line in &failure.stderr_tail {
            let _ = writeln!(std::io::stderr(), "  | {}", one_line(line));
        }
    }
}

/// `text` without line breaks and control characters, which could move the cursor.
pub fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(plain).collect()
}

/// Formats a size for display: `12.3 MB`.
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// Formats a duration for display: `1:02:03`, `4:05.6`, `7.8 s`.
pub fn duration(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, (ms % 60_000) as f64 / 1e3);
    match (hours, minutes) {
        (0, 0) => format!("{seconds:.1} s"),
        (0, _) => format!("{minutes}:{seconds:04.1}"),
        _ => format!("{hours}:{minutes:02}:{:02}", ms / 1000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_for_people() {
        for (ms, text) in [(0, "0.0 s"), (7_840, "7.8 s"), (245_600, "4:05.6"), (3_723_000, "1:02:03")] {
            assert_eq!(duration(ms), text);
        }
        for (count, text) in
            [(999, "999 B"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB"), (3_210_000_000, "3.21 GB")]
        {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(one_line(" a\nb\u{1b}[2Jc "), "a b [2Jc");
    }
}
