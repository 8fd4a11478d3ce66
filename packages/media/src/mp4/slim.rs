//! A movie box like that of a file, with truncated sample tables.
//!
//! A demuxer that reads a movie box keeps an entry for every packet in memory; ffmpeg takes 20 MB
//! for two hours. Where only the facts of the file or its first packets are needed, this box lists
//! only the first packets. Durations, timescales, edit lists and tags are the file's own,
//! and so is the time-to-sample table, from which durations and rates are computed.

use std::ops::Range;

use super::IndexError;
use super::boxes::{self, BoxAt, be32};
use super::source::ByteSource;

/// Maximum size of a movie box to truncate, bytes; the demuxer reads longer ones itself.
const MAX_WHOLE: u64 = 4 << 20;
/// Container boxes on the way to the sample tables.
const CONTAINERS: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
/// Boxes with file offsets, or with references to packets outside of the sample tables.
const LEFT: [&[u8; 4]; 7] = [b"iloc", b"saio", b"saiz", b"mvex", b"cmov", b"rmra", b"stz2"];

/// A header to place before the whole file: `ftyp`, a `moov` in which no table of video or
/// audio lists more than about `most` packets (or chunks of packets of one size), and
/// the header of an `mdat` that contains the file. The track with id `whole` keeps all its packets. `None` if no table is
/// longer than that, or one cannot be truncated.
pub fn slim_header(
    src: &impl ByteSource,
    most: usize,
    whole: Option<u32>,
) -> Result<Option<Vec<u8>>, IndexError> {
    let top = boxes::top(src)?;
    let (Some(ftyp), Some(moov)) = (boxes::find(&top, b"ftyp"), boxes::find(&top, b"moov")) else {
        return Ok(None);
    };
    if top.iter().any(|b| matches!(&b.kind, b"moof" | b"sidx" | b"meta")) {
        return Ok(None);
    }
    let mut slim = Slim { src, most: most.max(1), whole, places: Vec::new(), may_be_cut: false, cut: false };
    let mut header = Vec::new();
    if !slim.header(ftyp, moov, &mut header)? || !slim.cut {
        return Ok(None);
    }
    // the file follows the header
    let base = header.len() as u64;
    for table in slim.places {
        for place in header[table].chunks_exact_mut(8) {
            let moved = boxes::be64(place, 0).saturating_add(base);
            place.copy_from_slice(&moved.to_be_bytes());
        }
    }
    Ok(Some(header))
}

struct Slim<'a, S> {
    src: &'a S,
    most: usize,
    /// Offsets in the header at which 64-bit chunk offsets are stored.
    places: Vec<Range<usize>>,
    /// The track that is not truncated.
    whole: Option<u32>,
    /// Whether the current track is another one, of video or audio.
    may_be_cut: bool,
    /// Whether a table was truncated.
    cut: bool,
}

