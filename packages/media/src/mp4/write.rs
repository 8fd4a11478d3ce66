//! Writes movie boxes for one track whose samples are in bytes that
//! follow the header, whatever their origin.

use super::IndexError;
use super::edits::Edit;
use super::parse::{Brand, Sample};

/// Kind of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackKind {
    /// Video.
    Picture,
    /// Audio.
    Sound,
}

/// The track that a header describes; sample offsets are relative to the end of the header.
#[derive(Debug, Clone)]
pub struct HeaderTrack<'a> {
    /// Dialect to write.
    pub brand: Brand,
    /// Video or audio.
    pub kind: TrackKind,
    /// Timescale of the track and of the movie, ticks per second.
    pub timescale: u32,
    /// Packed language code.
    pub language: u16,
    /// Display matrix.
    pub matrix: [u8; 36],
    /// Display width as 16.16.
    pub width: u32,
    /// Display height as 16.16.
    pub height: u32,
    /// The complete sample description box.
    pub stsd: &'a [u8],
    /// Edit list, in ticks of `timescale` throughout.
    pub edits: &'a [Edit],
    /// Samples in decode order.
    pub samples: &'a [Sample],
    /// Duration of the last sample in ticks.
    pub last_duration: u32,
    /// Number of bytes that follow the header.
    pub body_len: u64,
}

/// A header.
#[derive(Debug, Clone)]
pub struct MovHeader {
    /// `ftyp`, `moov`, and the header of an `mdat` of the body's size.
    pub bytes: Vec<u8>,
}

/// Writes the header.
pub fn write_header(track: &HeaderTrack<'_>) -> Result<MovHeader, IndexError> {
    // chunk offsets have a fixed width, so the first pass only measures
    let measured = layout(track, 0)?.len() as u64;
    let bytes = layout(track, measured)?;
    debug_assert_eq!(bytes.len() as u64, measured, "the header's length depends on the offsets");
    Ok(MovHeader { bytes })
}

fn layout(track: &HeaderTrack<'_>, base: u64) -> Result<Vec<u8>, IndexError> {
    let mut out = Vec::with_capacity(1024 + track.samples.len() * 16);
    put(&mut out, b"ftyp", |o| {
        o.extend_from_slice(match track.brand {
            Brand::Mp4 => b"isom\0\0\x02\0isomiso2mp41",
            Brand::QuickTime => b"qt  \0\0\x02\0qt  ",
        });
        Ok(())
    })?;
    put(&mut out, b"moov", |o| movie(o, track, base))?;
    out.extend_from_slice(&1u32.to_be_bytes());
    out.extend_from_slice(b"mdat");
    out.extend_from_slice(&(track.body_len + 16).to_be_bytes());
    Ok(out)
}

pub(super) type Done = Result<(), IndexError>;

pub(super) fn put(out: &mut Vec<u8>, kind: &[u8; 4], fill: impl FnOnce(&mut Vec<u8>) -> Done) -> Done {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    fill(out)?;
    let size = u32::try_from(out.len() - at)
        .map_err(|_| IndexError::Unsupported("an index of more than 4 GiB".into()))?;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}

pub(super) fn full(out: &mut Vec<u8>, version: u8, flags: u32) {
    out.extend_from_slice(&((u32::from(version) << 24) | flags).to_be_bytes());
}

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
}

pub(super) fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
}

pub(super) fn u64s(out: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
}

const UNITY: [u8; 36] = {
    let mut m = [0; 36];
    m[1] = 1;
    m[17] = 1;
    m[32] = 0x40;
    m
};

fn movie(out: &mut Vec<u8>, track: &HeaderTrack<'_>, base: u64) -> Done {
    let media = media_duration(track);
    let shown = if track.edits.is_empty() { media } else { track.edits.iter().map(|e| e.duration).sum() };
    put(out, b"mvhd", |o| {
        full(o, 1, 0);
        u64s(o, &[0, 0]);
        u32s(o, &[track.timescale]);
        u64s(o, &[shown]);
        u32s(o, &[0x0001_0000, 0x0100_0000, 0, 0]);
        o.extend_from_slice(&UNITY);
        u32s(o, &[0, 0, 0, 0, 0, 0, 2]);
        Ok(())
    })?;
    put(out, b"trak", |o| {
        put(o, b"tkhd", |o| {
            full(o, 1, 3);
            u64s(o, &[0, 0]);
            u32s(o, &[1, 0]);
            u64s(o, &[shown, 0]);
            u32s(o, &[0, 0]);
            o.extend_from_slice(&track.matrix);
            u32s(o, &[track.width, track.height]);
            Ok(())
        })?;
        if !track.edits.is_empty() {
            put(o, b"edts", |o| put(o, b"elst", |o| edits(o, track.edits)))?;
        }
        put(o, b"mdia", |o| media_box(o, track, media, base))
    })
}

fn media_duration(track: &HeaderTrack<'_>) -> u64 {
    match (track.samples.first(), track.samples.last()) {
        (Some(first), Some(last)) => (last.dts - first.dts).max(0) as u64 + u64::from(track.last_duration),
        _ => 0,
    }
}

fn edits(out: &mut Vec<u8>, edits: &[Edit]) -> Done {
    full(out, 1, 0);
    u32s(out, &[edits.len() as u32]);
    for edit in edits {
        u64s(out, &[edit.duration, edit.media_time as u64]);
        u32s(out, &[edit.rate]);
    }
    Ok(())
}

