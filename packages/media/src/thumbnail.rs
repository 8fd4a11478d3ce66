//! The thumbnail: one typical frame of the video.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamKind};
use crate::mux::seconds;
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
use crate::ranged::Source;
use crate::tools::Tools;

/// Number of frames among which the most typical one is selected.
const CHOICE: u32 = 50;
/// Maximum height of a thumbnail as a multiple of its width.
const TALLEST: u64 = 4;
/// Latest start of the selection.
const LATEST_US: i64 = 30_000_000;
/// Duration that is searched for a frame that is not black.
const SEARCHED_US: i64 = 60_000_000;

/// Maximum size of a thumbnail, bytes.
const LONGEST: u64 = 64 << 20;

/// Candidate frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Frames that are not black: at least a tenth of the pixels is brighter than dark.
    NotBlack,
    /// All.
    Any,
}

/// The arguments that write a JPEG of a typical frame near `at_us`, at most `width` wide.
pub fn thumbnail_args(
    source: &Path,
    stream: u32,
    at_us: i64,
    choice: Choice,
    width: u32,
    out: &Path,
) -> Vec<OsString> {
    // a decoder keeps whole frames for each of its threads
    let mut args: Vec<OsString> =
        ["-v", "error", "-nostdin", "-y", "-threads", "1"].map(OsString::from).to_vec();
    if at_us > 0 {
        args.extend(["-ss".into(), seconds(at_us).into()]);
    }
    args.extend(["-t".into(), seconds(SEARCHED_US).into()]);
    args.extend(source_input(source));
    args.extend(["-map".into(), format!("0:{stream}").into(), "-vf".into()]);
    let bright = match choice {
        Choice::NotBlack => {
            "signalstats,metadata=mode=select:key=lavfi.signalstats.YHIGH:value=48:function=greater,"
        }
        Choice::Any => "",
    };
    // the selection keeps all its frames in memory, so they are scaled down before it
    args.push(format!("{},setsar=1,format=yuv444p,{bright}thumbnail=n={CHOICE}", scale(width)).into());
    args.extend(
        ["-frames:v", "1", "-pix_fmt", "yuvj420p", "-strict", "unofficial", "-c:v", "mjpeg", "-q:v", "3"]
            .map(OsString::from),
    );
    args.extend(["-map_metadata", "-1", "-update", "1", "-f", "image2"].map(OsString::from));
    args.push(out.into());
    args
}

/// The filter that scales a frame to its display aspect ratio, at most `width` wide and
/// [`TALLEST`] times as high; taller frames are distorted.
fn scale(width: u32) -> String {
    let highest = u64::from(width) * TALLEST;
    format!(
        "scale=w='max(2,trunc(min({width},min(iw*sar,{highest}*dar))/2)*2)':\
         h='max(2,min({highest},round(ow/dar/2)*2))':flags=bicubic"
    )
}

