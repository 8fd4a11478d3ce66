//! The joined video track as an index over the packets of all parts; no media is copied.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::cuts;
use crate::describe;
use crate::error::{MediaError, Result};
use crate::lossless::owned_times;
use crate::mp4::{self, Brand, Edit, Filling, HeaderTrack, Sample, Track, TrackChoice};
use crate::part;
use crate::plan::{OpenIndex, PicturePlan, PictureSegment, open_at};
use crate::times;

/// A coarser timescale is multiplied, so that any shift is exact to 0.05 ms.
const FINE_CLOCK: u32 = 10_000;
/// Maximum number of input files opened at once, below the usual limit on file descriptors.
const MAX_BODIES: usize = 200;

/// A video track whose samples are in several files.
#[derive(Debug)]
pub struct Assembled {
    /// Body files, in the order in which they follow the header.
    pub bodies: Vec<PathBuf>,
    /// The track; sample offsets are relative to the first byte of the first body.
    pub track: Track,
    /// Dialect: MP4 or MOV.
    pub brand: Brand,
    /// First sample of every segment, and the number of samples.
    pub seams: Vec<usize>,
    body_len: u64,
}

impl Assembled {
    /// A copy with only the first packets.
    pub fn first_packets(&self, most: usize) -> Assembled {
        let samples = self.track.samples.iter().take(most).copied().collect();
        Assembled {
            bodies: self.bodies.clone(),
            track: Track {
                samples,
                stsd: self.track.stsd.clone(),
                edits: self.track.edits.clone(),
                ..self.track
            },
            brand: self.brand,
            seams: Vec::new(),
            body_len: self.body_len,
        }
    }

    /// All packets at the offsets of [`write_virtual`], to fill the track of a movie box.
    pub(crate) fn filling(&self, track: usize) -> Filling {
        let (samples, finer) = self.on_fine_clock();
        let last_duration = self.track.last_duration.saturating_mul(finer);
        Filling { track, timescale: self.track.timescale * finer, samples, last_duration }
    }

    /// The samples with times relative to the first one, on a timescale that is fine enough, and its factor.
    fn on_fine_clock(&self) -> (Vec<Sample>, u32) {
        let mut finer = 1;
        while self.track.timescale * finer < FINE_CLOCK {
            finer *= 2;
        }
        let first = self.track.samples.first().map_or(0, |s| s.dts);
        let scaled = |s: &Sample| Sample {
            dts: (s.dts - first) * i64::from(finer),
            composition: s.composition.saturating_mul(finer as i32),
            ..*s
        };
        (self.track.samples.iter().map(scaled).collect(), finer)
    }
}

/// The video track of a join by reference: the packets of every segment where they are stored.
pub fn by_reference(open: &OpenIndex, plan: &PicturePlan, body: &Path) -> Result<Assembled> {
    let mut track = open.index.track.clone();
    let mut samples = Vec::with_capacity(track.samples.len());
    let mut seams = Vec::new();
    for segment in &plan.segments {
        seams.push(samples.len());
        samples.extend_from_slice(part::samples_of(open, segment)?);
    }
    seams.push(samples.len());
    track.samples = samples;
    let body_len = fs::metadata(body).map_err(|e| MediaError::io(body.display(), &e))?.len();
    Ok(Assembled { bodies: vec![body.to_owned()], track, brand: open.index.brand, seams, body_len })
}

