//! Reads the index of a file's tracks: box headers and tables only.

use super::IndexError;
use super::boxes::{self, BoxAt, Table, be32};
use super::edits::Edit;
use super::parse::{Brand, Index, Lost, Track};
use super::source::ByteSource;
use super::tables;

/// Maximum number of boxes at top level.
const MAX_TOP_LEVEL: usize = 1 << 20;

/// Which track to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackChoice {
    /// The track with this id.
    Id(u32),
    /// The first video track.
    FirstVideo,
    /// The first track of any kind.
    Any,
}

/// The relevant boxes at top level.
struct TopLevel {
    brand: Brand,
    moov: Option<BoxAt>,
    mdat: bool,
    fragments: bool,
    /// Number of bytes that the boxes extend beyond the end of the file.
    short_by: u64,
}

/// The dialect of a file.
pub fn brand(src: &impl ByteSource) -> Result<Brand, IndexError> {
    Ok(top_level(src)?.brand)
}

/// Number of bytes by which a file is short, by the boxes at its top level.
pub fn short_by(src: &impl ByteSource) -> Result<u64, IndexError> {
    Ok(top_level(src)?.short_by)
}

/// Whether a file starts like a MOV or MP4.
pub fn looks_like_mov(src: &impl ByteSource) -> bool {
    let first = boxes::header(src, 0, src.len()).ok().flatten();
    first.is_some_and(|b| [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"].contains(&&b.kind))
}

/// Reads the index of one track.
pub fn read_index(src: &impl ByteSource, choice: TrackChoice) -> Result<Index, IndexError> {
    let top = top_level(src)?;
    let (_, inside) = movie_box(src, &top)?;
    let movie_timescale = movie_clock(src, &inside)?;
    let mut track = None;
    for trak in inside.iter().filter(|b| &b.kind == b"trak") {
        if let Some(found) = read_track(src, *trak, choice)? {
            track = Some(found);
            break;
        }
    }
    let mut track = track.ok_or_else(|| IndexError::broken("the track is not there"))?;
    let lost = drop_lost(&mut track, src.len(), top.short_by);
    Ok(Index { brand: top.brand, movie_timescale, track, lost })
}

/// The index of a file with all tracks.
#[derive(Debug, Clone)]
pub struct Movie {
    /// The bytes of the moov box.
    pub index: std::ops::Range<u64>,
    /// Timescale of the movie, ticks per second.
    pub timescale: u32,
    /// The tracks, in the order of the file.
    pub tracks: Vec<Track>,
}

/// Reads the index of all tracks; `found` is called first, with its position.
pub fn read_movie(
    src: &impl ByteSource,
    found: impl FnOnce(&std::ops::Range<u64>),
) -> Result<Movie, IndexError> {
    let top = walk(src, true)?;
    let moov = top.moov.filter(|moov| moov.end <= src.len());
    let index = moov.map(|moov| moov.start..moov.end);
    if let Some(index) = &index {
        found(index);
    }
    let (moov, inside) = movie_box(src, &top)?;
    let timescale = movie_clock(src, &inside)?;
    let mut tracks = Vec::new();
    for trak in inside.iter().filter(|b| &b.kind == b"trak") {
        if let Some(mut track) = read_track(src, *trak, TrackChoice::Any)? {
            drop_lost(&mut track, src.len(), top.short_by);
            tracks.push(track);
        }
    }
    Ok(Movie { index: moov.start..moov.end, timescale, tracks })
}

/// The one box that holds the index, and its content.
fn movie_box(src: &impl ByteSource, top: &TopLevel) -> Result<(BoxAt, Vec<BoxAt>), IndexError> {
    let Some(moov) = top.moov else {
        return Err(IndexError::Missing(if top.mdat {
            "the file holds media and no moov box; it was cut off, or never finished".into()
        } else {
            "no moov box".into()
        }));
    };
    if moov.end > src.len() {
        return Err(IndexError::Missing("the file ends inside its moov box".into()));
    }
    if top.fragments {
        return Err(IndexError::Unsupported("fragmented".into()));
    }
    let inside = boxes::inside(src, moov)?;
    if boxes::find(&inside, b"mvex").is_some() {
        return Err(IndexError::Unsupported("fragmented".into()));
    }
    if boxes::find(&inside, b"cmov").is_some() {
        return Err(IndexError::Unsupported("compressed".into()));
    }
    Ok((moov, inside))
}

fn movie_clock(src: &impl ByteSource, inside: &[BoxAt]) -> Result<u32, IndexError> {
    match boxes::find(inside, b"mvhd") {
        Some(b) => Ok(clock(src, b)?.0),
        None => Err(IndexError::broken("no mvhd box")),
    }
}

fn top_level(src: &impl ByteSource) -> Result<TopLevel, IndexError> {
    walk(src, false)
}

/// Scans the boxes at top level: all of them, or those before the first fragment.
fn walk(src: &impl ByteSource, to_fragments: bool) -> Result<TopLevel, IndexError> {
    let end = src.len();
    let mut top =
        TopLevel { brand: Brand::QuickTime, moov: None, mdat: false, fragments: false, short_by: 0 };
    let mut at = 0;
    for _ in 0..MAX_TOP_LEVEL {
        let Some(b) = boxes::header(src, at, end)? else { return Ok(top) };
        match &b.kind {
            b"ftyp" if b.body_len() >= 4 => {
                let mut major = [0; 4];
                src.read_at(b.body, &mut major)?;
                if &major != b"qt  " {
                    top.brand = Brand::Mp4;
                }
            }
            b"moov" if top.moov.is_none() => top.moov = Some(b),
            b"mdat" => top.mdat = true,
            b"moof" | b"sidx" => top.fragments = true,
            _ => {}
        }
        if to_fragments && top.fragments {
            return Ok(top);
        }
        if b.end > end {
            top.short_by = b.end - end;
            return Ok(top);
        }
        at = b.end;
    }
    Err(IndexError::broken("too many boxes"))
}

/// Timescale, duration and the fields after them, of mvhd and mdhd alike.
fn clock(src: &impl ByteSource, b: BoxAt) -> Result<(u32, u16), IndexError> {
    let bytes = boxes::body(src, b)?;
    let (timescale_at, language_at) = if bytes.first() == Some(&1) { (20, 32) } else { (12, 20) };
    if bytes.len() < language_at + 2 {
        return Err(IndexError::broken(format!("box {} is too short", b.name())));
    }
    let timescale = be32(&bytes, timescale_at);
    if timescale == 0 || timescale > i32::MAX as u32 {
        return Err(IndexError::broken(format!("a clock of {timescale} ticks a second")));
    }
    let language = u16::from_be_bytes([bytes[language_at], bytes[language_at + 1]]);
    Ok((timescale, language))
}

fn read_track(src: &impl ByteSource, trak: BoxAt, choice: TrackChoice) -> Result<Option<Track>, IndexError> {
    let inside = boxes::inside(src, trak)?;
    let Some(tkhd) = boxes::find(&inside, b"tkhd") else { return Ok(None) };
    let head = boxes::body(src, tkhd)?;
    let wide = head.first() == Some(&1);
    let (id_at, matrix_at) = if wide { (20, 52) } else { (12, 40) };
    if head.len() < matrix_at + 44 {
        return Err(IndexError::broken("box tkhd is too short"));
    }
    let id = be32(&head, id_at);
    let Some(mdia) = boxes::find(&inside, b"mdia") else { return Ok(None) };
    let media = boxes::inside(src, mdia)?;
    let is_video = handler(src, &media)? == *b"vide";
    let wanted = match choice {
        TrackChoice::Id(wanted) => wanted == id,
        TrackChoice::FirstVideo => is_video,
        TrackChoice::Any => true,
    };
    if !wanted {
        return Ok(None);
    }
    let mdhd = boxes::find(&media, b"mdhd").ok_or_else(|| IndexError::broken("no mdhd box"))?;
    let (timescale, language) = clock(src, mdhd)?;
    let stbl = sample_table(src, &media)?;
    let stsd = boxes::find(&stbl, b"stsd").ok_or_else(|| IndexError::broken("no stsd box"))?;
    let mut matrix = [0; 36];
    matrix.copy_from_slice(&head[matrix_at..matrix_at + 36]);
    let (samples, last_duration) = tables::samples(src, &stbl)?;
    Ok(Some(Track {
        id,
        timescale,
        language,
        matrix,
        width: be32(&head, matrix_at + 36),
        height: be32(&head, matrix_at + 40),
        stsd: whole(src, stsd)?,
        edits: edit_list(src, &inside)?,
        last_duration,
        samples,
    }))
}

fn handler(src: &impl ByteSource, media: &[BoxAt]) -> Result<[u8; 4], IndexError> {
    let mut kind = [0; 4];
    if let Some(b) = boxes::find(media, b"hdlr").filter(|b| b.body_len() >= 12) {
        src.read_at(b.body + 8, &mut kind)?;
    }
    Ok(kind)
}

fn sample_table(src: &impl ByteSource, media: &[BoxAt]) -> Result<Vec<BoxAt>, IndexError> {
    let minf = boxes::find(media, b"minf").ok_or_else(|| IndexError::broken("no minf box"))?;
    let inside = boxes::inside(src, minf)?;
    let stbl = boxes::find(&inside, b"stbl").ok_or_else(|| IndexError::broken("no stbl box"))?;
    boxes::inside(src, stbl)
}

fn whole(src: &impl ByteSource, b: BoxAt) -> Result<Vec<u8>, IndexError> {
    let body = boxes::body(src, b)?;
    if body.len() < 16 || be32(&body, 4) == 0 {
        return Err(IndexError::broken("box stsd is empty"));
    }
    let size = u32::try_from(body.len() + 8).map_err(|_| IndexError::broken("box stsd is too long"))?;
    let mut bytes = size.to_be_bytes().to_vec();
    bytes.extend_from_slice(b"stsd");
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn edit_list(src: &impl ByteSource, trak: &[BoxAt]) -> Result<Vec<Edit>, IndexError> {
    let Some(edts) = boxes::find(trak, b"edts") else { return Ok(Vec::new()) };
    let Some(elst) = boxes::find(&boxes::inside(src, edts)?, b"elst") else {
        return Ok(Vec::new());
    };
    let mut version = [0; 1];
    if elst.body_len() > 0 {
        src.read_at(elst.body, &mut version)?;
    }
    let wide = version[0] == 1;
    let table = Table::load(src, elst, 0, if wide { 20 } else { 12 })?;
    Ok((0..table.rows)
        .map(|i| {
            if wide {
                Edit { duration: table.u64(i, 0), media_time: table.u64(i, 8) as i64, rate: table.u32(i, 16) }
            } else {
                Edit {
                    duration: u64::from(table.u32(i, 0)),
                    media_time: i64::from(table.u32(i, 4) as i32),
                    rate: table.u32(i, 8),
                }
            }
        })
        .collect())
}

/// Removes the samples that a truncated file does not contain: all from the first truncated one.
fn drop_lost(track: &mut Track, len: u64, short_by: u64) -> Option<Lost> {
    let cut = track
        .samples
        .iter()
        .position(|s| s.offset.checked_add(u64::from(s.size)).is_none_or(|end| end > len));
    let keep = match cut {
        Some(keep) => keep,
        None if short_by == 0 => return None,
        None => track.samples.len(),
    };
    let end = track.samples.last().map_or(0, |s| s.dts + i64::from(track.last_duration));
    let from = track.samples.get(keep).map_or(end, |s| s.dts);
    let gone = track.samples.split_off(keep);
    Some(Lost {
        samples: gone.len() as u64,
        bytes: gone.iter().map(|s| u64::from(s.size)).sum(),
        ticks: end - from,
        file_bytes: short_by,
    })
}
/// Whether the index lies before this offset.
///
/// # Errors
/// Boxes that cannot be read.
pub fn has_index_before(src: &impl ByteSource, offset: u64) -> Result<bool, IndexError> {
    let top = boxes::top(src)?;
    Ok(boxes::find(&top, b"moov").is_some_and(|moov| moov.start < offset))
}
