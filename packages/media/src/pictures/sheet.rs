//! Sheets of a storyboard's pictures, and the WebVTT index of where each picture is.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use segue_domain::recipe::{StillFormat, StoryboardRecipe};

use super::frames::{Picture, encode, read_pictures};
use super::poster::{pixels, still};
use super::storyboard::{Board, BoardPart};
use crate::error::{MediaError, Result};
use crate::process::Limits;
use crate::tools::Tools;

/// The sheets of a storyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheets {
    /// Names and paths of the sheets, in order.
    pub files: Vec<(String, PathBuf)>,
    /// Width of a picture on them, pixels.
    pub width: u32,
    /// Height of a picture.
    pub height: u32,
    /// Pictures that were decoded; the others repeat the one before.
    pub decoded: u64,
    /// The index as WebVTT.
    pub index: String,
}

/// Writes the sheets into `folder` from the parts, each with the path of its pictures. Where a part has
/// no picture, the one before is repeated.
///
/// # Errors
/// Parts that are out of order, or without any picture.
pub async fn write_sheets(
    tools: &Tools,
    board: &Board,
    recipe: &StoryboardRecipe,
    parts: &[(BoardPart, PathBuf)],
    folder: &Path,
    limits: &Limits,
) -> Result<Sheets> {
    let first = parts.iter().find(|(part, _)| part.count > 0);
    let (_, path) = first.ok_or_else(|| MediaError::source("no frame of the picture can be decoded"))?;
    let mut last = pictures_of(path)?.into_iter().next();
    let size = last.as_ref().map(|picture| (picture.width, picture.height));
    let (width, height) = size.ok_or_else(|| MediaError::internal("a part without its pictures"))?;
    let mut sheets = Sheets { files: Vec::new(), width, height, decoded: 0, index: String::new() };
    let per_sheet = u64::from(recipe.columns * recipe.rows);
    let mut sheet = Vec::new();
    let mut next = 0;
    for (at, (part, path)) in parts.iter().enumerate() {
        // a part owns the pictures up to the next part's first
        let end = parts.get(at + 1).map_or(board.count, |(next, _)| next.first);
        if part.first != next || part.count > end.saturating_sub(next) {
            return Err(MediaError::internal(format!("the part of picture {} is out of order", part.first)));
        }
        sheets.decoded += part.count;
        let mut found = pictures_of(path)?.into_iter();
        for number in next..end {
            last = found.next().map(|picture| picture.fitted(width, height)).or(last);
            sheet.extend(last.clone());
            if sheet.len() as u64 == per_sheet || number + 1 == board.count {
                let name = sheet_name(sheets.files.len());
                let path = folder.join(&name);
                let whole = compose(&sheet, recipe.columns);
                let filter = pixels(StillFormat::Jpg);
                let options = [&["-vf", filter], still(StillFormat::Jpg)].concat();
                encode(tools, &[whole], 1, &options, &path, limits).await?;
                sheets.files.push((name, path));
                sheet.clear();
            }
        }
        next = end;
    }
    sheets.index = index(board, recipe, width, height);
    Ok(sheets)
}

fn pictures_of(path: &Path) -> Result<Vec<Picture>> {
    let bytes = fs::read(path).map_err(|e| MediaError::io(path.display(), &e))?;
    read_pictures(&bytes)
}

/// Pictures of one size, row by row on one sheet that is no larger than they need.
fn compose(pictures: &[Picture], columns: u32) -> Picture {
    let (width, height) = pictures.first().map_or((1, 1), |first| (first.width, first.height));
    let count = pictures.len() as u32;
    let mut sheet = Picture::black(width * count.min(columns), height * count.div_ceil(columns));
    for (number, picture) in (0..).zip(pictures) {
        sheet.paste(picture, number % columns * width, number / columns * height);
    }
    sheet
}

fn sheet_name(number: usize) -> String {
    format!("storyboard-{number:03}.jpg")
}

/// The index: one cue for each picture, with the file and the rectangle as a media fragment.
fn index(board: &Board, recipe: &StoryboardRecipe, width: u32, height: u32) -> String {
    let mut text = String::from("WEBVTT\n");
    let per_sheet = u64::from(recipe.columns * recipe.rows);
    for number in 0..board.count {
        let start_ms = number as i64 * board.interval_us / 1000;
        let end_us = ((number as i64 + 1) * board.interval_us).min(board.length_us);
        let end_ms = (end_us as u64).div_ceil(1000) as i64;
        let name = sheet_name((number / per_sheet) as usize);
        let on_sheet = (number % per_sheet) as u32;
        let (x, y) = (on_sheet % recipe.columns * width, on_sheet / recipe.columns * height);
        let (start, end) = (clock(start_ms), clock(end_ms));
        let _ = write!(text, "\n{start} --> {end}\n{name}#xywh={x},{y},{width},{height}\n");
    }
    text
}

fn clock(ms: i64) -> String {
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_names_the_place_of_each_picture() {
        let board = Board { interval_us: 10_000_000, count: 5, length_us: 42_500_400 };
        let recipe = StoryboardRecipe { columns: 2, rows: 2, ..StoryboardRecipe::default() };
        let text = index(&board, &recipe, 160, 90);
        assert_eq!(
            text,
            "WEBVTT\n\n00:00:00.000 --> 00:00:10.000\nstoryboard-000.jpg#xywh=0,0,160,90\n\
             \n00:00:10.000 --> 00:00:20.000\nstoryboard-000.jpg#xywh=160,0,160,90\n\
             \n00:00:20.000 --> 00:00:30.000\nstoryboard-000.jpg#xywh=0,90,160,90\n\
             \n00:00:30.000 --> 00:00:40.000\nstoryboard-000.jpg#xywh=160,90,160,90\n\
             \n00:00:40.000 --> 00:00:42.501\nstoryboard-001.jpg#xywh=0,0,160,90\n"
        );
    }

    #[test]
    fn a_sheet_is_as_large_as_its_pictures_need() {
        let of = |gray: u8| Picture { width: 2, height: 1, rgb: vec![gray; 6] };
        let one = compose(&[of(1)], 3);
        assert_eq!((one.width, one.height), (2, 1));
        let sheet = compose(&[of(1), of(2), of(3), of(4)], 3);
        assert_eq!((sheet.width, sheet.height), (6, 2));
        let grays: Vec<u8> = sheet.rgb.chunks(3).map(|p| p[0]).collect();
        assert_eq!(grays, [1, 1, 2, 2, 3, 3, 4, 4, 0, 0, 0, 0]);
    }
}