impl<S: ByteSource> Slim<'_, S> {
    /// Appends the header; `false` if this file cannot have one.
    fn header(&mut self, ftyp: BoxAt, moov: BoxAt, out: &mut Vec<u8>) -> Result<bool, IndexError> {
        if !self.whole(ftyp, out)? || !self.inside(moov, out)? {
            return Ok(false);
        }
        out.extend_from_slice(&1u32.to_be_bytes());
        out.extend_from_slice(b"mdat");
        out.extend_from_slice(&(self.src.len() + 16).to_be_bytes());
        Ok(true)
    }

    /// Appends a container box.
    fn inside(&mut self, at: BoxAt, out: &mut Vec<u8>) -> Result<bool, IndexError> {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&at.kind);
        let children = boxes::inside(self.src, at)?;
        match &at.kind {
            b"trak" => self.may_be_cut = self.whole.is_none() || self.number(&children)? != self.whole,
            // ffmpeg reads chapters and captions to the end when it opens a file
            b"minf" => self.may_be_cut &= children.iter().any(|b| matches!(&b.kind, b"vmhd" | b"smhd")),
            _ => {}
        }
        let cut = match &at.kind {
            b"stbl" if self.may_be_cut => Cut::of(self.src, &children, self.most)?,
            _ => None,
        };
        for b in &children {
            let done = match &b.kind {
                kind if LEFT.contains(&kind) => false,
                kind if CONTAINERS.contains(&kind) => self.inside(*b, out)?,
                b"edts" if self.edits(*b)? > 2 => false,
                b"stco" | b"co64" => self.places(*b, cut.as_ref(), out)?,
                _ => match cut.as_ref().and_then(|cut| cut.rows(&b.kind)) {
                    Some(kept) => self.shortened(*b, kept, out)?,
                    None => self.whole(*b, out)?,
                },
            };
            if !done {
                return Ok(false);
            }
        }
        self.cut |= cut.is_some();
        close(start, out)
    }

    /// The id of a track.
    fn number(&self, trak: &[BoxAt]) -> Result<Option<u32>, IndexError> {
        let Some(tkhd) = boxes::find(trak, b"tkhd") else { return Ok(None) };
        let body = boxes::body(self.src, tkhd)?;
        let at = if body.first() == Some(&1) { 20 } else { 12 };
        Ok((body.len() >= at + 4).then(|| be32(&body, at)))
    }

    /// Number of edits of a list: after an empty edit and one edit, the next may start anywhere.
    fn edits(&self, edts: BoxAt) -> Result<usize, IndexError> {
        let inside = boxes::inside(self.src, edts)?;
        boxes::find(&inside, b"elst").map_or(Ok(0), |elst| count(self.src, elst, 4, 0))
    }

    fn whole(&self, b: BoxAt, out: &mut Vec<u8>) -> Result<bool, IndexError> {
        if b.end - b.start > MAX_WHOLE {
            return Ok(false);
        }
        let start = out.len();
        out.resize(start + (b.end - b.start) as usize, 0);
        self.src.read_at(b.start, &mut out[start..])?;
        // items of a cover may have file offsets; text metadata has none
        let named = b.kind == *b"meta" && out[start..].windows(4).any(|w| w == b"iloc");
        Ok(!named)
    }

    /// Appends a table with its count and its rows up to `kept`.
    fn shortened(&self, b: BoxAt, kept: Rows, out: &mut Vec<u8>) -> Result<bool, IndexError> {
        let start = out.len();
        let len = kept.count_at + 4 + kept.rows * kept.row;
        if (b.body_len() as usize) < len {
            return Err(IndexError::broken(format!("box {} is too short", b.name())));
        }
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&b.kind);
        let body = out.len();
        out.resize(body + len, 0);
        self.src.read_at(b.body, &mut out[body..])?;
        let count = (kept.count as u32).to_be_bytes();
        out[body + kept.count_at..body + kept.count_at + 4].copy_from_slice(&count);
        close(start, out)
    }

    /// Appends the chunk offsets, as 64-bit integers.
    fn places(&mut self, b: BoxAt, cut: Option<&Cut>, out: &mut Vec<u8>) -> Result<bool, IndexError> {
        let row = if &b.kind == b"co64" { 8 } else { 4 };
        let all = count(self.src, b, 4, row)?;
        let chunks = cut.map_or(all, |cut| cut.chunks.min(all));
        if (chunks * row) as u64 > MAX_WHOLE {
            return Ok(false);
        }
        let mut bytes = vec![0; chunks * row];
        self.src.read_at(b.body + 8, &mut bytes)?;
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(b"co64\0\0\0\0");
        out.extend_from_slice(&(chunks as u32).to_be_bytes());
        let first = out.len();
        for place in bytes.chunks_exact(row) {
            let place = if row == 8 { boxes::be64(place, 0) } else { u64::from(be32(place, 0)) };
            out.extend_from_slice(&place.to_be_bytes());
        }
        self.places.push(first..out.len());
        close(start, out)
    }
}

/// Writes the size of the box that started at `start`.
fn close(start: usize, out: &mut [u8]) -> Result<bool, IndexError> {
    let size = u32::try_from(out.len() - start).map_err(|_| IndexError::broken("too long a box"))?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    Ok(true)
}

/// The count at `at` of a table's body, checked against the room for that many rows.
fn count(src: &impl ByteSource, b: BoxAt, at: usize, row: usize) -> Result<usize, IndexError> {
    let mut bytes = [0; 4];
    let room = (b.body_len() as usize).checked_sub(at + 4);
    let Some(room) = room else { return Err(IndexError::broken(format!("box {} is too short", b.name()))) };
    src.read_at(b.body + at as u64, &mut bytes)?;
    let rows = u32::from_be_bytes(bytes) as usize;
    if rows > room.checked_div(row).unwrap_or(usize::MAX) {
        return Err(IndexError::broken(format!("box {} counts {rows} entries", b.name())));
    }
    Ok(rows)
}

/// Number of kept rows of one track's tables.
struct Cut {
    samples: usize,
    chunks: usize,
    constant_size: bool,
    chunk_runs: usize,
    composition: Option<usize>,
    keyframes: Option<usize>,
}

/// The kept rows of a table.
struct Rows {
    /// Offset of the count in the body.
    count_at: usize,
    /// Its new value.
    count: usize,
    rows: usize,
    row: usize,
}

