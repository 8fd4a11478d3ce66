//! The samples of a fragmented MP4 with one track, as an encoder writes it.
//!
//! A muxer that writes fragments releases the entries of each fragment once it is written: ten hours need
//! no more memory than ten minutes. ISO/IEC 14496-12, 8.8.

use super::IndexError;
use super::boxes::{self, BoxAt, be32, be64};
use super::parse::Sample;
use super::source::ByteSource;

/// Maximum number of samples, as in [`super::tables`].
const MAX_SAMPLES: usize = 1 << 22;
/// Flag of a track fragment: offsets are relative to its movie fragment.
const BASE_IS_MOOF: u32 = 0x02_0000;
/// Flag of a sample: not a sync sample.
const NOT_SYNC: u32 = 0x01_0000;

/// All samples of the one track of a fragmented file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragments {
    /// Timescale, ticks per second.
    pub timescale: u32,
    /// The samples in decode order.
    pub samples: Vec<Sample>,
    /// Duration of the last sample in ticks.
    pub last_duration: u32,
    /// Offset after the first fragment and its media.
    pub first_end: u64,
}

/// Defaults for fields that a fragment omits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// Reads the fragments of a file with one track.
///
/// # Errors
/// Not one track, offsets that are not relative to the fragment, contradictory numbers.
pub fn read_fragments(src: &impl ByteSource) -> Result<Fragments, IndexError> {
    let top = boxes::top(src)?;
    let moov = boxes::find(&top, b"moov").ok_or_else(|| IndexError::Missing("no moov box".into()))?;
    let (timescale, defaults) = movie(src, moov)?;
    let mut all = Fragments { timescale, samples: Vec::new(), last_duration: 0, first_end: 0 };
    let mut next = 0;
    for (i, moof) in top.iter().enumerate().filter(|(_, b)| &b.kind == b"moof") {
        fragment(src, *moof, defaults, &mut next, &mut all)?;
        if all.first_end == 0 {
            all.first_end = top.get(i + 1).filter(|b| &b.kind == b"mdat").map_or(moof.end, |b| b.end);
        }
    }
    Ok(all)
}

/// The timescale of the one track, and the defaults of its fragments.
pub(super) fn movie(src: &impl ByteSource, moov: BoxAt) -> Result<(u32, Defaults), IndexError> {
    let inside = boxes::inside(src, moov)?;
    let mut traks = inside.iter().filter(|b| &b.kind == b"trak");
    let (Some(trak), None) = (traks.next(), traks.next()) else {
        return Err(IndexError::Unsupported("fragments of more tracks than one".into()));
    };
    let mdia = required(src, *trak, b"mdia")?;
    let mdhd = boxes::body(src, required(src, mdia, b"mdhd")?)?;
    let timescale = Fields { bytes: &mdhd, at: if mdhd.first() == Some(&1) { 20 } else { 12 } }.u32()?;
    if timescale == 0 {
        return Err(IndexError::broken("a clock of 0 ticks a second"));
    }
    let mvex = boxes::find(&inside, b"mvex").ok_or_else(|| IndexError::broken("no mvex box"))?;
    let trex = boxes::body(src, required(src, mvex, b"trex")?)?;
    let mut fields = Fields { bytes: &trex, at: 12 };
    Ok((timescale, Defaults { duration: fields.u32()?, size: fields.u32()?, flags: fields.u32()? }))
}

