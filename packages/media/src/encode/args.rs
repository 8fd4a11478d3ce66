//! The arguments of one encode, as a pure function.

use std::ffi::OsString;
use std::path::Path;

use segue_domain::recipe::EncodeRecipe;

use super::encoder::{PictureEncoder, settings};
use super::grid::NominalRate;
use crate::bounds::{self, Demuxers};
use crate::facts::StreamFacts;

/// A longer list of keyframes is truncated: one argument may have at most 128 KiB. The
/// encoder's own interval places the rest.
const KEYFRAME_LIST_BYTES: usize = 100 << 10;

/// All inputs of the argument list.
#[derive(Debug, Clone)]
pub struct EncodeArgs<'a> {
    /// Input of ffmpeg, as a URL.
    pub input: OsString,
    /// Options that name the codec of the input, if its header does not.
    pub decoder: Vec<OsString>,
    /// Output of ffmpeg.
    pub out: &'a Path,
    /// Facts of the video stream.
    pub stream: &'a StreamFacts,
    /// The encode settings.
    pub recipe: &'a EncodeRecipe,
    /// The encoder.
    pub encoder: PictureEncoder,
    /// Frame rate of the whole video.
    pub rate: NominalRate,
    /// Timescale of the input, ticks per second.
    pub timescale: u32,
    /// First owned tick of the input.
    pub start: i64,
    /// First tick after the owned range.
    pub end: i64,
    /// Forced keyframes: the next frame after each of these times, in half ticks.
    pub keyframes: &'a [i64],
    /// Threads.
    pub threads: u32,
}

/// The arguments that encode the frames `[start, end)` of the input.
pub fn encode_args(with: &EncodeArgs<'_>) -> Vec<OsString> {
    let threads = with.threads.max(1).to_string();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"]);
    // a decoder that starts at a recovery point withholds its first frames; frames that
    // may be damaged are before the owned ones, and are cut off by their ticks
    args.extend(words(&["-copyts", "-noautorotate", "-flags:v", "+output_corrupt", "-threads", &threads]));
    args.extend(with.decoder.iter().cloned());
    args.extend(bounds::input("file,concat", Demuxers::Only("mov"), with.input.clone()));
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
    // no dates, encoder names or bit rates: the same part has the same bytes
    args.extend(words(&["-fflags", "+bitexact", "-flags:v", "+bitexact", "-write_btrt", "0"]));
    args.extend(words(&["-video_track_timescale", &with.timescale.to_string(), "-f", "mp4"]));
    args.push(with.out.into());
    args
}

fn words(all: &[&str]) -> Vec<OsString> {
    all.iter().map(OsString::from).collect()
}

/// Frames are selected by ticks; the size is set even if unchanged, so that a source whose
/// size changes midway yields parts of one size.
fn filters(with: &EncodeArgs<'_>) -> String {
    let mut chain = format!("settb=1/{},trim=start_pts={}:end_pts={}", with.timescale, with.start, with.end);
    if let Some((width, height)) = size(with.stream, with.recipe) {
        chain.push_str(&format!(",scale={width}:{height}:flags=bicubic"));
    }
    chain
}

/// Width and height of the result, before any rotation; `None` if those of the source are unknown.
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