fn media_box(out: &mut Vec<u8>, track: &HeaderTrack<'_>, duration: u64, base: u64) -> Done {
    put(out, b"mdhd", |o| {
        full(o, 1, 0);
        u64s(o, &[0, 0]);
        u32s(o, &[track.timescale]);
        u64s(o, &[duration]);
        u16s(o, &[track.language, 0]);
        Ok(())
    })?;
    put(out, b"hdlr", |o| {
        full(o, 0, 0);
        let component: &[u8; 4] = if track.brand == Brand::QuickTime { b"mhlr" } else { &[0; 4] };
        o.extend_from_slice(component);
        o.extend_from_slice(match track.kind {
            TrackKind::Picture => b"vide",
            TrackKind::Sound => b"soun",
        });
        u32s(o, &[0, 0, 0]);
        o.extend_from_slice(match (track.brand, track.kind) {
            (Brand::QuickTime, TrackKind::Picture) => b"\x0cVideoHandler",
            (Brand::QuickTime, TrackKind::Sound) => b"\x0cSoundHandler",
            (Brand::Mp4, TrackKind::Picture) => b"VideoHandler\0",
            (Brand::Mp4, TrackKind::Sound) => b"SoundHandler\0",
        });
        Ok(())
    })?;
    put(out, b"minf", |o| {
        match track.kind {
            TrackKind::Picture => put(o, b"vmhd", |o| {
                full(o, 0, 1);
                u16s(o, &[0, 0, 0, 0]);
                Ok(())
            })?,
            TrackKind::Sound => put(o, b"smhd", |o| {
                full(o, 0, 0);
                u16s(o, &[0, 0]);
                Ok(())
            })?,
        }
        put(o, b"dinf", |o| {
            put(o, b"dref", |o| {
                full(o, 0, 0);
                u32s(o, &[1]);
                put(o, b"url ", |o| {
                    full(o, 0, 1);
                    Ok(())
                })
            })
        })?;
        put(o, b"stbl", |o| sample_table(o, track, base))
    })
}

fn sample_table(out: &mut Vec<u8>, track: &HeaderTrack<'_>, base: u64) -> Done {
    out.extend_from_slice(track.stsd);
    sample_tables(out, track.samples, track.last_duration, base)
}

/// The tables of times, sync samples, sizes and chunk offsets, which are relative to `base`.
pub(super) fn sample_tables(out: &mut Vec<u8>, samples: &[Sample], last_duration: u32, base: u64) -> Done {
    put(out, b"stts", |o| {
        full(o, 0, 0);
        let lengths = decode_lengths(samples, last_duration)?;
        runs(o, lengths.iter().copied());
        Ok(())
    })?;
    if samples.iter().any(|s| s.composition != 0) {
        put(out, b"ctts", |o| {
            full(o, u8::from(samples.iter().any(|s| s.composition < 0)), 0);
            runs(o, samples.iter().map(|s| s.composition as u32));
            Ok(())
        })?;
    }
    if !samples.iter().all(|s| s.keyframe) {
        put(out, b"stss", |o| {
            full(o, 0, 0);
            let keys: Vec<u32> = (1u32..).zip(samples).filter(|(_, s)| s.keyframe).map(|(i, _)| i).collect();
            u32s(o, &[keys.len() as u32]);
            u32s(o, &keys);
            Ok(())
        })?;
    }
    put(out, b"stsz", |o| {
        full(o, 0, 0);
        u32s(o, &[0, samples.len() as u32]);
        samples.iter().for_each(|s| o.extend_from_slice(&s.size.to_be_bytes()));
        Ok(())
    })?;
    chunks(out, samples, base)
}

fn decode_lengths(samples: &[Sample], last: u32) -> Result<Vec<u32>, IndexError> {
    let mut lengths = Vec::with_capacity(samples.len());
    for pair in samples.windows(2) {
        let length = u32::try_from(pair[1].dts - pair[0].dts)
            .ok()
            .filter(|l| *l <= i32::MAX as u32)
            .ok_or_else(|| IndexError::broken("decode times do not grow, or jump too far"))?;
        lengths.push(length);
    }
    if !samples.is_empty() {
        lengths.push(last);
    }
    Ok(lengths)
}

/// A run-length table: the number of runs, then count and value of each.
fn runs(out: &mut Vec<u8>, values: impl Iterator<Item = u32>) {
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match rows.last_mut() {
            Some((n, v)) if *v == value => *n += 1,
            _ => rows.push((1, value)),
        }
    }
    u32s(out, &[rows.len() as u32]);
    rows.iter().for_each(|(n, v)| u32s(out, &[*n, *v]));
}

/// Contiguous samples form a chunk.
fn chunks(out: &mut Vec<u8>, samples: &[Sample], base: u64) -> Done {
    let mut offsets: Vec<u64> = Vec::new();
    let mut rows: Vec<(u32, u32, u32)> = Vec::new();
    let mut at = 0;
    while at < samples.len() {
        let first = samples[at];
        let (mut n, mut end) = (0u32, first.offset);
        while let Some(s) = samples.get(at).filter(|s| s.offset == end && s.description == first.description)
        {
            end = s.offset + u64::from(s.size);
            n += 1;
            at += 1;
        }
        offsets.push(
            base.checked_add(first.offset)
                .ok_or_else(|| IndexError::broken("a sample lies beyond any file"))?,
        );
        let description = u32::from(first.description);
        if rows.last().is_none_or(|(_, m, d)| *m != n || *d != description) {
            rows.push((offsets.len() as u32, n, description));
        }
    }
    put(out, b"stsc", |o| {
        full(o, 0, 0);
        u32s(o, &[rows.len() as u32]);
        rows.iter().for_each(|(c, n, d)| u32s(o, &[*c, *n, *d]));
        Ok(())
    })?;
    put(out, b"co64", |o| {
        full(o, 0, 0);
        u32s(o, &[offsets.len() as u32]);
        u64s(o, &offsets);
        Ok(())
    })
}
