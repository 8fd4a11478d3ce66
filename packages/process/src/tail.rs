//! The last lines that a child wrote to stderr, bounded in number and length.

use std::collections::VecDeque;

/// Lines retained.
const LINES: usize = 20;
/// Bytes retained of one line.
const LINE_BYTES: usize = 500;

/// The last lines of a stream of bytes.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

impl Tail {
    /// Appends the next piece of output.
    pub fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            if byte == b'\n' || byte == b'\r' {
                self.close();
            } else if self.open.len() < LINE_BYTES {
                self.open.push(byte);
            }
        }
    }

    /// The lines retained, with the unfinished last one.
    pub fn lines(mut self) -> Vec<String> {
        self.close();
        self.lines.into()
    }

    fn close(&mut self) {
        let line = String::from_utf8_lossy(&self.open).trim().to_owned();
        self.open.clear();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retains_the_last_lines_only() {
        let mut tail = Tail::default();
        for i in 0..100 {
            tail.push(format!("line {i}\r\n\n").as_bytes());
        }
        tail.push(b"unfin");
        tail.push(b"ished");
        let lines = tail.lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.last().map(String::as_str), Some("unfinished"));
        assert_eq!(lines[0], "line 81");
    }

    #[test]
    fn truncates_a_line_without_end() {
        let mut tail = Tail::default();
        tail.push(&vec![b'x'; 1 << 20]);
        assert_eq!(tail.lines()[0].len(), LINE_BYTES);
    }
}
