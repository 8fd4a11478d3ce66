//! Limits on the size of sources, and the options by which ffmpeg and ffprobe enforce them.
//!
//! A hostile file of a few kilobytes can make a decoder allocate gigabytes. Sizes are checked after the
//! probe, where the error can name them; the same limits are passed to the programs, for files whose
//! header and packets disagree. The limits are constants: they are
//! those of the largest formats in use, whatever the memory of the machine.

use std::ffi::OsString;
use std::path::Path;

use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamKind};

/// Maximum width and height: DCI 8K is 8192 x 4320, and 8K UHD 7680 x 4320, also in portrait.
pub const MAX_SIDE: u32 = 8192;

/// Maximum pixels of a frame. DCI 8K has 35,389,440, and 35,651,584 as coded, in blocks of 64.
pub const MAX_PIXELS: u64 = 36_000_000;

/// Maximum duration of a source in microseconds: 48 hours.
pub const MAX_LENGTH_US: i64 = 48 * 3_600 * 1_000_000;

/// Maximum size of one allocation of ffprobe (`-max_alloc`), bytes: an uncompressed DCI 8K packet of 10
/// bits (v210) has 94.4 MB, and a table of the maximum number of samples in an index has 100.6 MB.
const PROBE_ALLOC: u64 = 95 << 20;

/// The same for ffmpeg: a DCI 8K frame of four components of 16 bits has 283 MB.
const ALLOC: u64 = 512 << 20;

/// What ffmpeg and ffprobe print when an allocation fails or is not allowed.
pub(crate) const NO_MEMORY: &str = "Cannot allocate memory";

/// The demuxers that may read an input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Demuxers<'a> {
    /// Any of these; ffmpeg probes the format.
    AnyOf(&'a str),
    /// Exactly this one.
    Only(&'a str),
}

/// The options and the URL of an input; every input of ffmpeg and ffprobe that was not written by
/// ffmpeg itself is named by this function.
pub(crate) fn input(protocols: &str, demuxers: Demuxers<'_>, url: OsString) -> Vec<OsString> {
    let pixels = MAX_PIXELS.to_string();
    let mut args = words(&["-max_pixels", &pixels, "-protocol_whitelist", protocols]);
    args.extend(match demuxers {
        Demuxers::AnyOf(list) => words(&["-format_whitelist", list]),
        Demuxers::Only(name) => words(&["-format_whitelist", name, "-f", name]),
    });
    args.push("-i".into());
    args.push(url);
    args
}

/// Global options of ffmpeg, before all others.
pub(crate) fn ffmpeg_options() -> Vec<OsString> {
    words(&["-max_alloc", &ALLOC.to_string()])
}

/// Global options of ffprobe, before all others.
pub(crate) fn ffprobe_options() -> Vec<OsString> {
    words(&["-max_alloc", &PROBE_ALLOC.to_string()])
}

fn words(all: &[&str]) -> Vec<OsString> {
    all.iter().map(OsString::from).collect()
}

/// Checks the dimensions of all video streams.
///
/// # Errors
/// A picture above [`MAX_SIDE`] or [`MAX_PIXELS`].
pub(crate) fn check_sizes(path: &Path, facts: &SourceFacts) -> Result<()> {
    for stream in facts.of(StreamKind::Video) {
        let (width, height) = (stream.width, stream.height);
        if width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(MediaError::source(format!(
                "{}: {} is {width} x {height} pixels; the limit is {MAX_SIDE} on each side and {MAX_PIXELS} pixels \
                 together: scale it down first",
                path.display(),
                stream.label()
            )));
        }
    }
    Ok(())
}

/// The error of a probe that ran out of memory. A probe of a valid file needs a few
/// megabytes, so the cause is the file: its headers ask for more than ffprobe's limit.
pub(crate) fn probe_error(path: &Path, error: MediaError) -> MediaError {
    if !error.stderr_tail().iter().any(|line| line.contains(NO_MEMORY)) {
        return error;
    }
    let tail = error.stderr_tail().to_vec();
    MediaError::source(format!(
        "{}: its index or a packet needs more memory than reading a file is allowed ({} MiB at once), or it has \
         too many streams; copy it with ffmpeg -c copy and try the copy",
        path.display(),
        PROBE_ALLOC >> 20
    ))
    .with_tail(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(width: u32, height: u32) -> SourceFacts {
        let stream = serde_json::json!({
            "index": 0, "kind": "video", "codec": "hevc", "tag": "hev1", "dispositions": [],
            "timebase": { "num": 1, "den": 30 }, "width": width, "height": height, "sample_rate": 0,
            "channels": 0, "tags": {}
        });
        let facts = serde_json::json!({
            "size_bytes": 1, "format": "mov", "container": "mov", "start_time_us": 0, "streams": [stream],
            "chapters": 0, "tags": {}
        });
        serde_json::from_value(facts).unwrap()
    }

    #[test]
    fn the_largest_formats_in_use_pass_and_larger_ones_are_named() {
        let check = |width, height| check_sizes(Path::new("film.mov"), &facts(width, height));
        for (width, height) in [(7680, 4320), (8192, 4320), (4320, 8192), (8192, 4096), (0, 0)] {
            check(width, height).unwrap();
        }
        for (width, height) in [(8193, 2), (2, 8193), (6001, 6000), (16_000, 16_000), (16, 1_000_000)] {
            let error = check(width, height).unwrap_err();
            assert_eq!(error.kind(), crate::MediaErrorKind::Source);
            let limit = format!("{width} x {height} pixels; the limit is 8192 on each side and 36000000");
            assert!(error.to_string().contains(&limit), "{error}");
        }
    }

    /// Out of memory in a probe is a source error; all other errors keep their kind.
    #[test]
    fn a_probe_that_asks_for_too_much_memory_is_the_files_fault() {
        let of = |line: &str| {
            let error = MediaError::environment("reading").with_tail(vec![line.to_owned()]);
            probe_error(Path::new("film.mov"), error).kind()
        };
        assert_eq!(of("film.mov: Cannot allocate memory"), crate::MediaErrorKind::Source);
        assert_eq!(of("No space left on device"), crate::MediaErrorKind::Environment);
    }

    #[test]
    fn every_input_is_held_to_the_limits() {
        let line = |args: Vec<OsString>| args.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        assert_eq!(
            line(input("file", Demuxers::Only("mov"), "file:a b".into())),
            "-max_pixels 36000000 -protocol_whitelist file -format_whitelist mov -f mov -i file:a b"
        );
        assert_eq!(
            line(input("file", Demuxers::AnyOf("srt,webvtt"), "file:a".into())),
            "-max_pixels 36000000 -protocol_whitelist file -format_whitelist srt,webvtt -i file:a"
        );
        assert_eq!(line(ffmpeg_options()), "-max_alloc 536870912");
        assert_eq!(line(ffprobe_options()), "-max_alloc 99614720");
    }
}
