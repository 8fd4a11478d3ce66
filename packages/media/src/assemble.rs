//! The joined picture without a byte copied: one index over all parts.

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

/// A clock coarser than this is made finer, so that any shift lands within 0.05 ms.
const FINE_CLOCK: u32 = 10_000;
/// More files than this at once would come near the limit on open files.
const MAX_BODIES: usize = 200;

/// A picture made of the samples of several files.
#[derive(Debug)]
pub struct Assembled {
    /// The files whose bytes follow the header, in order.
    pub bodies: Vec<PathBuf>,
    /// The track; sample offsets count from the first byte of the first body.
    pub track: Track,
    /// Dialect.
    pub brand: Brand,
    /// First sample of every segment, and the number of samples.
    pub seams: Vec<usize>,
    body_len: u64,
}

impl Assembled {
    /// The same with its first packets alone.
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

    /// All packets as [`write_virtual`] has them, to fill the track of a movie.
    pub(crate) fn filling(&self, track: usize) -> Filling {
        let (samples, finer) = self.on_fine_clock();
        let last_duration = self.track.last_duration.saturating_mul(finer);
        Filling { track, timescale: self.track.timescale * finer, samples, last_duration }
    }

    /// The samples counted from the first one on a clock fine enough, and how much finer it is.
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

/// The picture of a join by reference: every segment's packets where they lie.
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

/// The picture of a join of files that came back from a map.
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

/// The index of a part that came back, checked against what its segment owns.
pub fn read_part(path: &Path, segment: &PictureSegment) -> Result<OpenIndex> {
    let mut part =
        open_at(path, TrackChoice::FirstVideo).map_err(|e| e.context(format!("part {}", segment.index)))?;
    let movie = part.index.movie_timescale;
    let hidden = part.index.track.mark_hidden(movie).unwrap_or(0);
    let got = part.index.track.frames();
    if got != segment.frames || part.index.lost.is_some_and(|l| l.samples > 0) {
        return Err(MediaError::source(format!(
            "FRAME MISMATCH in segment {}: it owns {} frames and the map gave {got}; a map must give back every frame once",
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

/// A part's samples with the source's times, and places counted from the first body.
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
        // the presentation time stands in for the decode time until all parts are known
        out.push(Sample { offset, dts: pts, composition: 0, description: 1, ..*sample });
    }
    Ok(out)
}

/// Decode times for the whole: the source's own where the order of pictures is still its own.
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

/// Few enough files to have open at once: many small parts are first put into one.
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

/// The list for ffmpeg, and how far its clock stands from the index's.
#[derive(Debug)]
pub struct VirtualMovie {
    /// The list file.
    pub list: PathBuf,
    /// The files that the list names.
    pub files: Vec<PathBuf>,
    /// Ticks a second of the header's clock.
    pub timescale: u32,
    /// Add to the header's times to get the index's, in ticks of the plan's clock.
    pub origin: i64,
}

/// Writes the header and the list into `work`.
pub fn write_virtual(assembled: &Assembled, work: &Path) -> Result<VirtualMovie> {
    let track = &assembled.track;
    let (scaled, finer) = assembled.on_fine_clock();
    let first = track.samples.first().map_or(0, |s| s.dts);
    // what comes before the first frame shown is decoded only: an edit says so
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

/// First tick shown and first tick after, where packets are hidden.
fn hidden_head(track: &Track) -> Option<(i64, i64)> {
    track.samples.iter().find(|s| s.hidden)?;
    let shown = track.samples.iter().filter(|s| !s.hidden);
    let start = shown.map(Sample::pts).min()?;
    Some((start, cuts::end_of(&track.samples, track.last_duration)))
}

/// A file's URL in the quotes of ffmpeg's lists.
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