/// Writes a thumbnail from near `at_us` after the start, or from a tenth of the duration; the
/// frame is rotated for display. A source with a cover and no video stream gives its
/// cover. `false` if there is no picture.
pub async fn thumbnail(
    tools: &Tools,
    source: impl Into<Source>,
    facts: &SourceFacts,
    at_us: Option<i64>,
    width: u32,
    out: &Path,
    limits: &Limits,
) -> Result<bool> {
    let source = source.into();
    let moving = facts.primary_video();
    let Some(stream) = moving.or_else(|| facts.of(StreamKind::Picture).next()) else { return Ok(false) };
    let length = moving.and(facts.duration_us).unwrap_or(0);
    let wanted = at_us.unwrap_or((length / 10).min(LATEST_US)).min(length);
    for (at_us, choice) in [(wanted, Choice::NotBlack), (wanted, Choice::Any), (0, Choice::Any)] {
        let from_us = if at_us > 0 { facts.start_time_us + at_us } else { i64::MIN };
        let to_us = facts.start_time_us + at_us + SEARCHED_US;
        source.bring_stretch(facts, stream, from_us, to_us).await?;
        let args = thumbnail_args(source.path(), stream.index, at_us, choice, width, out);
        let call = tools.ffmpeg("making the thumbnail", args).reading(source.path()).writing(out);
        let call = call.with_file_size(LONGEST);
        process::run(&call, limits, |_| Heard::Progress).await?;
        if fs::metadata(out).is_ok_and(|m| m.len() > 0) {
            return Ok(true);
        }
    }
    Err(MediaError::source(format!("{}: no frame of the picture can be decoded", source.path().display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe;

    /// Makes a source and its thumbnail; returns the thumbnail's width, height and mean brightness.
    async fn still(name: &str, args: &str, at_us: Option<i64>) -> Option<(u32, u32, u32)> {
        let dir = tempfile::tempdir().unwrap();
        let (source, out) = (dir.path().join(name), dir.path().join("still.jpg"));
        let mut make = std::process::Command::new("ffmpeg");
        let made = make.args(["-v", "error", "-y"]).args(args.split_whitespace()).arg(&source).status();
        assert!(made.unwrap().success());
        let tools = Tools::discover().await.unwrap();
        let facts = probe(&tools, &source).await.unwrap();
        let limits = Limits::default();
        if !thumbnail(&tools, &source, &facts, at_us, 200, &out, &limits).await.unwrap() {
            return None;
        }
        let gray = std::process::Command::new(&tools.ffmpeg)
            .args(["-v", "error", "-i"])
            .arg(&out)
            .args(["-vf", "scale=1:1,format=gray", "-f", "rawvideo", "-"])
            .output()
            .unwrap();
        let size = jpeg_size(&std::fs::read(&out).unwrap());
        Some((size.0, size.1, u32::from(gray.stdout[0])))
    }

    /// Width and height in a JPEG's frame header.
    fn jpeg_size(bytes: &[u8]) -> (u32, u32) {
        let at = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        let number = |i: usize| u32::from(u16::from_be_bytes([bytes[at + i], bytes[at + i + 1]]));
        (number(7), number(5))
    }

    #[tokio::test]
    async fn black_is_skipped_where_there_is_more() {
        let fade = "-f lavfi -i color=white:s=160x90:r=10:d=20 -vf fade=in:st=6:d=0.5 -c:v mpeg4";
        let (width, height, gray) = still("fade.mp4", fade, None).await.unwrap();
        assert_eq!((width, height), (160, 90));
        assert!(gray > 150, "{gray}");
        let black = "-f lavfi -i color=black:s=160x90:r=10:d=2 -c:v mpeg4";
        assert!(still("black.mp4", black, None).await.unwrap().2 < 20);
    }

    #[tokio::test]
    async fn it_has_the_shape_that_is_shown() {
        let wide = "-f lavfi -i color=red:s=320x240:r=10:d=1 -vf setsar=4/3 -c:v mpeg4";
        let (width, height, _) = still("wide.mp4", wide, None).await.unwrap();
        assert_eq!((width, height), (200, 112));
        let one = "-f lavfi -i color=white:s=64x48:r=10:d=0.1 -c:v mpeg4";
        assert_eq!(still("one.mp4", one, Some(9_000_000)).await.unwrap().0, 64);
    }

    #[tokio::test]
    async fn a_long_strip_makes_no_long_thumbnail() {
        let upright = "-f lavfi -i testsrc2=s=16x8000:r=10:d=0.2 -c:v ffv1";
        let (width, height, _) = still("strip.mkv", upright, None).await.unwrap();
        assert_eq!((width, height), (2, 800));
        let wide = "-f lavfi -i testsrc2=s=8000x16:r=10:d=0.2 -c:v ffv1";
        let (width, height, _) = still("strip.mkv", wide, None).await.unwrap();
        assert_eq!((width, height), (200, 2));
    }

    /// The frames held for the selection are as small as the result.
    #[test]
    fn frames_are_scaled_before_one_is_chosen() {
        let args = thumbnail_args(Path::new("s"), 0, 0, Choice::NotBlack, 640, Path::new("o"));
        let at = args.iter().position(|a| a == "-vf").unwrap();
        let filters = args[at + 1].to_str().unwrap();
        let place = |name: &str| filters.find(name).unwrap_or_else(|| panic!("{name} in {filters}"));
        assert!(place("scale=") < place("signalstats") && place("signalstats") < place("thumbnail="));
    }

    #[tokio::test]
    async fn a_cover_will_do_and_sound_alone_has_none() {
        let cover = "-f lavfi -i sine=d=1 -f lavfi -i color=green:s=96x96:r=1:d=1 -map 0 -map 1 \
            -frames:v 1 -c:v mjpeg -disposition:v attached_pic -c:a aac";
        assert_eq!(still("cover.m4a", cover, None).await.unwrap().0, 96);
        assert_eq!(still("sound.m4a", "-f lavfi -i sine=d=1 -c:a aac", None).await, None);
    }
}
