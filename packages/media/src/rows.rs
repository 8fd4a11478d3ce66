//! Packets or frames of a file as rows of time and digest, read from ffmpeg's `framehash`.

use std::ffi::OsString;
use std::path::Path;

use segue_domain::Timebase;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Result;
use crate::facts::{Container, SourceFacts, StreamFacts, StreamKind};
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
use crate::tools::Tools;

/// One packet or frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Presentation time in ticks.
    pub pts: i64,
    /// Duration in ticks.
    pub duration: i64,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the content.
    pub hash: u64,
}

/// All rows of one stream.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The timescale of the rows.
    pub timebase: Option<Timebase>,
    /// The rows, in the order of the file.
    pub rows: Vec<Row>,
}

impl Rows {
    /// Presentation time of a row in microseconds.
    pub fn micros(&self, i: usize) -> Option<i64> {
        Some(self.timebase?.to_micros(self.rows.get(i)?.pts))
    }

    /// End of the latest row in microseconds.
    pub fn end_us(&self) -> Option<i64> {
        let last = self.rows.iter().map(|r| r.pts + r.duration).max()?;
        Some(self.timebase?.to_micros(last))
    }
}

/// What is hashed of each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The packets as stored in the file.
    Packets,
    /// The decoded frames; audio in pieces of equal length, whatever its packets.
    Decoded,
}

/// Samples in one piece of decoded audio.
pub const PIECE: u32 = 1024;

/// The arguments that print rows of the given streams.
pub fn rows_args(path: &Path, facts: &SourceFacts, streams: &[&StreamFacts], depth: Depth) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-v", "error", "-nostdin", "-copyts"].map(OsString::from).to_vec();
    if depth == Depth::Decoded {
        args.push("-noautorotate".into());
    }
    args.extend(source_input(path));
    for s in streams {
        args.extend(["-map".into(), format!("0:{}", s.index).into()]);
    }
    match depth {
        Depth::Packets => {
            args.extend(["-c", "copy", "-copyinkf"].map(OsString::from));
            // MP4 and Matroska hold AAC without the header that a transport stream repeats
            for (i, s) in streams.iter().enumerate() {
                if s.codec.as_deref() == Some("aac") && facts.container == Container::Other {
                    args.extend([format!("-bsf:{i}").into(), "aac_adtstoasc".into()]);
                }
            }
        }
        Depth::Decoded => {
            args.extend(["-fps_mode", "passthrough"].map(OsString::from));
            if streams.iter().any(|s| s.kind != StreamKind::Audio) {
                args.extend(["-c:v", "rawvideo", "-enc_time_base:v", "1:1000000"].map(OsString::from));
            }
            if streams.iter().any(|s| s.kind == StreamKind::Audio) {
                args.extend(["-c:a", "pcm_s16le", "-af"].map(OsString::from));
                args.push(format!("asetnsamples=n={PIECE}:p=0").into());
            }
        }
    }
    args.extend(["-f", "framehash", "-hash", "murmur3", "pipe:1"].map(OsString::from));
    args
}

/// Reads the rows of the given streams, in their order.
pub async fn rows(
    tools: &Tools,
    path: &Path,
    facts: &SourceFacts,
    streams: &[&StreamFacts],
    depth: Depth,
    limits: &Limits,
) -> Result<Vec<Rows>> {
    let mut reader = Reader { line: Vec::new(), found: vec![Rows::default(); streams.len()] };
    if !streams.is_empty() {
        let args = rows_args(path, facts, streams, depth);
        let call = tools.ffmpeg(format!("reading {}", path.display()), args).reading(path);
        process::run(&call, limits, |piece| {
            reader.push(piece);
            Heard::Progress
        })
        .await?;
    }
    Ok(reader.found)
}

struct Reader {
    line: Vec<u8>,
    found: Vec<Rows>,
}

impl Reader {
    fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take(&String::from_utf8_lossy(&line));
            } else {
                self.line.push(byte);
            }
        }
    }

    fn take(&mut self, line: &str) -> Option<()> {
        if let Some(clock) = line.strip_prefix("#tb ") {
            let (stream, base) = clock.split_once(": ")?;
            let (num, den) = base.trim().split_once('/')?;
            let rows = self.found.get_mut(stream.trim().parse::<usize>().ok()?)?;
            rows.timebase = Timebase::new(num.parse().ok()?, den.parse().ok()?);
            return Some(());
        }
        if line.starts_with('#') {
            return None;
        }
        // stream, dts, pts, duration, size, hash
        let mut fields = line.split(',').map(str::trim);
        let stream: usize = fields.next()?.parse().ok()?;
        let dts = fields.next()?.parse::<i64>();
        let pts = fields.next()?.parse::<i64>().or(dts).ok()?;
        let duration = fields.next()?.parse().unwrap_or(0);
        let size = fields.next()?.parse().ok()?;
        let hash = xxh3_64(fields.next()?.as_bytes());
        self.found.get_mut(stream)?.rows.push(Row { pts, duration, size, hash });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_framehash() {
        let mut r = Reader { line: Vec::new(), found: vec![Rows::default(); 2] };
        r.push(b"#format: frame checksums\n#tb 0: 1001/30000\n#tb 1: 1/48000\n");
        r.push(b"0,          0,          2,        1,    86400, 1bb7\n1, -1024, -1024, 1024, 4096, 62");
        r.push(b"0f, S=1, 10\nnonsense\n7, 1, 1, 1, 1, x\n");
        assert_eq!(r.found[0].rows.len(), 1);
        assert_eq!(r.found[0].micros(0), Some(66733));
        assert_eq!(r.found[1].rows[0].pts, -1024);
        assert_eq!(r.found[1].rows[0].hash, xxh3_64(b"620f"));
        assert_eq!(r.found[1].end_us(), Some(0));
    }
}