/// Times in seconds with six decimals, rounded up: half a frame before the keyframe is early
/// enough, and half a tick must not be lost.
pub(crate) fn keyframe_times(halves: &[i64], timescale: u32) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::StreamKind;
    use segue_domain::Timebase;
    use segue_domain::recipe::VideoCodec;

    fn stream(width: u32, height: u32, rotation: Option<i32>, format: &str) -> StreamFacts {
        StreamFacts {
            index: 0,
            track_id: Some(1),
            kind: StreamKind::Video,
            codec: Some("h264".into()),
            profile: None,
            tag: "avc1".into(),
            timebase: Timebase { num: 1, den: 30_000 },
            start: Some(0),
            duration_us: None,
            frames: None,
            dispositions: Vec::new(),
            language: None,
            rotation,
            pixel_format: Some(format.into()),
            field_order: None,
            transfer: None,
            pixel_aspect: None,
            width,
            height,
            frame_rate: None,
            sample_rate: 0,
            channels: 0,
            tags: std::collections::BTreeMap::new(),
        }
    }

    fn line(recipe: &EncodeRecipe, encoder: PictureEncoder) -> String {
        let args = encode_args(&EncodeArgs {
            input: "concat:file:h|file:s".into(),
            decoder: Vec::new(),
            out: Path::new("o.mp4"),
            stream: &stream(1920, 1080, None, "yuv420p"),
            recipe,
            encoder,
            rate: NominalRate { num: 30_000, den: 1001 },
            timescale: 30_000,
            start: 1001,
            end: 61_061,
            keyframes: &[2 * 31_031 - 1001],
            threads: 2,
        });
        args.into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_line_for_h264() {
        let expected = "-v error -nostdin -y -nostats -progress pipe:1 -copyts -noautorotate \
            -flags:v +output_corrupt -threads 2 -max_pixels 36000000 \
            -protocol_whitelist file,concat -format_whitelist mov -f mov -i concat:file:h|file:s \
            -map 0:v:0 -map_metadata -1 -map_chapters -1 \
            -vf settb=1/30000,trim=start_pts=1001:end_pts=61061,scale=1280:720:flags=bicubic \
            -fps_mode passthrough -enc_time_base 1:30000 -pix_fmt yuv420p -c:v libx264 -g 149 -crf 20 \
            -preset slow -forced-idr 1 -x264-params fps=30000/1001:open-gop=0:stitchable=1:zones=0,0,b=1.4 \
            -threads 2 -tune film -force_key_frames 1.017684 -fflags +bitexact -flags:v +bitexact \
            -write_btrt 0 -video_track_timescale 30000 -f mp4 o.mp4";
        let recipe = EncodeRecipe {
            crf: Some(20),
            preset: Some("slow".into()),
            tune: Some("film".into()),
            pixel_format: Some("yuv420p".into()),
            max_height: Some(720),
            ..EncodeRecipe::default()
        };
        assert_eq!(line(&recipe, PictureEncoder::X264), expected);
    }

    #[test]
    fn every_encoder_is_given_the_quality_and_closed_groups() {
        let recipe = |codec| EncodeRecipe { codec, ..EncodeRecipe::default() };
        let hevc = line(&recipe(VideoCodec::Hevc), PictureEncoder::X265);
        let svt = line(&recipe(VideoCodec::Av1), PictureEncoder::SvtAv1);
        let aom = line(&recipe(VideoCodec::Av1), PictureEncoder::Aom);
        assert!(hevc.contains("-crf 28 -preset medium") && hevc.contains("open-gop=0"), "{hevc}");
        assert!(svt.contains("-crf 35 -preset 8") && svt.contains("irefresh-type=2"), "{svt}");
        assert!(aom.contains("-crf 35 -b:v 0 -cpu-used 8"), "{aom}");
    }

    #[test]
    fn sizes_are_even_and_never_grow() {
        let of = |w, h, turn, format: &str, most| {
            size(&stream(w, h, turn, format), &EncodeRecipe { max_height: most, ..EncodeRecipe::default() })
        };
        assert_eq!(of(1920, 1080, None, "yuv420p", Some(720)), Some((1280, 720)));
        assert_eq!(of(640, 360, None, "yuv420p", Some(720)), Some((640, 360)));
        assert_eq!(of(853, 481, None, "yuv420p", None), Some((852, 480)));
        assert_eq!(of(853, 481, None, "yuv444p", None), Some((853, 481)));
        // with a rotation by a quarter turn, the setting's width is the displayed height
        assert_eq!(of(1920, 1080, Some(-90), "yuv420p", Some(960)), Some((960, 540)));
        assert_eq!(of(0, 0, None, "yuv420p", Some(720)), None);
    }

    #[test]
    fn half_a_tick_before_a_keyframe_is_not_lost() {
        // one tick per frame: 4.5 ticks of 1/25 s
        assert_eq!(keyframe_times(&[9], 25), "0.180000");
        assert_eq!(keyframe_times(&[9, 19], 30), "0.150000,0.316667");
        let many: Vec<i64> = (0..20_000).collect();
        assert!(keyframe_times(&many, 1).len() <= KEYFRAME_LIST_BYTES);
    }
}
