//! The plan of the video's segments: what is cut where.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use segue_domain::{TickRange, Timebase};
use serde::{Deserialize, Serialize};

use crate::access;
use crate::cuts::{self, Cut};
use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts, StreamFacts};
use crate::mp4::{self, CountedFile, Index, IndexError, Lost, Sample, TrackChoice};
use crate::process::Limits;
use crate::ranged::{self, Source};
use crate::tools::Tools;
use crate::track;

/// Number of bytes at the start of a packet that usually contain its picture type.
const HEAD_BYTES: u64 = 4096;

/// The plan of a video: track, timescale, cuts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PicturePlan {
    /// Index of the stream in the source.
    pub stream: u32,
    /// ffmpeg's name of the codec.
    pub codec: String,
    /// The timescale of all ticks here.
    pub timebase: Timebase,
    /// Offset from the index's times to presentation times in the source.
    pub anchor: i64,
    /// Earliest presentation time of any stream of the source.
    pub start_time_us: i64,
    /// Location of the indexed packets.
    pub track: TrackPlace,
    /// All packets.
    pub packets: u64,
    /// Number of presented frames.
    pub frames: u64,
    /// Packets at which decoding may start.
    pub keyframes: u64,
    /// Packets that the source's edit list hides and a track file shows.
    #[serde(default)]
    pub hidden: u64,
    /// Whether the track file does not name the codec, so that it is passed to ffmpeg.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unnamed: bool,
    /// Bytes of the source read for this plan, without those that ffprobe read.
    pub bytes_read: u64,
    /// What is missing from a truncated source.
    pub lost: Option<Lost>,
    /// The segments; they partition the packets and the frames.
    pub segments: Vec<PictureSegment>,
}

/// Location of the packets that the index lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackPlace {
    /// In the source itself.
    Source {
        /// Id of the track in the source.
        track_id: u32,
    },
    /// In a copy of the video in a container that has an index.
    TrackFile {
        /// Name of the file in the scratch folder of the planning.
        file_name: String,
        /// Why the source's own index was not used.
        reason: String,
    },
}

/// One segment of the video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureSegment {
    /// Index, from 0.
    pub index: u32,
    /// Presentation range in the source's time, in ticks of the plan's timescale.
    pub range: TickRange,
    /// First packet in decode order.
    pub first_packet: u64,
    /// First packet of the next segment.
    pub end_packet: u64,
    /// Number of frames presented in the range.
    pub frames: u64,
    /// Size of the packets in bytes.
    pub bytes: u64,
    /// Closed start: no later packet is presented before the first one, and none references earlier ones.
    pub closed_start: bool,
    /// The same of the next segment.
    pub closed_end: bool,
}

impl PictureSegment {
    /// Number of packets.
    pub fn packets(&self) -> u64 {
        self.end_packet - self.first_packet
    }

    /// Whether a copy of the packets decodes to exactly the owned frames.
    pub fn is_closed(&self) -> bool {
        self.closed_start && self.closed_end
    }
}

impl PicturePlan {
    /// Whether every part can be cut by copying packets: all cuts are closed, and
    /// the part's file names its codec.
    pub fn all_closed(&self) -> bool {
        !self.unnamed && self.segments.iter().all(PictureSegment::is_closed)
    }

    /// Input options of ffmpeg for the indexed packets.
    pub(crate) fn decoder(&self) -> Vec<OsString> {
        if self.unnamed { vec!["-c:v".into(), self.codec.clone().into()] } else { Vec::new() }
    }

    /// The file that contains the indexed packets.
    pub fn track_path(&self, source: &Path, scratch: &Path) -> PathBuf {
        match &self.track {
            TrackPlace::Source { .. } => source.to_owned(),
            TrackPlace::TrackFile { file_name, .. } => scratch.join(file_name),
        }
    }

    /// Duration of the whole video in ticks.
    pub fn range(&self) -> Option<TickRange> {
        let (first, last) = (self.segments.first()?, self.segments.last()?);
        TickRange::new(first.range.start, last.range.end)
    }
}

/// An index in memory, with the file it was read from.
#[derive(Debug)]
pub struct OpenIndex {
    /// The index.
    pub index: Index,
    /// The file, to read samples from.
    pub file: CountedFile,
}

impl OpenIndex {
    /// Announces the packets that will be read, so that they can be fetched at once.
    pub(crate) fn expect(&self, samples: &[Sample]) -> Result<()> {
        self.file.expect(|| ranged::places(samples)).map_err(|e| not_fetched(&e))
    }

