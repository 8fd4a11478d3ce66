//! The poster: one frame in full size that is sharp and shows something, with a BlurHash.

use std::ffi::OsString;
use std::path::Path;

use segue_domain::recipe::{PosterRecipe, StillFormat};
use serde::{Deserialize, Serialize};

use super::frames::{MAX_BYTES, Picture, Wanted, bring, decode, read_pictures, scale, selection};
use super::sharpness::Look;
use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamFacts, StreamKind};
use crate::process::{self, Limits};
use crate::ranged::Source;
use crate::tools::Tools;

/// Number of frames that are compared.
const CANDIDATES: i64 = 12;
/// Width in which they are compared.
const COMPARED_WIDTH: u32 = 320;
/// Width of the picture that is hashed, which is more than a BlurHash shows.
const HASHED_WIDTH: u32 = 64;
/// Components of the BlurHash along the longer side, and the shorter.
const COMPONENTS: (u32, u32) = (4, 3);
/// Maximum size of a poster, bytes.
const LONGEST: u64 = 256 << 20;

/// What is known of a poster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Poster {
    /// Position of the frame, microseconds after the start of the file.
    pub at_us: i64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The BlurHash of the frame.
    pub blurhash: String,
    /// Variance of the Laplacian of its luma, [`COMPARED_WIDTH`] wide.
    pub sharpness: f64,
    /// Whether the frame is neither black, white nor blank.
    pub shows_something: bool,
    /// Number of frames that were compared.
    pub candidates: u32,
    /// Names of the files.
    pub files: Vec<String>,
}

/// Chooses a frame and writes `poster.jpg` and `poster.webp` into `folder`, as the recipe asks; a
/// source with a cover and no video gives its cover. `None` for a source without pictures.
///
/// # Errors
/// A stream of which no frame can be decoded.
pub async fn poster(
    tools: &Tools,
    source: impl Into<Source>,
    facts: &SourceFacts,
    recipe: &PosterRecipe,
    folder: &Path,
    limits: &Limits,
) -> Result<Option<Poster>> {
    let source = source.into();
    let moving = facts.primary_video();
    let Some(stream) = moving.or_else(|| facts.of(StreamKind::Picture).next()) else { return Ok(None) };
    let choosing = Choosing { tools, source: &source, facts, stream, limits };
    let length_us = moving.and(facts.duration_us).unwrap_or(0).max(0);
    let times: Vec<i64> = match recipe.at {
        Some(at) => vec![at.micros().min(length_us)],
        // neither titles at the very start nor credits at the very end
        None => (0..CANDIDATES).map(|i| length_us / 100 * (4 + i * 92 / (CANDIDATES - 1))).collect(),
    };
    let Some((at_us, look, candidates)) = choosing.best(times).await? else {
        return Err(MediaError::source(format!(
            "{}: no frame of the picture can be decoded",
            source.path().display()
        )));
    };
    let small = choosing.frame(at_us, Some(HASHED_WIDTH)).await?;
    let small = small.ok_or_else(|| MediaError::internal("a frame was decoded once and not again"))?;
    let (written, files) = choosing.write(at_us, recipe, folder).await?;
    Ok(Some(Poster {
        at_us,
        width: written.width,
        height: written.height,
        blurhash: blurhash_of(&small)?,
        sharpness: (look.sharpness * 10.0).round() / 10.0,
        shows_something: look.is_shown(),
        candidates,
        files,
    }))
}

struct Choosing<'a> {
    tools: &'a Tools,
    source: &'a Source,
    facts: &'a SourceFacts,
    stream: &'a StreamFacts,
    limits: &'a Limits,
}

