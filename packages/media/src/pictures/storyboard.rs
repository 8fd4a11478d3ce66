//! A storyboard: pictures at an interval, decoded segment by segment, packed into part files.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use segue_domain::recipe::{StillFormat, StoryboardRecipe};
use serde::{Deserialize, Serialize};

use super::frames::{MAX_BYTES, Picture, Wanted, bring, read_pictures, scale, selection};
use super::poster::{pixels, still};
use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts, StreamFacts};
use crate::process::{self, Limits};
use crate::ranged::Source;
use crate::tools::Tools;

/// Interval from which each picture is looked up by itself: up to a keyframe before it, less is
/// decoded than all that is between two pictures.
const SEEK_INTERVAL_US: i64 = 4_000_000;

/// Maximum size of a single picture's file, bytes.
const LONGEST: u64 = 64 << 20;

/// Times of a storyboard's pictures: picture `i` is shown from `i * interval_us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Time between two pictures, microseconds.
    pub interval_us: i64,
    /// Number of pictures.
    pub count: u64,
    /// Duration of the source, microseconds.
    pub length_us: i64,
}

impl Board {
    /// The pictures of a source with this duration.
    ///
    /// # Errors
    /// An interval that makes more pictures than the limit.
    pub fn of(facts: &SourceFacts, recipe: &StoryboardRecipe) -> Result<Board> {
        let length_us = facts.duration_us.unwrap_or(0).max(1);
        let length_ms = (length_us as u64).div_ceil(1000);
        let interval_ms = recipe.interval_ms(length_ms).map_err(|e| MediaError::source(e.to_string()))?;
        let interval_us = interval_ms as i64 * 1000;
        Ok(Board { interval_us, count: (length_us as u64).div_ceil(interval_us as u64), length_us })
    }

    /// The pictures whose times are in a range of the file, microseconds from its start.
    pub fn pictures_in(&self, from_us: i64, to_us: i64) -> std::ops::Range<u64> {
        let first_at = |us: i64| (us.max(0) as u64).div_ceil(self.interval_us as u64).min(self.count);
        first_at(from_us)..first_at(to_us)
    }
}

/// The pictures of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardPart {
    /// Number of the first picture.
    pub first: u64,
    /// Number of pictures; where frames were missing, the one before is repeated.
    pub count: u64,
    /// Sizes of the files in the file of single pictures, bytes, in order.
    pub singles: Vec<u64>,
}

/// Decodes the pictures of a segment: `tiles` gets them as PPMs, `singles` as JPEGs one after the
/// other, if the recipe asks for files.
///
/// # Errors
/// A stream that cannot be decoded.
#[expect(clippy::too_many_arguments, reason = "the whole context of one segment, each of its own type")]
pub async fn board_part(
    tools: &Tools,
    source: &Source,
    facts: &SourceFacts,
    recipe: &StoryboardRecipe,
    board: &Board,
    range: std::ops::Range<u64>,
    tiles: &Path,
    singles: &Path,
    limits: &Limits,
) -> Result<BoardPart> {
    let stream = facts.primary_video();
    let stream = stream.ok_or_else(|| MediaError::internal("a storyboard of a source without video"))?;
    let work = tiles.with_extension("work");
    let (mut tile_bytes, mut single_bytes) = (Vec::new(), Vec::new());
    let mut part = BoardPart { first: range.start, count: 0, singles: Vec::new() };
    for wanted in commands(facts, recipe, board, range.clone()) {
        fs::create_dir_all(&work).map_err(|e| MediaError::io(work.display(), &e))?;
        let decoding = Decoding { tools, source, facts, stream, recipe, work: &work, limits };
        let (tiles, files) = decoding.run(&wanted).await?;
        let mut last = None;
        for at in 0..wanted.count as usize {
            // after the last frame, that one stays
            let tile: Option<&Picture> = tiles.get(at).or(last);
            let Some(tile) = tile else { break };
            last = Some(tile);
            tile.write_ppm(&mut tile_bytes);
            part.count += 1;
            if recipe.files {
                let file = files.get(at.min(files.len().saturating_sub(1)));
                let file = file.ok_or_else(|| MediaError::internal("a picture has no file"))?;
                part.singles.push(file.len() as u64);
                single_bytes.extend_from_slice(file);
            }
        }
        fs::remove_dir_all(&work).map_err(|e| MediaError::io(work.display(), &e))?;
    }
    fs::write(tiles, tile_bytes).map_err(|e| MediaError::io(tiles.display(), &e))?;
    if recipe.files {
        fs::write(singles, single_bytes).map_err(|e| MediaError::io(singles.display(), &e))?;
    }
    Ok(part)
}

