//! Parts: the record of what a segment owns, and, for a map that needs a file, the file.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{MediaError, Result};
use crate::hash::PIECE;
use crate::mp4::{self, Brand, ByteSource, CountedFile, Edit, HeaderTrack, Sample, Track};
use crate::plan::{OpenIndex, PicturePlan, PictureSegment};
use crate::probe;
use crate::process::Limits;
use crate::tools::Tools;
use crate::track;

/// Record of the packets that one segment owns, as read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartLedger {
    /// Index of the segment.
    pub index: u32,
    /// Packets.
    pub packets: u64,
    /// Presented frames.
    pub frames: u64,
    /// Size of the packets in bytes.
    pub bytes: u64,
    /// XXH3-128 over the packets in decode order, in hexadecimal; `None` where they were not
    /// read, because the join will copy them unchanged.
    pub payload_xxh3: Option<String>,
}

/// The packets of a segment.
pub fn samples_of<'a>(open: &'a OpenIndex, segment: &PictureSegment) -> Result<&'a [Sample]> {
    let range = segment.first_packet as usize..segment.end_packet as usize;
    open.index
        .track
        .samples
        .get(range)
        .ok_or_else(|| MediaError::internal(format!("segment {} lies outside of the index", segment.index)))
}

/// Reads a segment's packets without writing a file: its part of a join by reference.
pub fn digest_part(open: &OpenIndex, segment: &PictureSegment) -> Result<PartLedger> {
    let samples = samples_of(open, segment)?;
    open.expect(samples)?;
    let (payload_xxh3, bytes) = digest(&open.file, samples)?;
    Ok(PartLedger {
        index: segment.index,
        packets: samples.len() as u64,
        frames: segment.frames,
        bytes,
        payload_xxh3: Some(payload_xxh3),
    })
}

/// What a segment owns by the plan, unread: its part of a join that copies packets unchanged.
pub fn owned(segment: &PictureSegment) -> PartLedger {
    PartLedger {
        index: segment.index,
        packets: segment.packets(),
        frames: segment.frames,
        bytes: segment.bytes,
        payload_xxh3: None,
    }
}

/// The record of a part that a map wrote.
pub fn ledger_of(part: &OpenIndex, segment: &PictureSegment) -> Result<PartLedger> {
    let track = &part.index.track;
    let (payload_xxh3, bytes) = digest(&part.file, &track.samples)?;
    Ok(PartLedger {
        index: segment.index,
        packets: track.samples.len() as u64,
        frames: track.frames(),
        bytes,
        payload_xxh3: Some(payload_xxh3),
    })
}

/// Digest and size of the samples' bytes, in order.
pub(crate) fn digest(file: &CountedFile, samples: &[Sample]) -> Result<(String, u64)> {
    let mut hash = Xxh3::new();
    let mut bytes = 0;
    each_run(file, samples, |piece| {
        hash.update(piece);
        bytes += piece.len() as u64;
        Ok(())
    })?;
    Ok((format!("{:032x}", hash.digest128()), bytes))
}

/// Passes on the samples' bytes, in order and in large pieces.
pub(crate) fn each_run(
    file: &CountedFile,
    samples: &[Sample],
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buf = vec![0; PIECE];
    let mut at = 0;
    while at < samples.len() {
        let start = samples[at].offset;
        let mut end = start;
        while let Some(s) = samples.get(at).filter(|s| s.offset == end) {
            end += u64::from(s.size);
            at += 1;
        }
        let mut pos = start;
        while pos < end {
            let n = (end - pos).min(PIECE as u64) as usize;
            file.read_at(pos, &mut buf[..n]).map_err(|e| {
                MediaError::carried(&e).unwrap_or_else(|| {
                    MediaError::source(format!("a packet at byte {pos} cannot be read: {e}"))
                })
            })?;
            take(&buf[..n])?;
            pos += n as u64;
        }
    }
    Ok(())
}

/// Name of a part's file: MP4 if it supports the codec, else MOV.
pub fn part_extension(plan: &PicturePlan, lossless: bool) -> &'static str {
    let codec = if lossless { "" } else { plan.codec.as_str() };
    match codec {
        "h264" | "hevc" | "vvc" | "av1" | "vp9" | "vp8" | "mpeg4" | "mpeg2video" | "mpeg1video" => "mp4",
        _ => "mov",
    }
}

/// Writes samples as a playable file of their own that starts at zero.
pub(crate) fn write_file(
    out: &Path,
    brand: Brand,
    track: &Track,
    samples: &[Sample],
    last_duration: u32,
    file: &CountedFile,
) -> Result<PartLedger> {
    let origin = samples.first().map_or(0, |s| s.dts);
    let first = samples.iter().map(Sample::pts).min().unwrap_or(0);
    let length = crate::cuts::end_of(samples, last_duration) - first;
    let edit = Edit { duration: length.max(0) as u64, media_time: first - origin, rate: 1 << 16 };
    let edits = if first >= origin { std::slice::from_ref(&edit) } else { &[] };
    write_with(out, brand, track, samples, last_duration, edits, file)
}

