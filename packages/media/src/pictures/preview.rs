//! An animated preview: a few seconds from several places of a video.

use std::path::Path;

use segue_domain::recipe::PreviewFormat;

use super::frames::{Picture, Wanted, decode, encode};
use crate::error::{MediaError, Result};
use crate::facts::SourceFacts;
use crate::process::Limits;
use crate::ranged::Source;
use crate::tools::Tools;

/// Frames per second.
const RATE: u32 = 10;
/// Number of places of a video that is longer than the preview.
const PLACES: i64 = 5;
/// Duration at each place, microseconds.
const STRETCH_US: i64 = 1_000_000;
/// Longest video that is shown as a whole, microseconds.
const WHOLE_US: i64 = 6_000_000;
/// Width in pixels.
const WIDTH: u32 = 320;

/// Stretches of the video: those of a video of this duration.
fn stretches(length_us: i64) -> Vec<Wanted> {
    let wanted = |at_us: i64, stretch_us: i64| Wanted {
        at_us,
        every_us: 1_000_000 / i64::from(RATE),
        count: (stretch_us * i64::from(RATE) / 1_000_000).max(1) as u64,
        width: Some(WIDTH),
    };
    if length_us <= WHOLE_US {
        return vec![wanted(0, length_us)];
    }
    (0..PLACES).map(|i| wanted(length_us / (2 * PLACES) * (2 * i + 1), STRETCH_US)).collect()
}

/// Writes the preview of the primary video to `out`; returns the number of its frames.
///
/// # Errors
/// A video of which no frame can be decoded.
pub async fn preview(
    tools: &Tools,
    source: impl Into<Source>,
    facts: &SourceFacts,
    format: PreviewFormat,
    out: &Path,
    limits: &Limits,
) -> Result<u64> {
    let source = source.into();
    let stream = facts.primary_video();
    let stream = stream.ok_or_else(|| MediaError::internal("a preview of a source without video"))?;
    let mut pictures: Vec<Picture> = Vec::new();
    for wanted in stretches(facts.duration_us.unwrap_or(0)) {
        let found = decode(tools, &source, facts, stream, &wanted, limits).await?;
        let size = pictures.first().or(found.first()).map(|first| (first.width, first.height));
        if let Some((width, height)) = size {
            pictures.extend(found.into_iter().map(|picture| picture.fitted(width, height)));
        }
    }
    if pictures.is_empty() {
        return Err(MediaError::source("no frame of the picture can be decoded"));
    }
    let options: &[&str] = match format {
        PreviewFormat::Webp => &["-c:v", "libwebp_anim", "-quality", "60", "-loop", "0", "-f", "webp"],
        PreviewFormat::Mp4 => &[
            "-vf",
            "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
            "-colorspace",
            "bt709",
            "-color_primaries",
            "bt709",
            "-color_trc",
            "bt709",
            "-c:v",
            "libx264",
            "-crf",
            "26",
            "-movflags",
            "+faststart",
            "-f",
            "mp4",
        ],
    };
    encode(tools, &pictures, RATE, options, out, limits).await?;
    Ok(pictures.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_video_is_shown_at_several_places_and_a_short_one_whole() {
        let long = stretches(3_600_000_000);
        let starts: Vec<i64> = long.iter().map(|w| w.at_us / 1_000_000).collect();
        assert_eq!(starts, [360, 1080, 1800, 2520, 3240]);
        assert_eq!(long.iter().map(|w| w.count).sum::<u64>(), 50);
        let short = stretches(4_200_000);
        assert_eq!((short.len(), short[0].at_us, short[0].count), (1, 0, 42));
        assert_eq!(stretches(0)[0].count, 1);
        // stretches do not overlap
        let just = stretches(6_000_001);
        assert!(just.windows(2).all(|pair| pair[0].at_us + STRETCH_US <= pair[1].at_us), "{just:?}");
    }
}
