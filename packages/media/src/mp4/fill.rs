//! Replaces the sample tables of a movie box, which a muxer wrote for the first packets, by those of all packets.
//!
//! A muxer keeps an entry for every packet in memory, and so does the demuxer of each of its
//! inputs. The boxes that only it can write (tags, chapters, languages, descriptions, edit lists of
//! tracks that start late) it also writes for the first packets alone. This module inserts the long
//! tables and the durations; all other boxes are unchanged, and a box that it does not support is
//! an error: then the muxer writes the whole file.

use super::IndexError;
use super::boxes::{self, BoxAt, be32, be64};
use super::parse::Sample;
use super::source::ByteSource;
use super::tables;
use super::write::{full, put, sample_tables, u32s, u64s};

/// Interleaving interval: seconds of one track that are contiguous.
const TOGETHER_SECONDS: i64 = 1;
/// Maximum size of a movie box for the first packets, bytes.
const MAX_MOOV: u64 = 64 << 20;

/// A track to fill.
#[derive(Debug)]
pub struct Filling {
    /// Its index among the tracks of the movie.
    pub track: usize,
    /// Timescale, ticks per second, which must be the movie's for this track.
    pub timescale: u32,
    /// All samples in decode order, with offsets in a file of their own; the first ones
    /// are in the movie already.
    pub samples: Vec<Sample>,
    /// Duration of the last sample in ticks.
    pub last_duration: u32,
}

/// Layout of the filled file: these bytes, then these ranges.
#[derive(Debug)]
pub struct Filled {
    /// `ftyp`, `moov`, and the header of `mdat`.
    pub head: Vec<u8>,
    /// The content of `mdat`.
    pub runs: Vec<FilledRun>,
}

/// A range of bytes of one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilledRun {
    /// Index of the filling's file; `None` for the muxer's movie.
    pub filling: Option<usize>,
    /// Offset in that file.
    pub from: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Fills the tracks of a movie; an error names the reason why the muxer must write the file.
pub fn fill(movie: &impl ByteSource, fillings: Vec<Filling>) -> Result<Filled, IndexError> {
    let top = boxes::top(movie)?;
    let known = |b: &BoxAt| matches!(&b.kind, b"ftyp" | b"moov" | b"mdat" | b"free" | b"wide");
    let (Some(ftyp), Some(moov)) = (boxes::find(&top, b"ftyp"), boxes::find(&top, b"moov")) else {
        return Err(left("no movie box"));
    };
    if !top.iter().all(known) || moov.end - moov.start > MAX_MOOV {
        return Err(left("boxes that are not filled here"));
    }
    let mut bytes = vec![0; (moov.end - moov.start) as usize];
    movie.read_at(moov.start, &mut bytes)?;
    let mut filler = Filler::new(&bytes, fillings)?;
    let (runs, media_len) = filler.lay_out();
    let mut head = vec![0; (ftyp.end - ftyp.start) as usize];
    movie.read_at(ftyp.start, &mut head)?;
    let bare = head.len();
    // chunk offsets have a fixed width, so the first pass only measures
    filler.movie(0, &mut head)?;
    let base = head.len() as u64 + 16;
    head.truncate(bare);
    filler.movie(base, &mut head)?;
    u32s(&mut head, &[1]);
    head.extend_from_slice(b"mdat");
    u64s(&mut head, &[media_len + 16]);
    Ok(Filled { head, runs })
}

fn left(why: &str) -> IndexError {
    IndexError::Unsupported(why.into())
}

struct Filler<'a> {
    bytes: &'a [u8],
    tracks: Vec<TrackAt>,
    fillings: Vec<Filling>,
}

/// A track of the movie.
struct TrackAt {
    start: u64,
    filling: Option<usize>,
    /// Ticks by which it gets longer, in its own timescale and in the movie's.
    grows: (i64, i64),
    /// Offsets of its chunks: the old ones, then the new ones. For tracks that are not filled.
    chunks: Vec<(u64, u64)>,
}

