//! Writes the fragments of a part with the times of the whole stream, and reads them back.

use std::io::Write;

use segue_domain::TickRange;
use segue_domain::playlist::Fragment;

use super::init::{boxed, words};
use super::track::{PackagedTrack, refused};
use crate::error::{MediaError, Result};
use crate::mp4::{self, ByteSource};

/// Flag of a track fragment: offsets are relative to its movie fragment.
const BASE_IS_MOOF: u32 = 0x02_0000;
/// A run with offset, durations, sizes, flags and composition times of each sample, version 1.
const RUN: u32 = 0x0100_0f01;
/// A sample that depends on no other.
const SYNC: u32 = 0x0200_0000;
/// A sample that depends on others and is no random access point.
const NOT_SYNC: u32 = 0x0101_0000;

/// Where a part lies in its stream.
#[derive(Debug, Clone, Copy)]
pub struct PartRequest<'a> {
    /// Presentation times of the part, in ticks of the track.
    pub range: TickRange,
    /// Starts of its fragments in the same ticks, ascending; the first is the start of the part. A fragment of pictures
    /// begins with the keyframe at exactly that time, one of sound with the first sample that does not start earlier.
    pub starts: &'a [i64],
    /// Sequence number of the first fragment, from 1.
    pub sequence: u32,
}

/// A part that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagedPart {
    /// Its fragments, for playlists.
    pub fragments: Vec<Fragment>,
    /// Number of samples.
    pub samples: u64,
    /// Size in bytes.
    pub bytes: u64,
}

/// A sample with its times in the stream.
#[derive(Debug, Clone, Copy)]
struct Placed {
    offset: u64,
    size: u32,
    keyframe: bool,
    time: i64,
    duration: i64,
    composition: u32,
}

/// Writes the fragments of a part. The decode times of pictures are their presentation times in ascending order: any
/// variable frame rate stays exact, and the durations of a part add up to its range.
///
/// # Errors
/// A fragment of pictures that does not begin with a keyframe at its start, pictures outside of the range or at the
/// same time, and failures to read or to write.
pub fn write_part(
    src: &impl ByteSource,
    track: &PackagedTrack,
    request: &PartRequest<'_>,
    mut out: impl Write,
) -> Result<PackagedPart> {
    let placed = if track.is_picture { pictures(track, request)? } else { sound(track, request) };
    let groups = grouped(track, request, &placed)?;
    let mut made = PackagedPart { fragments: Vec::new(), samples: placed.len() as u64, bytes: 0 };
    for (number, group) in (request.sequence..).zip(&groups) {
        let head = header(number, group)?;
        let payload: usize = group.iter().map(|s| s.size as usize).sum();
        let mut media = Vec::with_capacity(payload);
        for sample in *group {
            let at = media.len();
            media.resize(at + sample.size as usize, 0);
            src.read_at(sample.offset, &mut media[at..])
                .map_err(|e| MediaError::io("reading an encoded part", &e))?;
        }
        let write = |e: std::io::Error| MediaError::io("writing a part", &e);
        out.write_all(&head).map_err(write)?;
        out.write_all(&media).map_err(write)?;
        let bytes = (head.len() + media.len()) as u64;
        let primed = if made.fragments.is_empty() { priming(track) } else { 0 };
        let first = group.first().map_or(0, |s| u64::from(s.size));
        made.fragments.push(Fragment {
            offset: made.bytes,
            bytes,
            ticks: group.iter().map(|s| s.duration).sum::<i64>() - primed,
            keyframe_bytes: if track.is_picture { head.len() as u64 + first } else { 0 },
        });
        made.bytes += bytes;
    }
    out.flush().map_err(|e| MediaError::io("writing a part", &e))?;
    Ok(made)
}

/// Reads a part back and compares each fragment's place, sequence number, times and keyframe with the list.
///
/// # Errors
/// The first difference.
pub fn check_part(
    src: &impl ByteSource,
    track: &PackagedTrack,
    request: &PartRequest<'_>,
    part: &PackagedPart,
) -> Result<()> {
    let places = mp4::read_places(src).map_err(refused)?;
    let differs = |what: String| Err(MediaError::internal(format!("a part differs from its list: {what}")));
    if places.len() != part.fragments.len() {
        return differs(format!("{} fragments, listed are {}", places.len(), part.fragments.len()));
    }
    let (mut time, mut at, lead) = (request.range.start, 0, i64::from(track.lead));
    for ((number, place), listed) in (request.sequence..).zip(&places).zip(&part.fragments) {
        let primed = if number == request.sequence { priming(track) } else { 0 };
        let head = if track.is_picture { place.first_sample.end - place.bytes.start } else { 0 };
        let found = Fragment {
            offset: place.bytes.start,
            bytes: place.bytes.end - place.bytes.start,
            ticks: place.ticks - primed,
            keyframe_bytes: head,
        };
        if found != *listed || place.bytes.start != at || place.sequence != number || !place.keyframe {
            return differs(format!("fragment {number} is {found:?}, listed is {listed:?}"));
        }
        if place.decode_time != time || (track.is_picture && place.earliest != time + lead) {
            return differs(format!("fragment {number} starts at {}, not at {time}", place.decode_time));
        }
        time += place.ticks;
        at = place.bytes.end;
    }
    if at != src.len() {
        return differs(format!("{} bytes, listed are {at}", src.len()));
    }
    Ok(())
}

/// Ticks of the first fragment that are not presented.
fn priming(track: &PackagedTrack) -> i64 {
    if track.is_picture { 0 } else { track.lead.into() }
}

