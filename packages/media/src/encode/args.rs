//! The arguments of one encode, as a pure function.

use std::ffi::OsString;
use std::path::Path;

use segue_domain::recipe::EncodeRecipe;

use super::encoder::{PictureEncoder, settings};
use super::grid::NominalRate;
use crate::facts::StreamFacts;

/// A list of keyframes longer than this is cut off: one argument may be 128 KiB long. The
/// encoder's own interval does the rest.
const KEYFRAME_LIST_BYTES: usize = 100 << 10;

/// Everything that the arguments depend on.
#[derive(Debug, Clone)]
pub struct EncodeArgs<'a> {
    /// What ffmpeg reads, as a URL.
    pub input: OsString,
    /// What it writes.
    pub out: &'a Path,
    /// The facts of the picture.
    pub stream: &'a StreamFacts,
    /// The settings.
    pub recipe: &'a EncodeRecipe,
    /// The encoder.
    pub encoder: PictureEncoder,
    /// Frames a second of the whole picture.
    pub rate: NominalRate,
    /// Ticks a second of the input.
    pub timescale: u32,
    /// First tick of the input that is kept.
    pub start: i64,
    /// First tick that is not kept any more.
    pub end: i64,
    /// Twice the ticks after which the next frame is to be a keyframe.
    pub keyframes: &'a [i64],
    /// Threads.
    pub threads: u32,
}

/// The arguments that encode the frames `[start, end)` of the input.
pub fn encode_args(with: &EncodeArgs<'_>) -> Vec<OsString> {
    let threads = with.threads.max(1).to_string();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"]);
    args.extend(words(&["-copyts", "-noautorotate", "-threads", &threads]));
    args.extend(words(&["-protocol_whitelist", "file,concat", "-f", "mov", "-i"]));
    args.push(with.input.clone());
    args.extend(words(&["-map", "0:v:0", "-map_metadata", "-1", "-map_chapters", "-1", "-vf"]));
    args.push(filters(with).into());
    let clock = format!("1:{}", with.timescale);
    args.extend(words(&["-fps_mode", "passthrough", "-enc_time_base", &clock]));
    if let Some(format) = &with.recipe.pixel_format {
        args.extend(words(&["-pix_fmt", format]));
    }
    args.extend(settings(with.encoder, with.recipe, with.rate, with.threads));
    if !with.keyframes.is_empty() {
        args.extend(words(&["-force_key_frames", &keyframe_times(with.keyframes, with.timescale)]));
    }
    // no dates, no names of encoders and no bit rates: the same part is the same bytes
    args.extend(words(&["-fflags", "+bitexact", "-flags:v", "+bitexact", "-write_btrt", "0"]));
    args.extend(words(&["-video_track_timescale", &with.timescale.to_string(), "-f", "mp4"]));
    args.push(with.out.into());
    args
}

fn words(all: &[&str]) -> Vec<OsString> {
    all.iter().map(OsString::from).collect()
}

/// Frames are chosen by ticks; a size is named even where it stays, so that a source that
/// changes its own half way gives parts that fit together.
fn filters(with: &EncodeArgs<'_>) -> String {
    let mut chain = format!("settb=1/{},trim=start_pts={}:end_pts={}", with.timescale, with.start, with.end);
    if let Some((width, height)) = size(with.stream, with.recipe) {
        chain.push_str(&format!(",scale={width}:{height}:flags=bicubic"));
    }
    chain
}

/// Width and height of the result, before any rotation; `None` where the source's are unknown.
pub(super) fn size(stream: &StreamFacts, recipe: &EncodeRecipe) -> Option<(u32, u32)> {
    let (width, height) = (stream.width, stream.height);
    if width == 0 || height == 0 {
        return None;
    }
    let turned = stream.rotation.is_some_and(|r| r.rem_euclid(180) == 90);
    let shown = if turned { width } else { height };
    let most = recipe.max_height.unwrap_or(u32::MAX).min(shown);
    let part = |n: u32| (u64::from(n) * u64::from(most) * 2 / u64::from(shown)).div_ceil(2) as u32;
    let format = recipe.pixel_format.as_deref().or(stream.pixel_format.as_deref()).unwrap_or_default();
    let any = ["444", "gbr", "rgb", "bgr"].iter().any(|f| format.contains(f));
    let even = |n: u32| if any { n.max(1) } else { (n & !1).max(2) };
    Some((even(part(width)), even(part(height))))
}

/// Times in seconds with six places, rounded up: half a frame before the keyframe is early
/// enough, and half a tick may not be lost.
fn keyframe_times(halves: &[i64], timescale: u32) -> String {
    let mut list = String::new();
    for twice in halves {
        let per = i128::from(timescale) * 2;
        let us = (i128::from(*twice) * 1_000_000 + per - 1).div_euclid(per).max(0);
        let item = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
        if list.len() + item.len() + 1 > KEYFRAME_LIST_BYTES {
            break;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&item);
    }
    list
}
