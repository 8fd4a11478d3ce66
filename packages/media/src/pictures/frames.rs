//! Frames that are shown at given times, decoded to RGB.

use std::ffi::OsString;
use std::path::Path;

use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts, StreamFacts, StreamKind};
use crate::mux::seconds;
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
use crate::ranged::Source;
use crate::tools::Tools;

/// Height of a picture as a multiple of its width, at most; taller frames are distorted.
const TALLEST: u64 = 4;

/// How much earlier than its time a frame is looked for in a container that has no index of
/// keyframes, microseconds.
const MARGIN_US: i64 = 10_000_000;

/// Maximum bytes of the decoded pictures of one command.
pub(super) const MAX_BYTES: usize = 512 << 20;

/// A decoded picture: RGB, 8 bits each, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Three bytes for each pixel.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// A black picture.
    pub fn black(width: u32, height: u32) -> Picture {
        Picture { width, height, rgb: vec![0; width as usize * height as usize * 3] }
    }

    /// Writes it as a binary PPM, in which ffmpeg reads and writes it.
    pub fn write_ppm(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(format!("P6\n{} {}\n255\n", self.width, self.height).as_bytes());
        to.extend_from_slice(&self.rgb);
    }

    /// The picture in a frame of another size: cut, and filled with black.
    pub fn fitted(self, width: u32, height: u32) -> Picture {
        if (self.width, self.height) == (width, height) {
            return self;
        }
        let mut fitted = Picture::black(width, height);
        fitted.paste(&self, 0, 0);
        fitted
    }

    /// Copies `other` into this picture with its upper left corner at (`x`, `y`).
    pub fn paste(&mut self, other: &Picture, x: u32, y: u32) {
        let row = |picture: &Picture, x: u32, y: u32| (y as usize * picture.width as usize + x as usize) * 3;
        let width = other.width.min(self.width.saturating_sub(x));
        for line in 0..other.height.min(self.height.saturating_sub(y)) {
            let (from, to) = (row(other, 0, line), row(self, x, y + line));
            let bytes = width as usize * 3;
            self.rgb[to..to + bytes].copy_from_slice(&other.rgb[from..from + bytes]);
        }
    }
}

/// Parses concatenated binary PPMs of 8 bits.
///
/// # Errors
/// Bytes that are none, or a picture that is cut off.
pub fn read_pictures(mut bytes: &[u8]) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    while !bytes.is_empty() {
        let (picture, rest) = read_picture(bytes)
            .ok_or_else(|| MediaError::internal("decoded pictures are not a sequence of PPMs"))?;
        pictures.push(picture);
        bytes = rest;
    }
    Ok(pictures)
}

fn read_picture(bytes: &[u8]) -> Option<(Picture, &[u8])> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut numbers = [0u32; 3];
    for number in &mut numbers {
        let digits = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b" "))?;
        let end = digits.iter().position(|b| !b.is_ascii_digit())?;
        *number = std::str::from_utf8(&digits[..end]).ok()?.parse().ok()?;
        rest = &digits[end..];
    }
    let [width, height, 255] = numbers else { return None };
    let rest = rest.strip_prefix(b"\n")?;
    let size = (width as usize).checked_mul(height as usize)?.checked_mul(3)?;
    let (rgb, rest) = rest.split_at_checked(size)?;
    Some((Picture { width, height, rgb: rgb.to_vec() }, rest))
}

/// Frames to decode: those shown at `at_us`, `at_us + every_us`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Time of the first, microseconds after the start of the file.
    pub at_us: i64,
    /// Time between two.
    pub every_us: i64,
    /// Number of frames.
    pub count: u64,
    /// Maximum width of the pictures; `None` for the source's.
    pub width: Option<u32>,
}

impl Wanted {
    /// The frame at one time.
    pub fn one(at_us: i64, width: Option<u32>) -> Wanted {
        Wanted { at_us, every_us: 1_000_000, count: 1, width }
    }
}

/// The scale filter to the display aspect ratio, rotated as displayed, at most `width` wide.
pub(super) fn scale(width: Option<u32>) -> String {
    let Some(width) = width else {
        return "scale=w='max(1,round(iw*max(1,sar)))':h='max(1,round(ih*max(1,1/sar)))':flags=bicubic,setsar=1"
            .to_owned();
    };
    let highest = u64::from(width) * TALLEST;
    format!(
        "scale=w='max(2,trunc(min({width},min(iw*sar,{highest}*dar))/2)*2)':\
         h='max(2,min({highest},round(ow/dar/2)*2))':flags=bicubic,setsar=1"
    )
}