/// The calls of ffmpeg: one for each picture, or one for all where they are close together or
/// keyframes cannot be looked up.
fn commands(
    facts: &SourceFacts,
    recipe: &StoryboardRecipe,
    board: &Board,
    range: std::ops::Range<u64>,
) -> Vec<Wanted> {
    let is_sparse = board.interval_us >= SEEK_INTERVAL_US && facts.container != Container::Other;
    let wanted = |first: u64, count: u64| Wanted {
        at_us: first as i64 * board.interval_us,
        every_us: board.interval_us,
        count,
        width: Some(recipe.width),
    };
    match range.end.saturating_sub(range.start) {
        0 => Vec::new(),
        _ if is_sparse => range.map(|at| wanted(at, 1)).collect(),
        count => vec![wanted(range.start, count)],
    }
}

struct Decoding<'a> {
    tools: &'a Tools,
    source: &'a Source,
    facts: &'a SourceFacts,
    stream: &'a StreamFacts,
    recipe: &'a StoryboardRecipe,
    work: &'a Path,
    limits: &'a Limits,
}

impl Decoding<'_> {
    /// The pictures of one call, and the JPEGs of the same frames.
    async fn run(&self, wanted: &Wanted) -> Result<(Vec<Picture>, Vec<Vec<u8>>)> {
        bring(self.source, self.facts, self.stream, wanted).await?;
        let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
        let (mut args, filters) = selection(self.source.path(), self.facts, self.stream, wanted);
        let (map, count) = (format!("0:{}", self.stream.index), wanted.count.to_string());
        args.extend(words(&["-map", &map, "-frames:v", &count]));
        args.extend(words(&["-vf", &format!("{filters},{},format=rgb24", scale(wanted.width))]));
        args.extend(words(&["-f", "image2pipe", "-c:v", "ppm", "pipe:1"]));
        if self.recipe.files {
            let size = scale(Some(self.recipe.files_width));
            args.extend(words(&["-map", &map, "-frames:v", &count, "-map_metadata", "-1"]));
            args.extend(words(&["-vf", &format!("{filters},{size},{}", pixels(StillFormat::Jpg))]));
            args.extend(
                still(StillFormat::Jpg).iter().filter(|w| !["-update", "1"].contains(*w)).map(OsString::from),
            );
            args.push(self.work.join("%06d.jpg").into());
        }
        let call = self.tools.encoder("decoding pictures", args).reading(self.source.path());
        let call = if self.recipe.files { call.writing(self.work).with_file_size(LONGEST) } else { call };
        let bytes = process::output(&call, self.limits, MAX_BYTES).await?;
        Ok((read_pictures(&bytes)?, self.files()?))
    }

    fn files(&self) -> Result<Vec<Vec<u8>>> {
        let failed = |e: std::io::Error| MediaError::io(self.work.display(), &e);
        let entries = fs::read_dir(self.work).map_err(failed)?;
        let mut paths =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
        paths.sort();
        paths.iter().map(|path| fs::read(path).map_err(|e| MediaError::io(path.display(), &e))).collect()
    }
}

/// Writes the single pictures of a part into `folder`, named by their number; returns names and paths.
///
/// # Errors
/// A file of single pictures of another size than its part.
pub fn single_files(part: &BoardPart, singles: &Path, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let bytes = fs::read(singles).map_err(|e| MediaError::io(singles.display(), &e))?;
    let mut rest = &bytes[..];
    let mut made = Vec::new();
    for (at, size) in (part.first..).zip(&part.singles) {
        let (file, after) = usize::try_from(*size)
            .ok()
            .and_then(|size| rest.split_at_checked(size))
            .ok_or_else(|| MediaError::internal("single pictures of another size than their part"))?;
        rest = after;
        let name = single_name(at);
        let path = folder.join(&name);
        fs::write(&path, file).map_err(|e| MediaError::io(path.display(), &e))?;
        made.push((name, path));
    }
    Ok(made)
}

/// Name of the file of picture `number`.
fn single_name(number: u64) -> String {
    format!("{number:05}.jpg")
}
