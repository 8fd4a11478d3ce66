//! A movie box like a file's own, with long sample tables cut short.
//!
//! Who reads a movie box whole keeps an entry for every packet in memory; ffmpeg takes 20 MB
//! for two hours. Where only what the file is or its first packets are wanted, a box does that
//! names nothing but the first packets. Lengths, clocks, edit lists and tags are the file's own,
//! and so is the table of times, from which lengths and rates are counted.

use std::ops::Range;

use super::IndexError;
use super::boxes::{self, BoxAt, be32};
use super::source::ByteSource;

/// A file with a longer box than this to be kept is left to who can read it.
const MAX_WHOLE: u64 = 4 << 20;
/// Boxes on the way to the sample tables.
const CONTAINERS: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
/// Boxes that name places in the file, or packets outside of the sample tables.
const LEFT: [&[u8; 4]; 7] = [b"iloc", b"saio", b"saiz", b"mvex", b"cmov", b"rmra", b"stz2"];

/// A header to be put in front of the whole file: file type, a movie box in which no table of
/// picture or sound names more than about `most` packets (or chunks of packets of one size), and
/// the head of a media data box that holds the file. The track numbered `whole` keeps all its packets. `None` where no table is
/// longer than that, or one cannot be cut.
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
    // the file comes behind the header
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
    /// Where places of 64 bits stand in the header.
    places: Vec<Range<usize>>,
    /// The track that is not cut.
    whole: Option<u32>,
    /// Whether the track at hand is another one, of picture or sound.
    may_be_cut: bool,
    /// Whether a table was cut.
    cut: bool,
}

impl<S: ByteSource> Slim<'_, S> {
    /// Appends the header; `false` where this file cannot have one.
    fn header(&mut self, ftyp: BoxAt, moov: BoxAt, out: &mut Vec<u8>) -> Result<bool, IndexError> {
        if !self.whole(ftyp, out)? || !self.inside(moov, out)? {
            return Ok(false);
        }
        out.extend_from_slice(&1u32.to_be_bytes());
        out.extend_from_slice(b"mdat");
        out.extend_from_slice(&(self.src.len() + 16).to_be_bytes());
        Ok(true)
    }

    /// Appends a box that holds boxes.
    fn inside(&mut self, at: BoxAt, out: &mut Vec<u8>) -> Result<bool, IndexError> {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&at.kind);
        let children = boxes::inside(self.src, at)?;
        match &at.kind {
            b"trak" => self.may_be_cut = self.whole.is_none() || self.number(&children)? != self.whole,
            // chapters and captions are read from end to end by who looks at a file
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

    /// The number of a track.
    fn number(&self, trak: &[BoxAt]) -> Result<Option<u32>, IndexError> {
        let Some(tkhd) = boxes::find(trak, b"tkhd") else { return Ok(None) };
        let body = boxes::body(self.src, tkhd)?;
        let at = if body.first() == Some(&1) { 20 } else { 12 };
        Ok((body.len() >= at + 4).then(|| be32(&body, at)))
    }

    /// How many edits a list has: after a wait and one edit, the next may begin anywhere.
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
        // items of a cover may name places; what is told in words does not
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

    /// Appends the places of the chunks, as 64 bits.
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

/// Writes the length of the box that began at `start`.
fn close(start: usize, out: &mut [u8]) -> Result<bool, IndexError> {
    let size = u32::try_from(out.len() - start).map_err(|_| IndexError::broken("too long a box"))?;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    Ok(true)
}

/// The count at `at` of a table's body, which must have room for that many rows.
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

/// What is kept of one track's tables.
struct Cut {
    samples: usize,
    chunks: usize,
    constant_size: bool,
    chunk_runs: usize,
    composition: Option<usize>,
    keyframes: Option<usize>,
}

/// The rows of a table that are kept.
struct Rows {
    /// Where the count stands in the body.
    count_at: usize,
    /// What it will say.
    count: usize,
    rows: usize,
    row: usize,
}

impl Cut {
    /// Where to cut the tables of a track; `None` where they are short.
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
        // samples of one size are read many at once, and it is chunks that are kept in memory
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

    /// How much of the table of that kind is kept; `None` for all of it.
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

/// Whole chunks of `most` packets or a few more: packets, chunks, and rows that tell of them.
fn chunks_of(
    src: &impl ByteSource,
    b: BoxAt,
    chunks: usize,
    most: usize,
    all: usize,
) -> Result<(usize, usize, usize), IndexError> {
    // a row for each chunk, and one more to see where the last one ends
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

/// The rows of a table of runs that tell of the first `samples`.
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