impl<'a> Filler<'a> {
    fn new(bytes: &'a [u8], fillings: Vec<Filling>) -> Result<Filler<'a>, IndexError> {
        let inside = Self::inside(bytes, Self::root(bytes)?)?;
        let mvhd = boxes::find(&inside, b"mvhd").ok_or_else(|| left("no mvhd box"))?;
        let (timescale, _) = clock(&boxes::body(&bytes, mvhd)?, 4)?;
        let mut tracks = Vec::new();
        for (i, trak) in inside.iter().filter(|b| &b.kind == b"trak").enumerate() {
            let filling = fillings.iter().position(|f| f.track == i);
            let (mdhd, stbl) = Self::parts(bytes, *trak)?;
            let tables = Self::inside(bytes, stbl)?;
            let (own, length) = clock(&boxes::body(&bytes, mdhd)?, 4)?;
            let mut track = TrackAt { start: trak.start, filling, grows: (0, 0), chunks: Vec::new() };
            match filling.map(|f| &fillings[f]) {
                Some(filling) => {
                    check(bytes, &tables, filling, own)?;
                    let grows = filling.length() - length as i64;
                    let movie = i128::from(grows) * i128::from(timescale);
                    let movie = (movie + i128::from(own / 2)).div_euclid(i128::from(own.max(1)));
                    track.grows = (grows, movie as i64);
                }
                None => track.chunks = tables::chunks(&bytes, &tables)?,
            }
            tracks.push(track);
        }
        match fillings.iter().all(|f| f.track < tracks.len()) {
            true => Ok(Filler { bytes, tracks, fillings }),
            false => Err(left("a track is not there")),
        }
    }

    fn root(bytes: &[u8]) -> Result<BoxAt, IndexError> {
        boxes::header(&bytes, 0, bytes.len() as u64)?.ok_or_else(|| left("no movie box"))
    }

    fn inside(bytes: &[u8], b: BoxAt) -> Result<Vec<BoxAt>, IndexError> {
        boxes::inside(&bytes, b)
    }

    /// The media header and the sample table of a track.
    fn parts(bytes: &[u8], trak: BoxAt) -> Result<(BoxAt, BoxAt), IndexError> {
        let find = |b: BoxAt, kind: &[u8; 4]| {
            boxes::find(&Self::inside(bytes, b)?, kind).ok_or_else(|| left("a track without its boxes"))
        };
        let mdia = find(trak, b"mdia")?;
        Ok((find(mdia, b"mdhd")?, find(find(mdia, b"minf")?, b"stbl")?))
    }

    /// Assigns offsets in the media data: first the muxer's, then all tracks interleaved,
    /// so that data presented together are stored together.
    fn lay_out(&mut self) -> (Vec<FilledRun>, u64) {
        let (mut runs, mut at) = (Vec::<FilledRun>::new(), 0);
        let mut put = |filling: Option<usize>, from: u64, len: u64| {
            match runs.last_mut() {
                Some(run) if run.filling == filling && run.from + run.len == from => run.len += len,
                _ => runs.push(FilledRun { filling, from, len }),
            }
            at += len;
            at - len
        };
        for (place, len) in self.tracks.iter_mut().flat_map(|t| t.chunks.iter_mut()) {
            // its duration becomes its new offset
            *len = put(None, *place, *len);
        }
        let mut next = vec![0usize; self.fillings.len()];
        let time = |f: &Filling, i: usize| {
            let dts = f.samples.get(i)?.dts - f.samples.first()?.dts;
            Some(dts.saturating_mul(1_000_000) / i64::from(f.timescale.max(1)))
        };
        let earliest = |fillings: &[Filling], next: &[usize]| {
            let waiting = (0..fillings.len()).filter_map(|i| Some((time(&fillings[i], next[i])?, i)));
            waiting.min()
        };
        while let Some((_, i)) = earliest(&self.fillings, &next) {
            let filling = &mut self.fillings[i];
            let until = filling.samples[next[i]].dts + TOGETHER_SECONDS * i64::from(filling.timescale);
            let rest = &mut filling.samples[next[i]..];
            // a group is never empty, whatever the times
            let count = 1 + rest[1..].iter().take_while(|s| s.dts < until).count();
            for sample in &mut rest[..count] {
                sample.offset = put(Some(i), sample.offset, sample.size.into());
            }
            next[i] += count;
        }
        (runs, at)
    }

    /// Appends the movie box, with chunk offsets relative to `base`.
    fn movie(&self, base: u64, out: &mut Vec<u8>) -> Result<(), IndexError> {
        let inside = Self::inside(self.bytes, Self::root(self.bytes)?)?;
        let mut longest = 0;
        for trak in inside.iter().filter(|b| &b.kind == b"trak") {
            if let Some(tkhd) = boxes::find(&Self::inside(self.bytes, *trak)?, b"tkhd") {
                let (_, length) = clock(&boxes::body(&self.bytes, tkhd)?, 8)?;
                longest = longest.max(self.grown(self.track(*trak)?, length, false));
            }
        }
        put(out, b"moov", |o| {
            for b in &inside {
                match &b.kind {
                    b"mvhd" => self.timed(*b, 4, longest, o)?,
                    b"trak" => self.trak(*b, self.track(*b)?, base, o)?,
                    _ => self.copy(*b, o),
                }
            }
            Ok(())
        })
    }

    fn track(&self, trak: BoxAt) -> Result<&TrackAt, IndexError> {
        self.tracks.iter().find(|t| t.start == trak.start).ok_or_else(|| left("a track is not there"))
    }

    fn grown(&self, track: &TrackAt, length: u64, own_clock: bool) -> u64 {
        let by = if own_clock { track.grows.0 } else { track.grows.1 };
        length.saturating_add_signed(by)
    }

    fn copy(&self, b: BoxAt, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[b.start as usize..b.end as usize]);
    }

