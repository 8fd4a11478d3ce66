//! One picture that stands for the whole.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamKind};
use crate::mux::seconds;
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
use crate::tools::Tools;

/// Frames among which the most typical one is chosen.
const CHOICE: u32 = 50;
/// The choice begins no later than this.
const LATEST_US: i64 = 30_000_000;

/// The arguments that write a JPEG of a typical frame near `at_us`, at most `width` wide.
pub fn thumbnail_args(source: &Path, stream: u32, at_us: i64, width: u32, out: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-v", "error", "-nostdin", "-y"].map(OsString::from).to_vec();
    if at_us > 0 {
        args.extend(["-ss".into(), seconds(at_us).into()]);
    }
    args.extend(source_input(source));
    args.extend(["-map".into(), format!("0:{stream}").into(), "-vf".into()]);
    // square pixels first, so that the picture has the shape in which it is shown
    let square = "scale='trunc(iw*sar/2)*2':ih:flags=bicubic,setsar=1";
    args.push(format!("thumbnail=n={CHOICE},{square},scale='min({width},iw)':-2:flags=bicubic").into());
    args.extend(
        ["-frames:v", "1", "-pix_fmt", "yuvj420p", "-strict", "unofficial", "-c:v", "mjpeg", "-q:v", "3"]
            .map(OsString::from),
    );
    args.extend(["-map_metadata", "-1", "-update", "1", "-f", "image2"].map(OsString::from));
    args.push(out.into());
    args
}

/// Writes a thumbnail from near `at_us` after the start, or from a tenth of the length; the
/// picture is turned as it is shown. A source with a cover and no moving picture gives its
/// cover. `false` where there is no picture.
pub async fn thumbnail(
    tools: &Tools,
    source: &Path,
    facts: &SourceFacts,
    at_us: Option<i64>,
    width: u32,
    out: &Path,
    limits: &Limits,
) -> Result<bool> {
    let moving = facts.primary_video();
    let Some(stream) = moving.or_else(|| facts.of(StreamKind::Picture).next()) else { return Ok(false) };
    let length = moving.and(facts.duration_us).unwrap_or(0);
    let wanted = at_us.unwrap_or((length / 10).min(LATEST_US)).min(length);
    for at_us in [wanted, 0] {
        let args = thumbnail_args(source, stream.index, at_us, width, out);
        let call = tools.ffmpeg("making the thumbnail", args);
        process::run(&call, limits, |_| Heard::Progress).await?;
        if fs::metadata(out).is_ok_and(|m| m.len() > 0) {
            return Ok(true);
        }
    }
    Err(MediaError::source(format!("{}: no frame of the picture can be decoded", source.display())))
}