/// The same without an edit list: the packets keep their times, relative to the first.
pub(crate) fn write_unedited(
    out: &Path,
    track: &Track,
    samples: &[Sample],
    file: &CountedFile,
) -> Result<()> {
    write_with(out, Brand::QuickTime, track, samples, track.last_duration, &[], file).map(drop)
}

fn write_with(
    out: &Path,
    brand: Brand,
    track: &Track,
    samples: &[Sample],
    last_duration: u32,
    edits: &[Edit],
    file: &CountedFile,
) -> Result<PartLedger> {
    let mut placed = Vec::with_capacity(samples.len());
    let mut at = 0;
    for sample in samples {
        placed.push(Sample { offset: at, ..*sample });
        at += u64::from(sample.size);
    }
    let header = mp4::write_header(&HeaderTrack {
        brand,
        kind: mp4::TrackKind::Picture,
        timescale: track.timescale,
        language: track.language,
        matrix: track.matrix,
        width: track.width,
        height: track.height,
        stsd: &track.stsd,
        edits,
        samples: &placed,
        last_duration,
        body_len: at,
    })
    .map_err(|e| MediaError::internal(format!("writing a part's index: {e}")))?;
    let failed = |e: &std::io::Error| MediaError::io(format!("writing {}", out.display()), e);
    let part = out.with_extension("partial");
    let mut to = BufWriter::with_capacity(PIECE, fs::File::create(&part).map_err(|e| failed(&e))?);
    to.write_all(&header.bytes).map_err(|e| failed(&e))?;
    let mut hash = Xxh3::new();
    let mut bytes = 0;
    each_run(file, samples, |piece| {
        hash.update(piece);
        bytes += piece.len() as u64;
        to.write_all(piece).map_err(|e| failed(&e))
    })?;
    let done = to.into_inner().map_err(|e| failed(e.error()))?;
    done.sync_all().map_err(|e| failed(&e))?;
    fs::rename(&part, out).map_err(|e| failed(&e))?;
    Ok(PartLedger {
        index: 0,
        packets: samples.len() as u64,
        frames: samples.iter().filter(|s| !s.hidden).count() as u64,
        bytes,
        payload_xxh3: Some(format!("{:032x}", hash.digest128())),
    })
}

/// A file with an index that the join can read: `part` itself, or, if a map wrote another
/// container, its video copied into MOV or MP4 beside it.
///
/// # Errors
/// A file that ffmpeg cannot read, or that has no video.
pub async fn indexed(tools: &Tools, part: &Path, limits: &Limits) -> Result<PathBuf> {
    let file = CountedFile::new(probe::open(part)?).map_err(|e| MediaError::io(part.display(), &e))?;
    if mp4::looks_like_mov(&file) {
        return Ok(part.to_owned());
    }
    let facts = probe::probe(tools, part).await?;
    let stream = facts
        .primary_video()
        .ok_or_else(|| MediaError::source(format!("{}: holds no picture", part.display())))?;
    let beside = part.with_extension("indexed");
    fs::create_dir_all(&beside).map_err(|e| MediaError::io(beside.display(), &e))?;
    let made = track::write(tools, part, &beside, &facts, stream, limits).await?;
    Ok(beside.join(made.file_name))
}

/// Copies a closed segment into a file of its own.
pub fn copy_part(
    open: &OpenIndex,
    plan: &PicturePlan,
    segment: &PictureSegment,
    out: &Path,
) -> Result<PartLedger> {
    if !segment.is_closed() {
        return Err(MediaError::internal(format!("segment {} cannot be cut by copying", segment.index)));
    }
    let samples = samples_of(open, segment)?;
    open.expect(samples)?;
    let track = &open.index.track;
    let last = match open.index.track.samples.get(segment.end_packet as usize) {
        Some(next) => samples.last().map_or(0, |s| next.dts - s.dts) as u32,
        None => track.last_duration,
    };
    let brand = if part_extension(plan, false) == "mp4" { Brand::Mp4 } else { Brand::QuickTime };
    let ledger = write_file(out, brand, track, samples, last, &open.file)?;
    Ok(PartLedger { index: segment.index, ..ledger })
}

/// Path of a segment's part below `dir`.
pub fn part_path(dir: &Path, plan: &PicturePlan, segment: &PictureSegment, lossless: bool) -> PathBuf {
    let total = plan.segments.len();
    dir.join(format!("{:05}_{total:05}.{}", segment.index, part_extension(plan, lossless)))
}
