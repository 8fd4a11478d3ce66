//! A new file of the same tracks: the movie box first, every table as it was, and the media
//! behind it without gaps.
//!
//! What a general muxer rebuilds from packets (and so may round, reorder or forget), this keeps
//! to the byte: edit lists, sample groups, chapters, timecode and tracks that nobody knows.
//! Only the chunk offsets are new.

use super::IndexError;
use super::boxes::{self, BoxAt};
use super::source::ByteSource;
use super::tables;

/// A movie box larger than this is left to ffmpeg.
const MAX_MOOV: u64 = 256 << 20;
/// Boxes inside a movie box that hold other boxes on the way to the chunk offsets.
const CONTAINERS: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
/// Boxes that name places in the file and are not rewritten here.
const PLACES: [&[u8; 4]; 5] = [b"iloc", b"saio", b"mvex", b"cmov", b"tfra"];

/// A file from here on is not read once more to be compared: that took longer than to write it.
const LARGE_FROM: u64 = 64 << 20;

/// A range of the old file, in the order of the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First byte in the old file.
    pub from: u64,
    /// Number of bytes.
    pub len: u64,
}

/// How to write the new file: these bytes, then these ranges of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// File type, movie, and the head of the media data.
    pub head: Vec<u8>,
    /// The media data, then boxes of other programs.
    pub runs: Vec<Run>,
    /// Length of the new file.
    pub len: u64,
}

impl Rewrite {
    /// Whether the new file is to be compared while it is written, and not read once more.
    pub fn is_large(&self) -> bool {
        self.len >= LARGE_FROM
    }

    /// Where the new file has the old one's bytes.
    pub fn places(&self) -> Places {
        let mut at = self.head.len() as u64;
        let mut moved: Vec<(Run, u64)> = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            moved.push((*run, at));
            at += run.len;
        }
        moved.sort_unstable_by_key(|(run, _)| run.from);
        Places { moved }
    }
}

/// Where a new file has the bytes of an old one.
#[derive(Debug)]
pub struct Places {
    moved: Vec<(Run, u64)>,
}

impl Places {
    /// The place of these bytes; `None` where they were not moved in one piece.
    pub fn of(&self, from: u64, len: u64) -> Option<u64> {
        let before = self.moved.partition_point(|(run, _)| run.from <= from);
        let (run, at) = self.moved[..before].last()?;
        (from.checked_add(len)? <= run.from + run.len).then(|| at + (from - run.from))
    }
}

struct Chunk {
    from: u64,
    len: u64,
    track: u32,
    number: u32,
}

/// Plans a rewrite; an error says why this file is left to ffmpeg.
pub fn plan_rewrite(src: &impl ByteSource) -> Result<Rewrite, IndexError> {
    let top = boxes::top(src)?;
    let moov = boxes::find(&top, b"moov").ok_or_else(|| left("no movie box"))?;
    let ftyp = boxes::find(&top, b"ftyp").ok_or_else(|| left("no file type"))?;
    if top.iter().any(|b| matches!(&b.kind, b"moof" | b"sidx" | b"meta")) || moov.end - moov.start > MAX_MOOV
    {
        return Err(left("fragments, or items at top level"));
    }
    let mut bytes = vec![0; (moov.end - moov.start) as usize];
    src.read_at(moov.start, &mut bytes)?;
    let movie = bytes.as_slice();
    let mut tables = Vec::new();
    let root = boxes::header(&movie, 0, movie.len() as u64)?.ok_or_else(|| left("no movie box"))?;
    find_offsets(movie, root, &mut tables)?;
    let mut chunks = Vec::new();
    for (track, stbl) in tables.iter().enumerate() {
        let inside = boxes::inside(&movie, *stbl)?;
        let found = tables::chunks(&movie, &inside)?;
        chunks.reserve_exact(found.len());
        let number = |n: usize| u32::try_from(n).map_err(|_| left("too many chunks"));
        for (i, (from, len)) in found.into_iter().enumerate() {
            chunks.push(Chunk { from, len, track: number(track)?, number: number(i)? });
        }
    }
    let (mut runs, places, media_len) = lay_out(chunks, &tables, src.len())?;
    let mut head = vec![0; (ftyp.end - ftyp.start) as usize];
    src.read_at(ftyp.start, &mut head)?;
    // a wide table is needed only past 4 GiB; either way its length does not depend on the base
    let wide = media_len + movie.len() as u64 * 2 + (1 << 20) > u64::from(u32::MAX);
    let mut base = (head.len() + movie.len() + 16) as u64;
    for (stbl, offsets) in &places {
        for b in boxes::inside(&movie, *stbl)?.iter().filter(|b| is_offsets(&b.kind)) {
            base = base - (b.end - b.start) + table_len(offsets, wide);
        }
    }
    head.reserve_exact((base - head.len() as u64) as usize);
    rebuild(movie, root, &places, base, wide, &mut head)?;
    if head.len() as u64 + 16 != base {
        return Err(left("tables that stand twice"));
    }
    head.extend_from_slice(&1u32.to_be_bytes());
    head.extend_from_slice(b"mdat");
    head.extend_from_slice(&(media_len + 16).to_be_bytes());
    let others = top.iter().filter(|b| matches!(&b.kind, b"uuid" | b"udta"));
    runs.extend(others.map(|b| Run { from: b.start, len: b.end - b.start }));
    let len = head.len() as u64 + runs.iter().map(|r| r.len).sum::<u64>();
    Ok(Rewrite { head, runs, len })
}

