//! Parser of ffmpeg's `-progress` stream: lines of `key=value`.

use crate::process::Heard;

/// Progress as ffmpeg reports it.
#[derive(Debug, Default)]
pub struct Progress {
    line: Vec<u8>,
    out_time_us: i64,
    frames: u64,
    size: u64,
}

/// Maximum length of a line, bytes; longer ones are ignored.
const LINE_BYTES: usize = 200;

impl Progress {
    /// Parses the next piece of output; returns whether any number increased.
    pub fn push(&mut self, piece: &[u8]) -> Heard {
        let before = (self.out_time_us, self.frames, self.size);
        for &byte in piece {
            if byte == b'\n' {
                self.close();
            } else if self.line.len() < LINE_BYTES {
                self.line.push(byte);
            }
        }
        let after = (self.out_time_us, self.frames, self.size);
        if after == before { Heard::Noise } else { Heard::Progress }
    }

    /// Position in the result.
    pub fn out_time_us(&self) -> i64 {
        self.out_time_us
    }

    /// Frames written.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    fn close(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let Some((key, value)) = line.trim().split_once('=') else { return };
        match key {
            "out_time_us" => self.out_time_us = value.parse().unwrap_or(self.out_time_us),
            "frame" => self.frames = value.trim().parse().unwrap_or(self.frames),
            "total_size" => self.size = value.parse().unwrap_or(self.size),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_across_pieces_and_ignores_the_rest() {
        let mut p = Progress::default();
        assert_eq!(p.push(b"frame= 12\nout_time"), Heard::Progress);
        assert_eq!(p.push(b"_us=40000\nout_time_us=N/A\nspeed=1x\n"), Heard::Progress);
        assert_eq!((p.frames(), p.out_time_us()), (12, 40000));
        assert_eq!(p.push(b"progress=continue\n"), Heard::Noise);
    }
}