    fn trak(&self, at: BoxAt, track: &TrackAt, base: u64, out: &mut Vec<u8>) -> Result<(), IndexError> {
        put(out, &at.kind, |o| {
            for b in Self::inside(self.bytes, at)? {
                match (&b.kind, track.filling) {
                    (b"stbl", Some(filling)) => self.filled(b, &self.fillings[filling], base, o)?,
                    (b"stbl", None) => self.moved(b, track, base, o)?,
                    (b"mdia" | b"minf" | b"edts", _) => self.trak(b, track, base, o)?,
                    (b"tkhd", Some(_)) => {
                        let (_, length) = clock(&boxes::body(&self.bytes, b)?, 8)?;
                        self.timed(b, 8, self.grown(track, length, false), o)?;
                    }
                    (b"mdhd", Some(_)) => {
                        let (_, length) = clock(&boxes::body(&self.bytes, b)?, 4)?;
                        self.timed(b, 4, self.grown(track, length, true), o)?;
                    }
                    (b"elst", Some(_)) => self.edits(b, track, o)?,
                    _ => self.copy(b, o),
                }
            }
            Ok(())
        })
    }

    /// A header with another duration; `between` bytes are before it, after the two dates.
    fn timed(&self, b: BoxAt, between: usize, length: u64, out: &mut Vec<u8>) -> Result<(), IndexError> {
        let body = boxes::body(&self.bytes, b)?;
        clock(&body, between)?;
        let word = if body[0] == 1 { 8 } else { 4 };
        let number = |at: usize| if word == 8 { be64(&body, at) } else { u64::from(be32(&body, at)) };
        put(out, &b.kind, |o| {
            full(o, 1, be32(&body, 0) & 0x00ff_ffff);
            u64s(o, &[number(4), number(4 + word)]);
            o.extend_from_slice(&body[4 + 2 * word..4 + 2 * word + between]);
            u64s(o, &[length]);
            o.extend_from_slice(&body[4 + 3 * word + between..]);
            Ok(())
        })
    }

    /// An edit list whose one edit, perhaps after an empty edit, is extended with its track.
    fn edits(&self, b: BoxAt, track: &TrackAt, out: &mut Vec<u8>) -> Result<(), IndexError> {
        let body = boxes::body(&self.bytes, b)?;
        let (word, row) = if body.first() == Some(&1) { (8, 20) } else { (4, 12) };
        let rows = if body.len() >= 8 { be32(&body, 4) as usize } else { 0 };
        if !(1..=2).contains(&rows) || body.len() != 8 + rows * row {
            return Err(left("an edit list of another kind"));
        }
        put(out, &b.kind, |o| {
            full(o, 1, 0);
            u32s(o, &[rows as u32]);
            for i in 0..rows {
                let at = 8 + i * row;
                let (length, begins) = match word {
                    8 => (be64(&body, at), be64(&body, at + 8) as i64),
                    _ => (u64::from(be32(&body, at)), i64::from(be32(&body, at + 4) as i32)),
                };
                if (begins < 0) != (i + 1 < rows) {
                    return Err(left("an edit list of another kind"));
                }
                let length = if i + 1 == rows { self.grown(track, length, false) } else { length };
                u64s(o, &[length, begins as u64]);
                o.extend_from_slice(&body[at + 2 * word..at + 2 * word + 4]);
            }
            Ok(())
        })
    }

    /// The sample table of a track that keeps its samples, at new offsets.
    fn moved(&self, at: BoxAt, track: &TrackAt, base: u64, out: &mut Vec<u8>) -> Result<(), IndexError> {
        put(out, &at.kind, |o| {
            for b in Self::inside(self.bytes, at)? {
                match &b.kind {
                    b"saio" => return Err(left("a table of other places")),
                    b"stco" | b"co64" => put(o, b"co64", |o| {
                        full(o, 0, 0);
                        u32s(o, &[track.chunks.len() as u32]);
                        track.chunks.iter().for_each(|(_, place)| u64s(o, &[base + place]));
                        Ok(())
                    })?,
                    _ => self.copy(b, o),
                }
            }
            Ok(())
        })
    }