/// The video track of a join of the files that a map wrote.
pub fn from_parts(open: &OpenIndex, plan: &PicturePlan, parts: &[PathBuf], work: &Path) -> Result<Assembled> {
    if parts.len() != plan.segments.len() {
        return Err(MediaError::internal(format!(
            "{} parts for {} segments",
            parts.len(),
            plan.segments.len()
        )));
    }
    let mut joined: Option<(Track, Brand, Vec<u8>)> = None;
    let (mut samples, mut seams, mut body_len) = (Vec::new(), Vec::new(), 0u64);
    for (segment, path) in plan.segments.iter().zip(parts) {
        let part = read_part(path, segment)?;
        let key = describe::decoding_key(&part.index.track.stsd);
        let (track, _, first_key) = joined.get_or_insert_with(|| {
            let head = Track { samples: Vec::new(), ..part.index.track.clone() };
            (head, part.index.brand, key.clone())
        });
        check_alike(track, first_key, &part.index.track, &key, segment)?;
        seams.push(samples.len());
        samples.extend(timed(&open.index.track, plan, segment, &part, body_len)?);
        body_len += mp4::ByteSource::len(&part.file);
    }
    seams.push(samples.len());
    let (mut track, brand, _) = joined.ok_or_else(|| MediaError::internal("a join of no parts"))?;
    settle_decode_times(&mut samples, &open.index.track)?;
    track.samples = samples;
    track.timescale = plan.timebase.den;
    track.language = open.index.track.language;
    track.last_duration = open.index.track.last_duration;
    let bodies = few(parts, work)?;
    Ok(Assembled { bodies, track, brand, seams, body_len })
}

/// The index of a part that a map wrote, checked against the frames its segment owns.
pub fn read_part(path: &Path, segment: &PictureSegment) -> Result<OpenIndex> {
    let mut part =
        open_at(path, TrackChoice::FirstVideo).map_err(|e| e.context(format!("part {}", segment.index)))?;
    let movie = part.index.movie_timescale;
    let hidden = part.index.track.mark_hidden(movie).unwrap_or(0);
    let got = part.index.track.frames();
    if got != segment.frames || part.index.lost.is_some_and(|l| l.samples > 0) {
        return Err(MediaError::source(format!(
            "FRAME MISMATCH in segment {}: it owns {} frames and the map wrote {got}; a map must write every frame once",
            segment.index, segment.frames
        )));
    }
    if hidden > 0 {
        return Err(MediaError::source(format!(
            "segment {}: {hidden} packets of the map's output are hidden by an edit list; write the part without cutting into it",
            segment.index
        )));
    }
    Ok(part)
}

fn check_alike(
    first: &Track,
    first_key: &[u8],
    track: &Track,
    key: &[u8],
    segment: &PictureSegment,
) -> Result<()> {
    let n = segment.index;
    if describe::size(&first.stsd) != describe::size(&track.stsd) {
        return Err(MediaError::source(format!(
            "part {n} has another size of picture ({:?}) than part 0 ({:?}); a map must give all parts the same",
            describe::size(&track.stsd),
            describe::size(&first.stsd)
        )));
    }
    if first_key != key {
        return Err(MediaError::source(format!(
            "part {n} is coded with other settings than part 0; a map must use the same encoder and settings for all parts"
        )));
    }
    if first.matrix != track.matrix {
        return Err(MediaError::source(format!("part {n} is rotated in another way than part 0")));
    }
    Ok(())
}

/// A part's samples with the source's times, and offsets relative to the first body.
fn timed(
    source: &Track,
    plan: &PicturePlan,
    segment: &PictureSegment,
    part: &OpenIndex,
    base: u64,
) -> Result<Vec<Sample>> {
    let times = owned_times(&source.samples, segment, plan.anchor);
    let samples = &part.index.track.samples;
    let ranks = times::ranks(samples);
    let mut out = Vec::with_capacity(samples.len());
    for (sample, rank) in samples.iter().zip(ranks) {
        let pts = *times.get(rank).ok_or_else(|| MediaError::internal("more frames than times"))?;
        let offset = sample
            .offset
            .checked_add(base)
            .ok_or_else(|| MediaError::source("a packet lies beyond any file"))?;
        // the decode time holds the presentation time until all parts are known
        out.push(Sample { offset, dts: pts, composition: 0, description: 1, ..*sample });
    }
    Ok(out)
}

/// Decode times of the whole track: the source's own if the decode order is unchanged.
fn settle_decode_times(samples: &mut [Sample], source: &Track) -> Result<()> {
    let same_order = samples.len() == source.samples.len()
        && samples.iter().zip(&source.samples).all(|(a, b)| a.dts == b.pts());
    let pts: Vec<i64> = samples.iter().map(|s| s.dts).collect();
    let dts: Vec<i64> =
        if same_order { source.samples.iter().map(|s| s.dts).collect() } else { times::decode_times(&pts) };
    for ((sample, dts), pts) in samples.iter_mut().zip(dts).zip(pts) {
        sample.dts = dts;
        sample.composition = i32::try_from(pts - dts)
            .map_err(|_| MediaError::source("a frame is shown too long after it is decoded"))?;
    }
    Ok(())
}