/// Start of the decoding: a keyframe at or before it, in a container that lists them.
fn seek_us(facts: &SourceFacts, at_us: i64) -> i64 {
    if facts.container == Container::Other { (at_us - MARGIN_US).max(0) } else { at_us }
}

/// Input and selection of the wanted frames: options before the outputs, and the filters that leave
/// exactly those frames. A frame is shown until the next one, so the selected one is the last that
/// is not later than its time; before the first frame, that one.
pub(super) fn selection(
    source: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    wanted: &Wanted,
) -> (Vec<OsString>, String) {
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-threads", "1", "-copyts"]);
    let from_us = seek_us(facts, wanted.at_us);
    if from_us > 0 {
        args.extend(words(&["-noaccurate_seek", "-ss", &seconds(from_us)]));
    }
    args.extend(source_input(source));
    if stream.kind == StreamKind::Picture {
        // a cover has one frame, of no duration
        return (args, "null".to_owned());
    }
    let filters = format!(
        "settb=AVTB,setpts=PTS-{},fps=fps=1000000/{}:start_time=0:round=up",
        facts.start_time_us + wanted.at_us,
        wanted.every_us
    );
    (args, filters)
}

/// Fetches what [`selection`] reads.
pub(super) async fn bring(
    source: &Source,
    facts: &SourceFacts,
    stream: &StreamFacts,
    wanted: &Wanted,
) -> Result<()> {
    let start_us = facts.start_time_us;
    let from_us = start_us + seek_us(facts, wanted.at_us);
    let last_us = wanted.at_us + wanted.every_us * wanted.count.saturating_sub(1) as i64;
    // a decoder returns a frame only after it has read those that are decoded after it
    source.bring_stretch(facts, stream, from_us, start_us + last_us + MARGIN_US).await
}

/// Decodes the frames; fewer than wanted where the stream ends before.
///
/// # Errors
/// A stream that ffmpeg refuses to decode.
pub(super) async fn decode(
    tools: &Tools,
    source: &Source,
    facts: &SourceFacts,
    stream: &StreamFacts,
    wanted: &Wanted,
    limits: &Limits,
) -> Result<Vec<Picture>> {
    bring(source, facts, stream, wanted).await?;
    let (mut args, filters) = selection(source.path(), facts, stream, wanted);
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    args.extend(words(&["-map", &format!("0:{}", stream.index)]));
    args.extend(words(&["-vf", &format!("{filters},{},format=rgb24", scale(wanted.width))]));
    args.extend(words(&["-frames:v", &wanted.count.to_string()]));
    args.extend(words(&["-f", "image2pipe", "-c:v", "ppm", "pipe:1"]));
    let call = tools.ffmpeg("decoding pictures", args).reading(source.path());
    let bytes = process::output(&call, limits, MAX_BYTES).await?;
    read_pictures(&bytes)
}

/// Runs an encoder on pictures of one size, stored in a file beside `out` while it runs.
pub(super) async fn encode(
    tools: &Tools,
    pictures: &[Picture],
    rate: u32,
    options: &[&str],
    out: &Path,
    limits: &Limits,
) -> Result<()> {
    let Some(first) = pictures.first() else {
        return Err(MediaError::internal("there is no picture to encode"));
    };
    let raw = out.with_extension("rgb");
    let bytes: Vec<u8> = pictures.iter().flat_map(|picture| picture.rgb.iter().copied()).collect();
    std::fs::write(&raw, bytes).map_err(|e| MediaError::io(raw.display(), &e))?;
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-pixel_format", "rgb24"]);
    args.extend(words(&["-video_size", &format!("{}x{}", first.width, first.height)]));
    args.extend(words(&["-framerate", &rate.to_string()]));
    let input =
        crate::bounds::input("file", crate::bounds::Demuxers::Only("rawvideo"), crate::probe::file_url(&raw));
    args.extend(input);
    args.extend(words(options));
    args.push(out.into());
    let call = tools.encoder(format!("encoding {}", out.display()), args).reading(&raw).writing(out);
    process::run(&call, limits, |_| Heard::Progress).await?;
    std::fs::remove_file(&raw).map_err(|e| MediaError::io(raw.display(), &e))
}
