//! Layout of a new file with the same tracks: the movie box first, with unchanged tables, then the media
//! without gaps.
//!
//! A general muxer rebuilds boxes from packets (and so may round, reorder or drop data); this module copies
//! them byte for byte: edit lists, sample groups, chapters, timecode and tracks of unknown formats.
//! Only the chunk offsets change.

use super::IndexError;
use super::boxes::{self, BoxAt};
use super::source::ByteSource;
use super::tables;

/// Maximum size of a movie box, bytes; ffmpeg writes larger ones.
const MAX_MOOV: u64 = 256 << 20;
/// Container boxes of a movie box on the way to the chunk offsets.
const CONTAINERS: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
/// Boxes with file offsets that are not rewritten here.
const PLACES: [&[u8; 4]; 5] = [b"iloc", b"saio", b"mvex", b"cmov", b"tfra"];

/// Size from which a file is compared while it is written instead of read again: reading it again took longer
/// than writing it.
const LARGE_FROM: u64 = 64 << 20;

/// A range of the old file, in the order of the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Offset in the old file.
    pub from: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Layout of the new file: these bytes, then these ranges of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// `ftyp`, `moov`, and the header of `mdat`.
    pub head: Vec<u8>,
    /// The media data, then unknown boxes.
    pub runs: Vec<Run>,
    /// Size of the new file in bytes.
    pub len: u64,
}

impl Rewrite {
    /// Whether the new file is compared while it is written instead of read again.
    pub fn is_large(&self) -> bool {
        self.len >= LARGE_FROM
    }

    /// The mapping from old to new offsets.
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

/// Mapping from offsets of an old file to those of a new one.
#[derive(Debug)]
pub struct Places {
    moved: Vec<(Run, u64)>,
}

impl Places {
    /// The new offset of these bytes; `None` if they were not moved as one range.
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

/// Plans a rewrite; an error names the reason why ffmpeg must write the file.
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
    // 64-bit offsets are needed only past 4 GiB; either way the table's length does not depend on the base
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

/// The sample tables in order; an error if a box has file offsets that are not rewritten.
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

/// Fails if a track references media in another file.
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

/// New offsets of all chunks, by track and index, relative to the start of the media.
type NewOffsets = Vec<(BoxAt, Vec<u64>)>;

fn lay_out(
    mut chunks: Vec<Chunk>,
    tables: &[BoxAt],
    len: u64,
) -> Result<(Vec<Run>, NewOffsets, u64), IndexError> {
    let count = |track: usize| chunks.iter().filter(|c| c.track as usize == track).count();
    let mut places: NewOffsets = tables.iter().enumerate().map(|(i, t)| (*t, vec![0; count(i)])).collect();
    // an empty chunk at the same offset has no bytes to move
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
