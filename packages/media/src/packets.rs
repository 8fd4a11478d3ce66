//! Writes a track file for a codec that ffmpeg's MOV and MP4 muxers refuse, such as VP8.
//!
//! ffmpeg copies the packets into one file without a container and lists their exact times and
//! sizes; this module writes the index over them, in the form of all other track files. ffmpeg
//! reads such a file, as its MOV demuxer supports more codecs than its muxer.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::{MediaError, Result};
use crate::facts::StreamFacts;
use crate::mp4::{CountedFile, Sample, Track};
use crate::part;
use crate::probe::{self, source_input};
use crate::process::{self, Heard, Limits};
use crate::tools::Tools;

/// FourCC for a codec that MOV has none for; the decoder is passed to ffmpeg by an option.
const UNNAMED: [u8; 4] = *b"sgup";

/// The identity display matrix, and the rotation by a quarter turn to the right.
const MATRICES: [(i32, [i32; 4]); 4] =
    [(0, [1, 0, 0, 1]), (-90, [0, 1, -1, 0]), (180, [-1, 0, 0, -1]), (90, [0, -1, 1, 0])];

/// Writes the packets of one stream as a MOV file with an index.
///
/// # Errors
/// Errors of ffmpeg; times that do not fit into an index.
pub(crate) async fn write(
    tools: &Tools,
    source: &Path,
    stream: &StreamFacts,
    out: &Path,
    limits: &Limits,
) -> Result<()> {
    let bytes = out.with_extension("packets");
    let what = format!("indexing the picture of {}", source.display());
    let mut list = List::default();
    let call = tools.ffmpeg(&what, list_args(source, stream.index, &bytes));
    let call = call.reading(source).writing(&bytes);
    process::run(&call, limits, |piece| {
        list.push(piece);
        Heard::Progress
    })
    .await?;
    let extradata = extradata(tools, source, stream, limits).await?;
    let track = list.track(stream, &extradata).map_err(|e| e.context(&what))?;
    let failed = |e: &std::io::Error| MediaError::io(bytes.display(), e);
    let file = CountedFile::new(probe::open(&bytes)?).map_err(|e| failed(&e))?;
    let (index, owned) = (out.to_owned(), track);
    let written =
        tokio::task::spawn_blocking(move || part::write_unedited(&index, &owned, &owned.samples, &file));
    written
        .await
        .map_err(|e| MediaError::internal(format!("the task that writes the index failed: {e}")))??;
    fs::remove_file(&bytes).map_err(|e| failed(&e))
}

/// The arguments that write the packets to `bytes`, and one line per packet to standard output.
fn list_args(source: &Path, stream: u32, bytes: &Path) -> Vec<OsString> {
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let map = format!("0:{stream}");
    let copy = words(&["-map", &map, "-c", "copy", "-copyinkf", "-f"]);
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-copyts"]);
    args.extend(source_input(source));
    args.extend(copy.iter().cloned());
    args.push("rawvideo".into());
    args.push(bytes.into());
    args.extend(copy);
    args.extend(words(&["framecrc", "pipe:1"]));
    args
}

/// The decoder configuration (extradata).
async fn extradata(tools: &Tools, source: &Path, stream: &StreamFacts, limits: &Limits) -> Result<Vec<u8>> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-of", "json", "-show_data", "-show_entries", "stream=extradata"]
            .map(OsString::from)
            .to_vec();
    args.extend(["-select_streams".into(), stream.index.to_string().into()]);
    args.extend(source_input(source));
    let call = tools.ffprobe(format!("reading {}", source.display()), args).reading(source);
    let answer = process::output(&call, limits, 16 << 20).await?;
    let value: Value = serde_json::from_slice(&answer)
        .map_err(|e| MediaError::internal(format!("ffprobe's answer is not JSON: {e}")))?;
    Ok(from_hex_dump(value["streams"][0]["extradata"].as_str().unwrap_or_default()))
}

