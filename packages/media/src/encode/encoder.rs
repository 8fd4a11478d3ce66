//! Selects the encoder and translates the recipe's settings into its options.

use std::ffi::OsString;
use std::time::Duration;

use segue_domain::recipe::{EncodeRecipe, VideoCodec};
use serde::{Deserialize, Serialize};

use super::grid::NominalRate;
use crate::error::{MediaError, Result};
use crate::facts::StreamFacts;
use crate::process::{self, Limits};
use crate::tools::Tools;

/// An encoder of ffmpeg. All parts of a rendition use the same encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureEncoder {
    /// libx264.
    X264,
    /// libx265.
    X265,
    /// libsvtav1.
    SvtAv1,
    /// libaom-av1.
    Aom,
}

/// Minimum width and height of SVT-AV1.
const SVT_LEAST: u32 = 64;

impl PictureEncoder {
    /// ffmpeg's name of the encoder.
    pub fn name(self) -> &'static str {
        match self {
            PictureEncoder::X264 => "libx264",
            PictureEncoder::X265 => "libx265",
            PictureEncoder::SvtAv1 => "libsvtav1",
            PictureEncoder::Aom => "libaom-av1",
        }
    }

    /// ffmpeg's name of its codec.
    pub fn codec(self) -> &'static str {
        match self {
            PictureEncoder::X264 => "h264",
            PictureEncoder::X265 => "hevc",
            PictureEncoder::SvtAv1 | PictureEncoder::Aom => "av1",
        }
    }
}

/// Selects the encoder for a codec and a frame size, among those that this ffmpeg has.
pub async fn choose_encoder(
    tools: &Tools,
    codec: VideoCodec,
    stream: &StreamFacts,
) -> Result<PictureEncoder> {
    let call =
        tools.ffmpeg("listing the encoders of ffmpeg", vec!["-hide_banner".into(), "-encoders".into()]);
    let limits = Limits { time: Duration::from_secs(20), ..Limits::default() };
    let listing = process::output(&call, &limits, 1 << 20).await?;
    let listing = String::from_utf8_lossy(&listing);
    let has = |e: PictureEncoder| listing.lines().any(|l| l.split_whitespace().nth(1) == Some(e.name()));
    let small = stream.width < SVT_LEAST || stream.height < SVT_LEAST;
    let wanted: &[PictureEncoder] = match codec {
        VideoCodec::H264 => &[PictureEncoder::X264],
        VideoCodec::Hevc => &[PictureEncoder::X265],
        VideoCodec::Av1 if small => &[PictureEncoder::Aom],
        VideoCodec::Av1 => &[PictureEncoder::SvtAv1, PictureEncoder::Aom],
    };
    wanted.iter().copied().find(|e| has(*e)).ok_or_else(|| {
        let names: Vec<&str> = wanted.iter().map(|e| e.name()).collect();
        MediaError::environment(format!(
            "{} has no encoder {}; install an ffmpeg with it or name one with SEGUE_FFMPEG",
            tools.ffmpeg.display(),
            names.join(" or ")
        ))
        .retry(false)
    })
}

/// The encoder's options: the recipe's settings, closed GOPs, headers
/// that do not depend on the content, and a rate control that is equal for every part.
pub(crate) fn settings(
    encoder: PictureEncoder,
    recipe: &EncodeRecipe,
    rate: NominalRate,
    threads: u32,
) -> Vec<OsString> {
    let threads = threads.max(1);
    let group = rate.frames_in(recipe.keyframe_interval.micros()).to_string();
    let crf = |usual: u8| recipe.crf.unwrap_or(usual).to_string();
    let preset = |usual: &str| recipe.preset.clone().unwrap_or_else(|| usual.to_owned());
    let fps = format!("{}/{}", rate.num, rate.den);
    // with lookahead both give the very first frame less than any later keyframe,
    // by the ratio of I to P; a part's first frame is a later keyframe of the whole
    let grain = recipe.tune.as_ref().is_some_and(|t| t.contains("grain"));
    let first = format!("zones=0,0,b={}", if grain { "1.1" } else { "1.4" });
    let mut set: Vec<(&str, String)> = vec![("-c:v", encoder.name().into()), ("-g", group)];
    match encoder {
        PictureEncoder::X264 => {
            set.push(("-crf", crf(23)));
            set.push(("-preset", preset("medium")));
            set.push(("-forced-idr", "1".into()));
            set.push(("-x264-params", format!("fps={fps}:open-gop=0:stitchable=1:{first}")));
            set.push(("-threads", threads.to_string()));
        }
        PictureEncoder::X265 => {
            set.push(("-crf", crf(28)));
            set.push(("-preset", preset("medium")));
            set.push(("-forced-idr", "1".into()));
            // the thread pool is a separate setting, and without one the headers differ
            let pool = format!("pools={threads}:frame-threads={}", threads.div_ceil(4));
            let still = "open-gop=0:repeat-headers=0:info=0:log-level=error";
            set.push(("-x265-params", format!("fps={fps}:{still}:{first}:{pool}")));
            set.push(("-tag:v", "hvc1".into()));
        }
        PictureEncoder::SvtAv1 => {
            set.push(("-crf", crf(35)));
            set.push(("-preset", preset("8")));
            let tune = recipe.tune.as_ref().map(|t| format!(":tune={t}")).unwrap_or_default();
            let rate = format!("fps-num={}:fps-denom={}", rate.num, rate.den);
            set.push((
                "-svtav1-params",
                format!("{rate}:lp={threads}:irefresh-type=2:enable-force-key-frames=1{tune}"),
            ));
        }
        PictureEncoder::Aom => {
            set.push(("-crf", crf(35)));
            set.push(("-b:v", "0".into()));
            set.push(("-cpu-used", preset("8")));
            set.push(("-row-mt", "1".into()));
            set.push(("-threads", threads.to_string()));
        }
    }
    if let Some(tune) = recipe.tune.as_ref().filter(|_| encoder != PictureEncoder::SvtAv1) {
        set.push(("-tune", tune.clone()));
    }
    set.into_iter().flat_map(|(key, value)| [OsString::from(key), value.into()]).collect()
}