    /// The same for the first bytes of packets, which contain their picture type.
    pub(crate) fn expect_heads<'a>(&self, samples: impl IntoIterator<Item = &'a Sample>) -> Result<()> {
        let head = |s: &Sample| s.offset..s.offset + u64::from(s.size).min(HEAD_BYTES);
        self.file.expect(|| samples.into_iter().map(head).collect()).map_err(|e| not_fetched(&e))
    }
}

fn not_fetched(error: &std::io::Error) -> MediaError {
    let of_machine = || MediaError::environment(format!("packets could not be fetched: {error}"));
    MediaError::carried(error).unwrap_or_else(of_machine)
}

/// Opens the index that a plan was made from.
pub fn open_index(plan: &PicturePlan, source: impl Into<Source>, scratch: &Path) -> Result<OpenIndex> {
    match &plan.track {
        TrackPlace::Source { .. } => open_track(plan, source),
        TrackPlace::TrackFile { file_name, .. } => open_track(plan, scratch.join(file_name)),
    }
}

/// The same if the indexed packets are at `path`, whatever its name.
pub fn open_track(plan: &PicturePlan, source: impl Into<Source>) -> Result<OpenIndex> {
    let source = source.into();
    let path = source.path();
    let choice = match plan.track {
        TrackPlace::Source { track_id } => TrackChoice::Id(track_id),
        TrackPlace::TrackFile { .. } => TrackChoice::FirstVideo,
    };
    let mut open = open_in(source.open()?, path, choice)?;
    if let TrackChoice::Id(_) = choice {
        open.index.settle_edits();
    }
    let found = open.index.track.samples.len() as u64;
    if found != plan.packets {
        return Err(MediaError::source(format!(
            "{}: holds {found} packets of the picture and the plan was made for {}; the file was changed after planning: start a new job",
            path.display(),
            plan.packets
        )));
    }
    Ok(open)
}

/// Reads the index of one track of a file.
pub(crate) fn open_at(path: &Path, choice: TrackChoice) -> Result<OpenIndex> {
    open_in(Source::whole(path).open()?, path, choice)
}

fn open_in(file: CountedFile, path: &Path, choice: TrackChoice) -> Result<OpenIndex> {
    let index = mp4::read_index(&file, choice).map_err(|e| {
        let why = format!("{}: {e}", path.display());
        match e {
            IndexError::Io(_) if file.is_fetched() => MediaError::environment(why),
            _ => MediaError::source(why),
        }
    })?;
    Ok(OpenIndex { index, file })
}

/// Plans the cuts of the primary video stream; `None` if there is none.
///
/// Reads the index of the source if it has one; else fetches all of it and writes a track file
/// into `scratch`.
pub async fn plan_cuts(
    tools: &Tools,
    source: impl Into<Source>,
    scratch: &Path,
    segment_duration_us: i64,
    facts: &SourceFacts,
    limits: &Limits,
) -> Result<Option<PicturePlan>> {
    let source = source.into();
    let Some(stream) = facts.primary_video() else { return Ok(None) };
    if segment_duration_us <= 0 {
        return Err(MediaError::usage("the segment duration must be greater than 0"));
    }
    let (mut hidden, mut unnamed) = (0, false);
    let (open, anchor, place) = match indexed(tools, &source, stream, facts).await? {
        Ok(found) => found,
        Err(reason) => {
            source.bring_all().await?;
            let source = source.path();
            let made = track::write(tools, source, scratch, facts, stream, limits).await?;
            if reason == SEVERAL_EDITS {
                hidden = track::hidden_packets(tools, source, stream.index, limits).await?;
            }
            unnamed = made.unnamed;
            (made.open, made.anchor, TrackPlace::TrackFile { file_name: made.file_name, reason })
        }
    };
    let mut plan = lay_out(stream, facts, &open, anchor, place, segment_duration_us)?;
    (plan.hidden, plan.unnamed) = (hidden, unnamed);
    if plan.lost.is_none() {
        plan.lost = cut_off(facts, &plan, &open);
    }
    Ok(Some(plan))
}

/// Video missing from a Matroska file that is shorter than its header states.
fn cut_off(facts: &SourceFacts, plan: &PicturePlan, open: &OpenIndex) -> Option<Lost> {
    let file_bytes = facts.short_by_bytes?;
    let whole = plan.timebase.from_micros(facts.duration_us?);
    let end = plan.range()?.end;
    let ticks = (whole - end).max(0);
    let length = i64::from(open.index.track.last_duration.max(1));
    Some(Lost { samples: (ticks / length) as u64, bytes: file_bytes, ticks, file_bytes })
}