fn left(why: &str) -> IndexError {
    IndexError::Unsupported(why.into())
}

/// The sample tables in order; an error where a box names places that we would not move.
fn find_offsets(movie: &[u8], at: BoxAt, found: &mut Vec<BoxAt>) -> Result<(), IndexError> {
    for b in boxes::inside(&movie, at)? {
        if PLACES.contains(&&b.kind) {
            return Err(left("a box that names places in the file"));
        }
        match &b.kind {
            b"stbl" => {
                for inside in boxes::inside(&movie, b)? {
                    if PLACES.contains(&&inside.kind) {
                        return Err(left("a box that names places in the file"));
                    }
                }
                found.push(b);
            }
            b"dinf" => self_contained(movie, b)?,
            b"meta" => no_places(movie, b)?,
            kind if CONTAINERS.contains(&kind) => find_offsets(movie, b, found)?,
            _ => {}
        }
    }
    Ok(())
}

/// Media in another file is not ours to carry.
fn self_contained(movie: &[u8], dinf: BoxAt) -> Result<(), IndexError> {
    for dref in boxes::inside(&movie, dinf)? {
        if &dref.kind != b"dref" || dref.body_len() < 8 {
            continue;
        }
        for entry in boxes::inside_from(&movie, dref, 8)? {
            let mut flags = [0; 4];
            if entry.body_len() >= 4 {
                movie.read_at(entry.body, &mut flags)?;
            }
            if flags[3] & 1 == 0 {
                return Err(left("media in another file"));
            }
        }
    }
    Ok(())
}

fn no_places(movie: &[u8], meta: BoxAt) -> Result<(), IndexError> {
    let body = movie.get(meta.body as usize..meta.end as usize).unwrap_or_default();
    if body.windows(4).any(|w| w == b"iloc") { Err(left("items with places")) } else { Ok(()) }
}

/// New places of all chunks, by track and number, counted from the media's first byte.
type NewOffsets = Vec<(BoxAt, Vec<u64>)>;

fn lay_out(
    mut chunks: Vec<Chunk>,
    tables: &[BoxAt],
    len: u64,
) -> Result<(Vec<Run>, NewOffsets, u64), IndexError> {
    let count = |track: usize| chunks.iter().filter(|c| c.track as usize == track).count();
    let mut places: NewOffsets = tables.iter().enumerate().map(|(i, t)| (*t, vec![0; count(i)])).collect();
    // an empty chunk at the same place has no bytes to put anywhere
    chunks.sort_unstable_by_key(|c| c.from);
    let (mut runs, mut at, mut end) = (Vec::<Run>::new(), 0u64, 0u64);
    for c in chunks.iter().filter(|c| c.len > 0) {
        let stop = c.from.checked_add(c.len).filter(|stop| *stop <= len).ok_or_else(|| left("truncated"))?;
        if c.from < end {
            return Err(left("chunks that overlap"));
        }
        places[c.track as usize].1[c.number as usize] = at;
        match runs.last_mut() {
            Some(run) if run.from + run.len == c.from => run.len += c.len,
            _ => runs.push(Run { from: c.from, len: c.len }),
        }
        at += c.len;
        end = stop;
    }
    Ok((runs, places, at))
}

fn is_offsets(kind: &[u8; 4]) -> bool {
    [b"stco", b"co64"].contains(&kind)
}

/// Appends the movie box with new chunk offsets.
fn rebuild(
    movie: &[u8],
    at: BoxAt,
    places: &NewOffsets,
    base: u64,
    wide: bool,
    out: &mut Vec<u8>,
) -> Result<(), IndexError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&at.kind);
    let mine = places.iter().find(|(stbl, _)| stbl.start == at.start);
    let mut end = at.body;
    for b in boxes::inside(&movie, at)? {
        end = b.end;
        match (&b.kind, mine) {
            (kind, Some((_, offsets))) if is_offsets(kind) => table(offsets, base, wide, out),
            (kind, _) if CONTAINERS.contains(&kind) => rebuild(movie, b, places, base, wide, out)?,
            _ => out.extend_from_slice(&movie[b.start as usize..b.end as usize]),
        }
    }
    // QuickTime ends some containers with zeros
    out.extend_from_slice(&movie[end as usize..at.end as usize]);
    let size = u32::try_from(out.len() - start).map_err(|_| left("too long"))?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}

fn table_len(offsets: &[u64], wide: bool) -> u64 {
    (16 + offsets.len() * if wide { 8 } else { 4 }) as u64
}

fn table(offsets: &[u64], base: u64, wide: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&(table_len(offsets, wide) as u32).to_be_bytes());
    out.extend_from_slice(if wide { b"co64" } else { b"stco" });
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(offsets.len() as u32).to_be_bytes());
    for offset in offsets {
        out.extend_from_slice(&(base + offset).to_be_bytes()[if wide { 0 } else { 4 }..]);
    }
}