/// Pictures in decode order. The first is presented at the start of the range, the last until its end.
fn pictures(track: &PackagedTrack, request: &PartRequest<'_>) -> Result<Vec<Placed>> {
    let mut times: Vec<i64> = track.samples.iter().map(mp4::Sample::pts).collect();
    times.sort_unstable();
    let shift = request.range.start - times.first().copied().unwrap_or(0);
    times.iter_mut().for_each(|t| *t += shift);
    let ends = times.iter().skip(1).copied().chain([request.range.end]);
    let durations: Vec<i64> = times.iter().zip(ends).map(|(t, end)| end - t).collect();
    if let Some(i) = durations.iter().position(|d| *d <= 0 || u32::try_from(*d).is_err()) {
        let message =
            format!("picture {i} of a part is not presented before the next one or the end of the part");
        return Err(MediaError::internal(message));
    }
    let placed = track.samples.iter().zip(times.iter().zip(durations)).map(|(sample, (time, duration))| {
        // a negative offset moves all pictures of the file in ffmpeg's demuxer
        let late = u32::try_from(sample.pts() + shift + i64::from(track.lead) - time);
        let composition = late.map_err(|_| MediaError::internal("a picture is decoded after its time"))?;
        Ok(Placed {
            offset: sample.offset,
            size: sample.size,
            keyframe: sample.keyframe,
            time: *time,
            duration,
            composition,
        })
    });
    placed.collect()
}

/// Samples of sound, contiguous from the start of the range.
fn sound(track: &PackagedTrack, request: &PartRequest<'_>) -> Vec<Placed> {
    let shift = request.range.start - track.samples.first().map_or(0, |s| s.dts);
    let last = track.samples.last().map_or(0, |s| s.dts + i64::from(track.last_duration));
    let ends = track.samples.iter().skip(1).map(|s| s.dts).chain([last]);
    let placed = track.samples.iter().zip(ends).map(|(sample, end)| Placed {
        offset: sample.offset,
        size: sample.size,
        keyframe: true,
        time: sample.dts + shift,
        duration: end - sample.dts,
        composition: 0,
    });
    placed.collect()
}

/// The samples of each fragment.
fn grouped<'a>(
    track: &PackagedTrack,
    request: &PartRequest<'_>,
    placed: &'a [Placed],
) -> Result<Vec<&'a [Placed]>> {
    if request.starts.first() != Some(&request.range.start) {
        return Err(MediaError::internal("a part does not begin with a fragment"));
    }
    let mut cuts = Vec::new();
    for start in request.starts {
        let found = if track.is_picture {
            let exact = |s: &Placed| s.keyframe && s.time == *start && s.composition == track.lead;
            let found = placed.iter().position(exact);
            Some(found.ok_or_else(|| {
                MediaError::internal(format!("no keyframe at tick {start}, where a fragment starts"))
            })?)
        } else if cuts.is_empty() {
            Some(0)
        } else {
            // sound may end before the pictures
            placed.iter().position(|s| s.time - priming(track) >= *start)
        };
        cuts.extend(found.filter(|at| cuts.last() != Some(at)));
    }
    let ends = cuts.iter().skip(1).copied().chain([placed.len()]);
    let groups: Vec<&[Placed]> = cuts.iter().zip(ends).map(|(from, to)| &placed[*from..to]).collect();
    let crossing = groups.iter().any(|g| {
        let start = g.first().map_or(0, |s| s.time);
        g.iter().any(|s| {
            s.time + i64::from(s.composition)
                < start + i64::from(if track.is_picture { track.lead } else { 0 })
        })
    });
    if crossing {
        return Err(MediaError::internal("a picture is presented before the fragment that holds it"));
    }
    Ok(groups)
}

/// The moof box of a fragment, and the header of its mdat box.
fn header(sequence: u32, samples: &[Placed]) -> Result<Vec<u8>> {
    let too_large = || MediaError::internal("a fragment of 4 GiB or more");
    let start = samples.first().map_or(0, |s| s.time);
    let start = u64::try_from(start).map_err(|_| MediaError::internal("a fragment before tick 0"))?;
    let payload: u64 = samples.iter().map(|s| u64::from(s.size)).sum();
    let mdat = u32::try_from(payload + 8).map_err(|_| too_large())?;
    let count = u32::try_from(samples.len()).map_err(|_| too_large())?;
    let mut rows = Vec::with_capacity(samples.len() * 16);
    for sample in samples {
        let flags = if sample.keyframe { SYNC } else { NOT_SYNC };
        let duration = u32::try_from(sample.duration).map_err(|_| too_large())?;
        rows.extend(words(&[duration, sample.size, flags, sample.composition]));
    }
    let tfhd = boxed(b"tfhd", &[&words(&[BASE_IS_MOOF, 1])]);
    let tfdt = boxed(b"tfdt", &[&words(&[0x0100_0000]), &start.to_be_bytes()]);
    let mfhd = boxed(b"mfhd", &[&words(&[0, sequence])]);
    let moof = |offset: u32| {
        let trun = boxed(b"trun", &[&words(&[RUN, count, offset]), &rows]);
        boxed(b"moof", &[&mfhd, &boxed(b"traf", &[&tfhd, &tfdt, &trun])])
    };
    let size = u32::try_from(moof(0).len() + 8).map_err(|_| too_large())?;
    let mut head = moof(size);
    head.extend(mdat.to_be_bytes());
    head.extend(b"mdat");
    Ok(head)
}
