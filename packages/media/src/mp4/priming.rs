//! Hides the priming of encoded audio that starts late, by an in-place edit of the file.
//!
//! An encoder's first samples (priming) are not from the source. ffmpeg's muxer hides them by the edit
//! list if the audio starts with the movie; if it starts later, the edit list only has an empty edit,
//! and the priming is audible before the audio starts. This module extends the empty edit by the priming and
//! starts the media after it: the audible samples keep their times.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::IndexError;
use super::boxes::{self, BoxAt};
use super::source::{ByteSource, CountedFile};

/// Hides the first `samples` samples of the audio track `track`, counted among all tracks of
/// the file, if the edit list delays it and hides nothing. Returns whether it did.
pub fn hide_priming(path: &Path, track: usize, samples: u32) -> Result<bool, IndexError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let src = CountedFile::new(file.try_clone()?)?;
    let Some(found) = EditList::find(&src, track)? else { return Ok(false) };
    found.hide(&file, samples)
}

/// An edit list of an empty edit and one edit.
struct EditList {
    /// Offset of the first edit.
    at: u64,
    /// Whether numbers have 64 bits.
    wide: bool,
    wait: u64,
    wait_is_empty: bool,
    length: u64,
    media_time: u64,
    movie_timescale: u32,
    timescale: u32,
}

impl EditList {
    fn find(src: &impl ByteSource, track: usize) -> Result<Option<EditList>, IndexError> {
        let missing = || IndexError::broken("no such track");
        let top = boxes::top(src)?;
        let moov = boxes::find(&top, b"moov").ok_or_else(missing)?;
        let inside = boxes::inside(src, moov)?;
        let mvhd = boxes::find(&inside, b"mvhd").ok_or_else(missing)?;
        let trak = inside.iter().filter(|b| &b.kind == b"trak").nth(track).ok_or_else(missing)?;
        let parts = boxes::inside(src, *trak)?;
        let mdia = boxes::find(&parts, b"mdia").ok_or_else(missing)?;
        let mdhd = boxes::find(&boxes::inside(src, mdia)?, b"mdhd").ok_or_else(missing)?;
        let Some(edts) = boxes::find(&parts, b"edts") else { return Ok(None) };
        let Some(elst) = boxes::find(&boxes::inside(src, edts)?, b"elst") else {
            return Ok(None);
        };
        let body = boxes::body(src, elst)?;
        let wide = body.first() == Some(&1);
        let (word, row) = if wide { (8, 20) } else { (4, 12) };
        if body.len() != 8 + 2 * row || boxes::be32(&body, 4) != 2 {
            return Ok(None);
        }
        let number =
            |at: usize| if wide { boxes::be64(&body, at) } else { u64::from(boxes::be32(&body, at)) };
        let nothing = if wide { u64::MAX } else { u64::from(u32::MAX) };
        Ok(Some(EditList {
            at: elst.body + 8,
            wide,
            wait: number(8),
            wait_is_empty: number(8 + word) == nothing,
            length: number(8 + row),
            media_time: number(8 + row + word),
            movie_timescale: clock(src, mvhd)?,
            timescale: clock(src, mdhd)?,
        }))
    }

    fn hide(&self, file: &File, samples: u32) -> Result<bool, IndexError> {
        if !self.wait_is_empty || self.media_time != 0 || self.timescale == 0 {
            return Ok(false);
        }
        let clock = |to: u32| u64::from(samples) * u64::from(to) / u64::from(self.timescale);
        let priming = clock(self.movie_timescale);
        if priming >= self.length {
            return Ok(false);
        }
        let (word, row) = if self.wide { (8, 20) } else { (4, 12) };
        self.put(file, self.at, self.wait + priming)?;
        self.put(file, self.at + row, self.length - priming)?;
        self.put(file, self.at + row + word, u64::from(samples))?;
        Ok(true)
    }

    fn put(&self, file: &File, at: u64, value: u64) -> Result<(), IndexError> {
        if self.wide {
            return Ok(file.write_all_at(&value.to_be_bytes(), at)?);
        }
        let value = u32::try_from(value).map_err(|_| IndexError::broken("an edit is too long"))?;
        Ok(file.write_all_at(&value.to_be_bytes(), at)?)
    }
}

/// Timescale in a movie's or a track's header.
fn clock(src: &impl ByteSource, header: BoxAt) -> Result<u32, IndexError> {
    let body = boxes::body(src, header)?;
    let at = if body.first() == Some(&1) { 20 } else { 12 };
    if body.len() < at + 4 {
        return Err(IndexError::broken("a header box is too short"));
    }
    Ok(boxes::be32(&body, at))
}