pub(super) fn fragment(
    src: &impl ByteSource,
    moof: BoxAt,
    mut defaults: Defaults,
    next: &mut i64,
    all: &mut Fragments,
) -> Result<(), IndexError> {
    let inside = boxes::inside(src, moof)?;
    let mut trafs = inside.iter().filter(|b| &b.kind == b"traf");
    let (Some(traf), None) = (trafs.next(), trafs.next()) else {
        return Err(IndexError::Unsupported("a fragment of more tracks than one".into()));
    };
    let inside = boxes::inside(src, *traf)?;
    let tfhd = boxes::find(&inside, b"tfhd").ok_or_else(|| IndexError::broken("no tfhd box"))?;
    let head = boxes::body(src, tfhd)?;
    let mut fields = Fields { bytes: &head, at: 0 };
    let flags = fields.u32()?;
    fields.u32()?;
    if flags & BASE_IS_MOOF == 0 || flags & 1 != 0 {
        return Err(IndexError::Unsupported("places that do not count from the fragment".into()));
    }
    if flags & 2 != 0 {
        fields.u32()?;
    }
    for (flag, value) in [(8, &mut defaults.duration), (16, &mut defaults.size), (32, &mut defaults.flags)] {
        if flags & flag != 0 {
            *value = fields.u32()?;
        }
    }
    if let Some(tfdt) = boxes::find(&inside, b"tfdt") {
        let body = boxes::body(src, tfdt)?;
        let mut fields = Fields { bytes: &body, at: 4 };
        let time = if body.first() == Some(&1) { fields.u64()? } else { fields.u32()?.into() };
        *next = i64::try_from(time).map_err(|_| IndexError::broken("a time beyond all clocks"))?;
    }
    let mut at = None;
    for trun in inside.iter().filter(|b| &b.kind == b"trun") {
        run(src, *trun, moof.start, defaults, &mut at, next, all)?;
    }
    Ok(())
}

/// One track run; `at` is the end of the one before.
fn run(
    src: &impl ByteSource,
    trun: BoxAt,
    base: u64,
    defaults: Defaults,
    at: &mut Option<u64>,
    next: &mut i64,
    all: &mut Fragments,
) -> Result<(), IndexError> {
    let body = boxes::body(src, trun)?;
    let mut fields = Fields { bytes: &body, at: 0 };
    let head = fields.u32()?;
    let (version, flags) = (head >> 24, head & 0x00ff_ffff);
    let count = fields.u32()? as usize;
    if all.samples.len().saturating_add(count) > MAX_SAMPLES {
        return Err(IndexError::broken(format!("more than {MAX_SAMPLES} samples")));
    }
    let mut place = match (flags & 1 != 0, *at) {
        (true, _) => base.checked_add_signed(i64::from(fields.u32()? as i32)),
        (false, at) => at,
    }
    .ok_or_else(|| IndexError::broken("a run without a place"))?;
    let first_flags = if flags & 4 != 0 { Some(fields.u32()?) } else { None };
    for i in 0..count {
        let mut given = |flag: u32, default: u32| match flags & flag {
            0 => Ok(default),
            _ => fields.u32(),
        };
        let duration = given(0x100, defaults.duration)?;
        let size = given(0x200, defaults.size)?;
        let own_flags = given(0x400, first_flags.filter(|_| i == 0).unwrap_or(defaults.flags))?;
        let composition = given(0x800, 0)?;
        if version == 0 && composition > i32::MAX as u32 {
            return Err(IndexError::broken("a composition time beyond all clocks"));
        }
        let end = place.checked_add(size.into()).filter(|end| *end <= src.len());
        let end = end.ok_or_else(|| IndexError::broken("a sample that is not in the file"))?;
        all.samples.push(Sample {
            offset: place,
            dts: *next,
            size,
            composition: composition as i32,
            description: 1,
            keyframe: own_flags & NOT_SYNC == 0,
            hidden: false,
        });
        all.last_duration = duration;
        *next = next.saturating_add(duration.into());
        place = end;
    }
    *at = Some(place);
    Ok(())
}

pub(super) fn required(src: &impl ByteSource, of: BoxAt, kind: &[u8; 4]) -> Result<BoxAt, IndexError> {
    boxes::find(&boxes::inside(src, of)?, kind)
        .ok_or_else(|| IndexError::broken(format!("no {} box", String::from_utf8_lossy(kind))))
}

/// Reader of consecutive integers.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn u32(&mut self) -> Result<u32, IndexError> {
        self.room(4).map(|at| be32(self.bytes, at))
    }

    fn u64(&mut self) -> Result<u64, IndexError> {
        self.room(8).map(|at| be64(self.bytes, at))
    }

    fn room(&mut self, len: usize) -> Result<usize, IndexError> {
        let at = self.at;
        if self.bytes.len() < at + len {
            return Err(IndexError::broken("a box of a fragment is too short"));
        }
        self.at += len;
        Ok(at)
    }
}