/// The bytes of a hexadecimal dump: offset and colon, groups of digits, two spaces, characters.
fn from_hex_dump(dump: &str) -> Vec<u8> {
    let digits = dump.lines().filter_map(|line| line.split_once(": ")).flat_map(|(_, rest)| {
        rest.split("  ").next().unwrap_or_default().chars().filter_map(|c| c.to_digit(16))
    });
    let digits: Vec<u32> = digits.collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// Parser of ffmpeg's `framecrc` lines.
#[derive(Debug, Default)]
struct List {
    line: Vec<u8>,
    /// Seconds in a tick.
    clock: Option<(i64, u32)>,
    /// Width and height of one pixel.
    pixel: (u32, u32),
    /// Duration of the last packet in ticks.
    last_duration: i64,
    samples: Vec<Sample>,
    end: u64,
    broken: bool,
}

impl List {
    fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                let read = self.take(&String::from_utf8_lossy(&line));
                self.broken |= read.is_none();
            } else {
                self.line.push(byte);
            }
        }
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let pair = |text: &str| {
            let (a, b) = text.trim().split_once('/')?;
            Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?))
        };
        if let Some(clock) = line.strip_prefix("#tb 0: ") {
            let (num, den) = pair(clock)?;
            self.clock = Some((i64::from(num), den));
        } else if let Some(sar) = line.strip_prefix("#sar 0: ") {
            self.pixel = pair(sar)?;
        }
        if line.starts_with('#') {
            return Some(());
        }
        // stream, dts, pts, duration, size, checksum, and flags where they are not those of a keyframe
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let number = |i: usize| fields.get(i)?.parse::<i64>().ok();
        let (num, _) = self.clock?;
        let ticks = |i: usize| number(i)?.checked_mul(num);
        let size = u32::try_from(number(4)?).ok()?;
        let (dts, pts) = (ticks(1)?, ticks(2)?);
        self.last_duration = ticks(3)?;
        let flags = fields.iter().find_map(|f| u32::from_str_radix(f.strip_prefix("F=0x")?, 16).ok());
        self.samples.push(Sample {
            offset: self.end,
            dts,
            size,
            composition: i32::try_from(pts.checked_sub(dts)?).ok()?,
            description: 1,
            keyframe: flags.is_none_or(|flags| flags & 1 != 0),
            hidden: false,
        });
        self.end = self.end.checked_add(u64::from(size))?;
        Some(())
    }

    /// The track of all packets.
    fn track(self, stream: &StreamFacts, extradata: &[u8]) -> Result<Track> {
        let timescale = self.clock.map_or(0, |(_, den)| den);
        if self.broken || self.samples.is_empty() || timescale == 0 || timescale > i32::MAX as u32 {
            return Err(MediaError::source(
                "its packets have times that no index can hold; encode it anew with another program",
            ));
        }
        let spread = self.samples.windows(2).map(|pair| pair[1].dts - pair[0].dts).max().unwrap_or(1);
        let last = if self.last_duration > 0 { self.last_duration } else { spread };
        Ok(Track {
            id: 1,
            timescale,
            language: 0x55c4, // undetermined
            matrix: matrix(stream.rotation.unwrap_or(0)),
            width: stream.width << 16,
            height: stream.height << 16,
            stsd: description(stream, self.pixel, extradata),
            edits: Vec::new(),
            last_duration: u32::try_from(last).unwrap_or(1),
            samples: self.samples,
        })
    }
}

/// The display matrix that rotates by `degrees` to the left.
fn matrix(degrees: i32) -> [u8; 36] {
    let found = MATRICES.iter().find(|(turned, _)| (turned - degrees) % 360 == 0);
    let [a, b, c, d] = found.map_or(MATRICES[0].1, |(_, turn)| *turn);
    let mut bytes = [0; 36];
    for (at, value) in [(0, a << 16), (4, b << 16), (12, c << 16), (16, d << 16), (32, 1 << 30)] {
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// The sample description box.
fn description(stream: &StreamFacts, pixel: (u32, u32), extradata: &[u8]) -> Vec<u8> {
    let name = if stream.codec.as_deref() == Some("vp8") { *b"VP80" } else { UNNAMED };
    let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    let put = |kind: &[u8; 4], body: &[u8]| {
        [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
    };
    let mut entry = vec![0, 0, 0, 0, 0, 0, 0, 1];
    entry.extend_from_slice(&[0; 16]);
    entry.extend_from_slice(&[side(stream.width), side(stream.height)].concat());
    // 72 dots per inch, one frame per sample, a name of 32 bytes, 24 bits per pixel, no palette
    entry.extend_from_slice(&[0, 72, 0, 0, 0, 72, 0, 0, 0, 0, 0, 0, 0, 1]);
    entry.extend_from_slice(&[0; 32]);
    entry.extend_from_slice(&[0, 24, 0xff, 0xff]);
    if !extradata.is_empty() {
        entry.extend(put(b"glbl", extradata));
    }
    if pixel.0 > 0 && pixel.1 > 0 {
        entry.extend(put(b"pasp", &[pixel.0.to_be_bytes(), pixel.1.to_be_bytes()].concat()));
    }
    put(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], put(&name, &entry).as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_packets_is_read() {
        let mut list = List::default();
        list.push(
            b"#software: Lavf\n#tb 0: 1001/30000\n#sar 0: 4/3\n0, 0, 1, 1, 50, 0x1\n0, 1, 0, 1, 7, 0x2, F=0",
        );
        list.push(b"x0, S=1, 12\n");
        assert!(!list.broken);
        let of = |s: &Sample| (s.offset, s.size, s.dts, s.pts(), s.keyframe);
        assert_eq!(of(&list.samples[0]), (0, 50, 0, 1001, true));
        assert_eq!(of(&list.samples[1]), (50, 7, 1001, 0, false));
        assert_eq!((list.pixel, list.clock), ((4, 3), Some((1001, 30_000))));
        list.push(b"0, -9223372036854775808, 1, 1, 1, 0x0\n");
        assert!(list.broken);
    }

    #[test]
    fn a_hexadecimal_dump_is_read() {
        let dump = "\n00000000: 0000 0008 2010 3001 6162 6364 6566 6768  .... .0.abcdefgh\n00000010: 3a20                                     : \n";
        let bytes = [0, 0, 0, 8, 0x20, 0x10, 0x30, 1, 97, 98, 99, 100, 101, 102, 103, 104, 0x3a, 0x20];
        assert_eq!(from_hex_dump(dump), bytes);
        assert_eq!(from_hex_dump(""), [0u8; 0]);
    }
}