const SEVERAL_EDITS: &str = "the edit list has several parts";

/// The source's own index, or why it cannot be used.
async fn indexed(
    tools: &Tools,
    source: &Source,
    stream: &StreamFacts,
    facts: &SourceFacts,
) -> Result<Result<(OpenIndex, i64, TrackPlace), String>> {
    if facts.container != Container::Mov {
        return Ok(Err(format!("{} has no index of this kind", facts.format)));
    }
    let Some(track_id) = stream.track_id else { return Ok(Err("the track has no number".into())) };
    source.bring_head().await?;
    let (file, source) = (source.open()?, source.path());
    let mut index = match mp4::read_index(&file, TrackChoice::Id(track_id)) {
        Ok(index) => index,
        Err(IndexError::Io(e)) => {
            return Err(MediaError::environment(format!("{}: {e}", source.display())));
        }
        Err(e) => return Ok(Err(e.to_string())),
    };
    if !index.settle_edits() {
        return Ok(Err(SEVERAL_EDITS.into()));
    }
    let same_clock = stream.timebase == Timebase { num: 1, den: index.track.timescale };
    if !same_clock {
        return Ok(Err("the clock is not the one that ffmpeg reads".into()));
    }
    let seen = track::seen(tools, source, facts, stream.index, &index.track).await?;
    Ok(match track::anchor(&seen, &index.track) {
        Some(anchor) => Ok((OpenIndex { index, file }, anchor, TrackPlace::Source { track_id })),
        None => Err("ffmpeg reads other times from this index".into()),
    })
}

fn lay_out(
    stream: &StreamFacts,
    facts: &SourceFacts,
    open: &OpenIndex,
    anchor: i64,
    place: TrackPlace,
    segment_duration_us: i64,
) -> Result<PicturePlan> {
    let track = &open.index.track;
    let timebase = Timebase { num: 1, den: track.timescale };
    let length = timebase.from_micros(segment_duration_us).max(1);
    let grace = timebase.from_micros(cuts::shortest_tail_us(segment_duration_us));
    let mut cut = cuts::cut(&track.samples, track.last_duration, length, grace);
    let looked_at = cut.iter().filter(|c| c.closed && c.packet > 0).map(|c| &track.samples[c.packet]);
    open.expect_heads(looked_at)?;
    for c in cut.iter_mut().filter(|c| c.closed) {
        let sample = &track.samples[c.packet];
        c.closed = c.packet == 0 || access::is_clean(&open.file, &track.stsd, sample);
        // hidden packets cannot be copied into a part of their own
        c.closed &= c.packet > 0 || !track.samples.iter().any(|s| s.hidden);
    }
    let segments = segments(&cut, track, anchor);
    Ok(PicturePlan {
        stream: stream.index,
        codec: stream.codec.clone().unwrap_or_default(),
        timebase,
        anchor,
        start_time_us: facts.start_time_us,
        track: place,
        packets: track.samples.len() as u64,
        frames: track.frames(),
        keyframes: track.samples.iter().filter(|s| s.keyframe).count() as u64,
        hidden: 0,
        unnamed: false,
        bytes_read: open.file.bytes_read(),
        lost: open.index.lost,
        segments,
    })
}

fn segments(cuts: &[Cut], track: &mp4::Track, anchor: i64) -> Vec<PictureSegment> {
    let end = cuts::end_of(&track.samples, track.last_duration);
    let mut segments = Vec::with_capacity(cuts.len());
    for (i, cut) in cuts.iter().enumerate() {
        let next = cuts.get(i + 1);
        let stop = next.map_or(track.samples.len(), |n| n.packet);
        let until = next.map_or(end, |n| n.start);
        let owned = &track.samples[cut.packet..stop];
        segments.push(PictureSegment {
            index: i as u32,
            range: TickRange { start: cut.start + anchor, end: until + anchor },
            first_packet: cut.packet as u64,
            end_packet: stop as u64,
            frames: cuts::frames_between(track, cut, next),
            bytes: owned.iter().map(|s| u64::from(s.size)).sum(),
            closed_start: cut.closed,
            closed_end: next.is_none_or(|n| n.closed),
        });
    }
    segments
}