    /// The sample table of a track with all its samples.
    fn filled(&self, at: BoxAt, filling: &Filling, base: u64, out: &mut Vec<u8>) -> Result<(), IndexError> {
        let inside = Self::inside(self.bytes, at)?;
        put(out, &at.kind, |o| {
            for b in inside.iter().filter(|b| &b.kind == b"stsd") {
                let start = o.len();
                self.copy(*b, o);
                filling.say_bitrate(&mut o[start..]);
            }
            sample_tables(o, &filling.samples, filling.last_duration, base)?;
            for b in &inside {
                match &b.kind {
                    b"stsd" | b"stts" | b"ctts" | b"stss" | b"stsz" | b"stsc" | b"stco" | b"co64" => {}
                    b"sgpd" => self.copy(*b, o),
                    b"sbgp" => groups(&boxes::body(&self.bytes, *b)?, filling.samples.len(), o)?,
                    _ => return Err(left("a table of another kind")),
                }
            }
            Ok(())
        })
    }
}

/// Sample groups: added samples belong to the last group, as where all need the same roll distance
/// and only the first ones have none.
fn groups(body: &[u8], samples: usize, out: &mut Vec<u8>) -> Result<(), IndexError> {
    let rows = if body.len() >= 12 { be32(body, 8) as usize } else { 0 };
    let head = if body.first() == Some(&0) { 12 } else { 0 };
    if head == 0 || !(1..=2).contains(&rows) || body.len() != head + rows * 8 {
        return Err(left("groups of samples"));
    }
    let last = body.len() - 8;
    let before = if rows == 2 { be32(body, head) as usize } else { 0 };
    let there = be32(body, last) as usize;
    if there <= before || before + there > samples {
        return Err(left("groups of samples"));
    }
    put(out, b"sbgp", |o| {
        o.extend_from_slice(&body[..last]);
        u32s(o, &[(samples - before) as u32]);
        o.extend_from_slice(&body[last + 4..]);
        Ok(())
    })
}

impl Filling {
    /// Duration in ticks.
    fn length(&self) -> i64 {
        match (self.samples.first(), self.samples.last()) {
            (Some(first), Some(last)) => last.dts - first.dts + i64::from(self.last_duration),
            _ => 0,
        }
    }

    /// Replaces the bit rate of the first samples in a description by the mean of all.
    fn say_bitrate(&self, stsd: &mut [u8]) {
        let bits = self.samples.iter().map(|s| u128::from(s.size) * 8).sum::<u128>();
        let ticks = u128::try_from(self.length()).unwrap_or(0).max(1);
        let mean = u32::try_from(bits * u128::from(self.timescale) / ticks).unwrap_or(u32::MAX);
        let Some(at) = stsd.windows(8).position(|w| w == b"\0\0\0\x14btrt") else { return };
        if let Some(rates) = stsd.get_mut(at + 12..at + 20) {
            rates[..4].copy_from_slice(&mean.to_be_bytes());
            rates[4..].copy_from_slice(&mean.to_be_bytes());
        }
    }
}

/// Whether the samples of a table are the first ones of a filling.
fn check(bytes: &[u8], tables: &[BoxAt], filling: &Filling, timescale: u32) -> Result<(), IndexError> {
    let (there, _) = tables::samples(&bytes, tables)?;
    if timescale != filling.timescale || there.is_empty() || there.len() > filling.samples.len() {
        return Err(left("a track with another clock"));
    }
    let (a, b) = (there[0].dts, filling.samples[0].dts);
    let same = |(x, y): (&Sample, &Sample)| {
        x.size == y.size
            && x.dts - a == y.dts - b
            && x.composition == y.composition
            && x.keyframe == y.keyframe
            && (x.description, y.description) == (1, 1)
    };
    match there.iter().zip(&filling.samples).all(same) {
        true => Ok(()),
        false => Err(left("a track whose first samples are others")),
    }
}

/// Timescale and duration in a header whose duration is `between` bytes after the two dates.
fn clock(body: &[u8], between: usize) -> Result<(u32, u64), IndexError> {
    let word = if body.first() == Some(&1) { 8 } else { 4 };
    let at = 4 + 2 * word;
    if body.len() < at + between + word {
        return Err(IndexError::broken("a header box is too short"));
    }
    let length = match word {
        8 => be64(body, at + between),
        _ => u64::from(be32(body, at + between)),
    };
    Ok((be32(body, at), length))
}