impl Choosing<'_> {
    /// The frame that is shown at a time; `None` where there is none.
    async fn frame(&self, at_us: i64, width: Option<u32>) -> Result<Option<Picture>> {
        let wanted = Wanted::one(at_us, width);
        let found = decode(self.tools, self.source, self.facts, self.stream, &wanted, self.limits).await?;
        Ok(found.into_iter().next())
    }

    /// The best of the frames at these times, and the number of frames; the first frame where there is
    /// none at any of them.
    async fn best(&self, mut times: Vec<i64>) -> Result<Option<(i64, Look, u32)>> {
        times.dedup();
        let mut looks: Vec<(i64, Look)> = Vec::new();
        for at_us in times {
            // damage at one position is no reason to fail
            match self.frame(at_us, Some(COMPARED_WIDTH)).await {
                Ok(found) => looks.extend(found.map(|picture| (at_us, Look::of(&picture)))),
                Err(e) if e.kind() == crate::MediaErrorKind::Source => {}
                Err(e) => return Err(e),
            }
        }
        if looks.is_empty() {
            let first = self.frame(0, Some(COMPARED_WIDTH)).await?;
            looks.extend(first.map(|picture| (0, Look::of(&picture))));
        }
        let count = looks.len() as u32;
        let ranked = |a: &Look, b: &Look| {
            let (a, b) = (a.rank(), b.rank());
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        // of equal frames the first
        let best = looks.into_iter().rev().max_by(|a, b| ranked(&a.1, &b.1));
        Ok(best.map(|(at_us, look)| (at_us, look, count)))
    }

    /// Writes the frame in full size; returns it, and the names of the files.
    async fn write(
        &self,
        at_us: i64,
        recipe: &PosterRecipe,
        folder: &Path,
    ) -> Result<(Picture, Vec<String>)> {
        let wanted = Wanted::one(at_us, recipe.width);
        bring(self.source, self.facts, self.stream, &wanted).await?;
        let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
        let (mut args, filters) = selection(self.source.path(), self.facts, self.stream, &wanted);
        let map = format!("0:{}", self.stream.index);
        let size = scale(recipe.width);
        args.extend(words(&["-map", &map, "-vf", &format!("{filters},{size},format=rgb24")]));
        args.extend(words(&["-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]));
        let mut names = Vec::new();
        for format in &recipe.formats {
            let name = format!("poster.{}", format.as_str());
            args.extend(words(&["-map", &map, "-vf"]));
            args.push(format!("{filters},{size},{}", pixels(*format)).into());
            args.extend(words(&["-frames:v", "1", "-map_metadata", "-1", "-an"]));
            args.extend(words(still(*format)));
            args.push(folder.join(&name).into());
            names.push(name);
        }
        let call = self.tools.encoder("making the poster", args);
        let call = call.reading(self.source.path()).writing(folder).with_file_size(LONGEST);
        let bytes = process::output(&call, self.limits, MAX_BYTES).await?;
        let frame = read_pictures(&bytes)?.into_iter().next();
        let frame = frame.ok_or_else(|| MediaError::internal("a frame was decoded once and not again"))?;
        for name in &names {
            if std::fs::metadata(folder.join(name)).map_or(0, |m| m.len()) == 0 {
                return Err(MediaError::internal(format!("{name} was not written")));
            }
        }
        Ok((frame, names))
    }
}

/// The pixel format of a still picture; JPEG has the colours of BT.601 and full range.
pub(super) fn pixels(format: StillFormat) -> &'static str {
    match format {
        StillFormat::Jpg => "format=rgb24,scale=out_color_matrix=bt601:out_range=pc,format=yuvj420p",
        StillFormat::Webp => "format=rgb24",
    }
}

/// Encoder and muxer of a still picture.
pub(super) fn still(format: StillFormat) -> &'static [&'static str] {
    match format {
        StillFormat::Jpg => {
            &["-strict", "unofficial", "-c:v", "mjpeg", "-q:v", "3", "-update", "1", "-f", "image2"]
        }
        StillFormat::Webp => &["-c:v", "libwebp", "-quality", "85", "-update", "1", "-f", "image2"],
    }
}

fn blurhash_of(picture: &Picture) -> Result<String> {
    let (long, short) = COMPONENTS;
    let (x, y) = if picture.width >= picture.height { (long, short) } else { (short, long) };
    let rgba: Vec<u8> = picture.rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    blurhash::encode(x, y, picture.width, picture.height, &rgba)
        .map_err(|e| MediaError::internal(format!("the BlurHash of a poster: {e}")))
}
