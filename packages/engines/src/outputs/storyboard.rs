//! The output `storyboard`: pictures at an interval on sheets, with a WebVTT index.

use std::path::{Path, PathBuf};

use segue_domain::recipe::{PreviewFormat, StoryboardRecipe};
use segue_domain::{FileKind, TaskKind, Timebase};
use segue_media::pictures::{Board, BoardPart, single_files, write_sheets};
use segue_ports::{AssembleRequest, AssembledFile, EngineError};
use serde::{Deserialize, Serialize};

use super::{OutputRequest, Tasks, public_name, segments_in_time, task};
use crate::context::EngineContext;
use crate::media_plan::{MediaPlan, internal};
use crate::{errors, files, work};

/// Name of a part's pictures.
pub const TILES_FILE: &str = "pictures.ppm";

/// Name of a part's single picture files, one after the other.
pub const SINGLES_FILE: &str = "pictures.mjpg";

/// Name of the index.
const INDEX_FILE: &str = "storyboard.vtt";

/// Folder of the single pictures.
const SINGLES_FOLDER: &str = "storyboard";

/// Maximum number of pictures of a task, which holds them in memory.
const PICTURES_OF_A_TASK: i64 = 100;

/// The certificate of a storyboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryboardProof {
    /// Time between two pictures, milliseconds.
    pub interval_ms: u64,
    /// Pictures in the index; they cover the whole duration.
    pub pictures: u64,
    /// Pictures that were decoded; the others repeat the one before, as the video ends earlier.
    pub decoded: u64,
    /// Number of sheets.
    pub sheets: u32,
    /// Width and height of a picture on a sheet, pixels.
    pub size: [u32; 2],
}

/// Name of the preview.
pub fn preview_name(format: PreviewFormat) -> String {
    format!("preview.{}", format.as_str())
}

/// Plans one task for each segment, and one for the preview; a source without video gets none.
///
/// # Errors
/// An interval that makes more pictures than the limit.
pub fn plan(request: &OutputRequest<'_>, recipe: &StoryboardRecipe) -> Result<Tasks, EngineError> {
    let facts = request.facts;
    if facts.primary_video().is_none() {
        return Ok(Tasks::none(request, "no storyboard: the source has no moving picture"));
    }
    let board = Board::of(facts, recipe).map_err(errors::media)?;
    let segment_us = request.segment_us.min(board.interval_us.saturating_mul(PICTURES_OF_A_TASK));
    let segments = segments_in_time(facts, segment_us)?;
    let mut tasks = Vec::new();
    if recipe.preview.is_some() {
        tasks.push(task(TaskKind::Preview, None, work::PREVIEW_MS));
    }
    tasks.extend(segments.iter().filter_map(|segment| {
        let pictures = board
            .pictures_in(segment.range.start - facts.start_time_us, segment.range.end - facts.start_time_us);
        let count = pictures.end - pictures.start;
        (count > 0).then(|| task(TaskKind::Storyboard, Some(segment.index), work::storyboard_ms(count)))
    }));
    Ok(Tasks {
        media: MediaPlan::new(facts.clone(), None, None),
        timebase: Timebase::MICROS,
        segments,
        tasks,
        files: Vec::new(),
        reason: None,
    })
}

/// The sheets, the index and what else the recipe asks for, with the certificate.
///
/// # Errors
/// Parts that do not cover the duration.
pub async fn assemble(
    context: &EngineContext,
    request: &AssembleRequest,
    notes: &MediaPlan,
) -> Result<(Vec<AssembledFile>, StoryboardProof), EngineError> {
    let recipe = request.plan.spec.storyboard();
    let recipe = recipe.ok_or_else(|| internal("a storyboard of something that is none"))?;
    let board = Board::of(&notes.facts, recipe).map_err(errors::media)?;
    let parts = parts(request)?;
    let tiles: Vec<(BoardPart, PathBuf)> =
        parts.iter().map(|part| (part.record.clone(), part.tiles.clone())).collect();
    let scratch = &request.run.scratch;
    let limits = context.limits(&request.run.cancel);
    let sheets = write_sheets(&context.tools, &board, recipe, &tiles, scratch, &limits).await;
    let sheets = sheets.map_err(errors::media)?;
    let mut published = Vec::new();
    let mut publish = |name: &str, path: &Path, kind: FileKind, media_type: &str, how: &str| {
        let name = public_name(&request.plan, name);
        published.push(files::finished(&name, path.to_owned(), kind, media_type, how)?);
        Ok::<(), EngineError>(())
    };
    for (name, path) in &sheets.files {
        publish(name, path, FileKind::Thumbnail, "image/jpeg", "pictures at an interval, row by row")?;
    }
    let index = scratch.join(INDEX_FILE);
    std::fs::write(&index, &sheets.index).map_err(|e| errors::io(index.display(), &e))?;
    let how = "the time and place of each picture on the sheets";
    publish(INDEX_FILE, &index, FileKind::Description, "text/vtt", how)?;
    if recipe.files {
        let folder = scratch.join(SINGLES_FOLDER);
        std::fs::create_dir_all(&folder).map_err(|e| errors::io(folder.display(), &e))?;
        for part in &parts {
            let singles = part.singles.as_ref().ok_or_else(|| internal("a part without its files"))?;
            for (name, path) in single_files(&part.record, singles, &folder).map_err(errors::media)? {
                let name = format!("{SINGLES_FOLDER}/{name}");
                publish(&name, &path, FileKind::Thumbnail, "image/jpeg", "the frame at this interval")?;
            }
        }
    }
    if let Some(format) = recipe.preview {
        let name = preview_name(format);
        let made = request.parts.iter().find_map(|part| part.files.get(&name));
        let path = made.ok_or_else(|| internal("the preview's task left no file"))?;
        let own = files::borrow(path, scratch.join(&name))?;
        let media_type = match format {
            PreviewFormat::Webp => "image/webp",
            PreviewFormat::Mp4 => "video/mp4",
        };
        publish(&name, &own, FileKind::Thumbnail, media_type, "a second each from several places")?;
    }
    let proof = StoryboardProof {
        interval_ms: (board.interval_us / 1000) as u64,
        pictures: board.count,
        decoded: sheets.decoded,
        sheets: sheets.files.len() as u32,
        size: [sheets.width, sheets.height],
    };
    Ok((published, proof))
}

struct Part {
    record: BoardPart,
    tiles: PathBuf,
    singles: Option<PathBuf>,
}

/// The parts in the order of their pictures.
fn parts(request: &AssembleRequest) -> Result<Vec<Part>, EngineError> {
    let mut parts = Vec::new();
    for part in request.parts.iter().filter(|part| part.task.kind == TaskKind::Storyboard) {
        let record: BoardPart = serde_json::from_value(part.facts.clone())
            .map_err(|e| internal(format!("the record of {} cannot be read: {e}", part.task.id)))?;
        let tiles = part.files.get(TILES_FILE).cloned();
        let tiles = tiles.ok_or_else(|| internal(format!("{} left no pictures", part.task.id)))?;
        parts.push(Part { record, tiles, singles: part.files.get(SINGLES_FILE).cloned() });
    }
    parts.sort_by_key(|part| part.record.first);
    Ok(parts)
}