impl Cut {
    /// Where to truncate the tables of a track; `None` if they are short.
    fn of(src: &impl ByteSource, stbl: &[BoxAt], most: usize) -> Result<Option<Cut>, IndexError> {
        let find = |kind| boxes::find(stbl, kind);
        let places = find(b"stco").or(find(b"co64"));
        let (Some(sizes), Some(runs), Some(places)) = (find(b"stsz"), find(b"stsc"), places) else {
            return Ok(None);
        };
        let mut size = [0; 4];
        if sizes.body_len() >= 12 {
            src.read_at(sizes.body + 4, &mut size)?;
        }
        let constant_size = size != [0; 4];
        let samples = count(src, sizes, 8, if constant_size { 0 } else { 4 })?;
        let chunks = count(src, places, 4, if &places.kind == b"co64" { 8 } else { 4 })?;
        // samples of one size are read in batches, and ffmpeg keeps an entry for each chunk
        let (long, most, most_chunks) = match constant_size {
            true => (chunks > most, usize::MAX, most),
            false => (samples > most, most, chunks),
        };
        if !long {
            return Ok(None);
        }
        let (samples, chunks, chunk_runs) = chunks_of(src, runs, most_chunks, most, samples)?;
        let composition = find(b"ctts").map(|b| runs_of(src, b, samples)).transpose()?;
        let keyframes = find(b"stss").map(|b| keyframes_of(src, b, samples)).transpose()?;
        Ok(Some(Cut { samples, chunks, constant_size, chunk_runs, composition, keyframes }))
    }

    /// The kept rows of the table of that type; `None` for all.
    fn rows(&self, kind: &[u8; 4]) -> Option<Rows> {
        let rows = |rows, row| Some(Rows { count_at: 4, count: rows, rows, row });
        match kind {
            b"stsz" => {
                let rows = if self.constant_size { 0 } else { self.samples };
                Some(Rows { count_at: 8, count: self.samples, rows, row: 4 })
            }
            b"stsc" => rows(self.chunk_runs, 12),
            b"ctts" => rows(self.composition?, 8),
            b"stss" => rows(self.keyframes?, 4),
            _ => None,
        }
    }
}

/// Whole chunks with `most` packets or a few more: packets, chunks, and the rows that describe them.
fn chunks_of(
    src: &impl ByteSource,
    b: BoxAt,
    chunks: usize,
    most: usize,
    all: usize,
) -> Result<(usize, usize, usize), IndexError> {
    // a row for each chunk, and one more that marks the end of the last one
    let rows = first_rows(src, b, 12, most.min(chunks).saturating_add(1))?;
    let (mut samples, mut done, mut told) = (0usize, 0usize, 0usize);
    for (i, row) in rows.chunks_exact(12).enumerate() {
        if done >= chunks || samples >= most {
            break;
        }
        let each = be32(row, 4) as usize;
        let next = rows.get(12 * (i + 1)..12 * (i + 1) + 4);
        let until = next.map_or(chunks, |next| (be32(next, 0) as usize).saturating_sub(1));
        let here = until.clamp(done, chunks) - done;
        let wanted = (most - samples).div_ceil(each.max(1)).min(here);
        samples = samples.saturating_add(wanted.saturating_mul(each));
        done += wanted;
        told = i + 1;
    }
    Ok((samples.min(all), done, told))
}

/// The rows of a run-length table that cover the first `samples`.
fn runs_of(src: &impl ByteSource, b: BoxAt, samples: usize) -> Result<usize, IndexError> {
    let rows = first_rows(src, b, 8, samples)?;
    let mut told = 0usize;
    let enough = rows.chunks_exact(8).position(|row| {
        told = told.saturating_add(be32(row, 0) as usize);
        told >= samples
    });
    Ok(enough.map_or(rows.len() / 8, |last| last + 1))
}

/// The keyframes among the first `samples`.
fn keyframes_of(src: &impl ByteSource, b: BoxAt, samples: usize) -> Result<usize, IndexError> {
    let rows = first_rows(src, b, 4, samples)?;
    Ok(rows.chunks_exact(4).take_while(|row| be32(row, 0) as usize <= samples).count())
}

/// The first rows of a table, at most `most`.
fn first_rows(src: &impl ByteSource, b: BoxAt, row: usize, most: usize) -> Result<Vec<u8>, IndexError> {
    let len = count(src, b, 4, row)?.min(most) * row;
    if len as u64 > MAX_WHOLE {
        return Err(IndexError::Unsupported(format!(
            "box {} has more than is read for a few packets",
            b.name()
        )));
    }
    let mut bytes = vec![0; len];
    src.read_at(b.body + 8, &mut bytes)?;
    Ok(bytes)
}