/// Limits the number of open files: many small parts are concatenated into one file first.
fn few(parts: &[PathBuf], work: &Path) -> Result<Vec<PathBuf>> {
    if parts.len() <= MAX_BODIES {
        return Ok(parts.to_vec());
    }
    let path = work.join("parts.bytes");
    let failed = |e: std::io::Error| MediaError::io(format!("writing {}", path.display()), &e);
    let mut all = fs::File::create(&path).map_err(failed)?;
    for part in parts {
        let mut from = fs::File::open(part).map_err(failed)?;
        std::io::copy(&mut from, &mut all).map_err(failed)?;
    }
    Ok(vec![path])
}

/// ffmpeg's input list of a virtual track, and the offset between its clock and the index's.
#[derive(Debug)]
pub struct VirtualMovie {
    /// The list file.
    pub list: PathBuf,
    /// The files that the list names.
    pub files: Vec<PathBuf>,
    /// Timescale of the header, ticks per second.
    pub timescale: u32,
    /// Offset from the header's times to the index's, in ticks of the plan's timescale.
    pub origin: i64,
}

/// Writes the header and the input list into `work`.
pub fn write_virtual(assembled: &Assembled, work: &Path) -> Result<VirtualMovie> {
    let track = &assembled.track;
    let (scaled, finer) = assembled.on_fine_clock();
    let first = track.samples.first().map_or(0, |s| s.dts);
    // packets before the first presented frame are only decoded: an edit list hides them
    let edit = hidden_head(track).map(|(start, end)| Edit {
        duration: (end - start) as u64 * u64::from(finer),
        media_time: (start - first) * i64::from(finer),
        rate: 1 << 16,
    });
    let origin = hidden_head(track).map_or(first, |(start, _)| start);
    let header = mp4::write_header(&HeaderTrack {
        brand: assembled.brand,
        kind: mp4::TrackKind::Picture,
        timescale: track.timescale * finer,
        language: track.language,
        matrix: track.matrix,
        width: track.width,
        height: track.height,
        stsd: &track.stsd,
        edits: edit.as_slice(),
        samples: &scaled,
        last_duration: track.last_duration.saturating_mul(finer),
        body_len: assembled.body_len,
    })
    .map_err(|e| MediaError::internal(format!("writing the joined index: {e}")))?;
    let (head, list) = (work.join("joined.head"), work.join("joined.list"));
    let write = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).map_err(|e| MediaError::io(format!("writing {}", path.display()), &e))
    };
    write(&head, &header.bytes)?;
    let files: Vec<PathBuf> = std::iter::once(&head).chain(&assembled.bodies).cloned().collect();
    let mut lines = Vec::new();
    for file in &files {
        let file = std::path::absolute(file).map_err(|e| MediaError::io(file.display(), &e))?;
        lines.extend_from_slice(quoted(&file).as_bytes());
        lines.push(b'\n');
    }
    write(&list, &lines)?;
    Ok(VirtualMovie { list, files, timescale: track.timescale * finer, origin })
}

/// First presented tick and first tick after the end, if packets are hidden.
fn hidden_head(track: &Track) -> Option<(i64, i64)> {
    track.samples.iter().find(|s| s.hidden)?;
    let shown = track.samples.iter().filter(|s| !s.hidden);
    let start = shown.map(Sample::pts).min()?;
    Some((start, cuts::end_of(&track.samples, track.last_duration)))
}

/// A file's URL, quoted for ffmpeg's concat lists.
pub(crate) fn quoted(path: &Path) -> OsString {
    let mut line = b"'file:".to_vec();
    for &b in path.as_os_str().as_bytes() {
        match b {
            b'\'' => line.extend_from_slice(b"'\\''"),
            other => line.push(other),
        }
    }
    line.push(b'\'');
    OsString::from_vec(line)
}
