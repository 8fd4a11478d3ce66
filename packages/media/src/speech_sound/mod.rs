//! Audio for speech recognition: 16 kHz mono, any range, the same samples in every process.
//!
//! Sample 0 is the first sample of the selected stream. If the container has exact times,
//! canonical blocks are decoded on demand: a block starts on a whole second of the
//! stream, where the two clocks coincide, and is decoded with audio before and after it, so that its
//! samples do not depend on the requested range. Otherwise the stream is decoded once, into a file.

mod args;
mod stored;
#[cfg(test)]
mod tests;
mod whole;

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use segue_domain::Timebase;
use serde_json::Value;

use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts, StreamFacts, StreamKind};
use crate::mp4::{self, CountedFile, HeaderTrack, TrackChoice, TrackKind};
use crate::probe::{self, source_input};
use crate::process::{self, Limits};
use crate::ranged::{self, Source};
use crate::tools::Tools;
use crate::track;
use crate::view::{self, View};

use args::read_us;
pub use args::{BlockRange, block_args, whole_args};
pub use stored::SpeechFile;
use stored::Stored;
use whole::Whole;

/// Sample rate in hertz.
pub const SAMPLE_RATE: i64 = 16_000;

/// Length of a canonical block.
const BLOCK_SECONDS: i64 = 60;
/// Blocks kept in memory.
const BLOCKS_KEPT: usize = 3;

/// The clock of [`SpeechSound`].
const CLOCK: Timebase = Timebase { num: 1, den: SAMPLE_RATE as u32 };

/// One audio stream, readable at any offset.
#[derive(Debug)]
pub struct SpeechSound {
    place: Place,
    len: i64,
    start_offset_ms: i64,
}

#[derive(Debug)]
enum Place {
    Blocks(Box<Blocks>),
    Whole(Whole),
    Stored(Stored),
}

impl SpeechSound {
    /// Opens a stream, by its index in the file. Must be called on a tokio runtime,
    /// which then runs the decoders; `limits` apply to each of them.
    ///
    /// # Errors
    /// A stream that does not exist or cannot be decoded.
    pub async fn open(
        tools: &Tools,
        source: impl Into<Source>,
        facts: &SourceFacts,
        audio_stream_index: u32,
        scratch: &Path,
        limits: &Limits,
    ) -> Result<SpeechSound> {
        let source = source.into();
        let start = Start::find(tools, &source, facts, audio_stream_index).await?;
        let (stream, start_offset_ms) = (start.stream, start.offset_ms);
        if let Some((duration_us, reach)) = start.on_demand {
            let blocks = Box::new(Blocks {
                tools: tools.clone(),
                source: source.clone(),
                facts: facts.clone(),
                stream: stream.clone(),
                reach,
                origin: start.origin,
                seconds: BLOCK_SECONDS,
                limits: limits.clone(),
                runtime: tokio::runtime::Handle::current(),
                kept: Mutex::default(),
            });
            let len = (i128::from(duration_us) * i128::from(SAMPLE_RATE)).div_euclid(1_000_000) as i64 + 1;
            return Ok(SpeechSound { place: Place::Blocks(blocks), len, start_offset_ms });
        }
        source.bring_all().await?;
        let whole = Whole::decode(tools, source.path(), stream, scratch, limits).await?;
        let len = whole.len;
        Ok(SpeechSound { place: Place::Whole(whole), len, start_offset_ms })
    }

    /// Duration in samples: from the container, or counted if the whole stream was decoded.
    pub fn len_samples(&self) -> i64 {
        self.len
    }

    /// Time of sample 0, in milliseconds after the source's start time.
    pub fn start_offset_ms(&self) -> i64 {
        self.start_offset_ms
    }

    /// Whether blocks are decoded on demand; else there is a file of all samples.
    pub fn is_on_demand(&self) -> bool {
        matches!(self.place, Place::Blocks(_))
    }

    /// The samples `[from, to)`; fewer only where the audio ends. Blocking, so it must not be
    /// called on a thread of the runtime; the cancel token of `open` cancels it.
    ///
    /// # Errors
    /// Errors of the decoder, and cancellation.
    pub fn read(&self, from: i64, to: i64) -> Result<Vec<i16>> {
        let (from, to) = (from.clamp(0, self.len), to.clamp(0, self.len));
        if from >= to {
            return Ok(Vec::new());
        }
        match &self.place {
            Place::Blocks(blocks) => blocks.read(from, to),
            Place::Whole(whole) => whole.read(from, to),
            Place::Stored(stored) => stored.read(from, to),
        }
    }
}

/// Start of a stream, and whether a decoder can start at any position of it.
struct Start<'a> {
    stream: &'a StreamFacts,
    /// The first sample, in ticks of the stream.
    origin: i64,
    /// The same in milliseconds after the source's start time.
    offset_ms: i64,
    /// Duration in microseconds, and how to start at a position; `None` if the stream is decoded whole.
    on_demand: Option<(i64, Reach)>,
}

impl Start<'_> {
    async fn find<'a>(
        tools: &Tools,
        source: &Source,
        facts: &'a SourceFacts,
        audio_stream_index: u32,
    ) -> Result<Start<'a>> {
        let path = source.path();
        let found = facts.of(StreamKind::Audio).find(|s| s.index == audio_stream_index);
        let stream = found.ok_or_else(|| {
            MediaError::usage(format!("{}: stream {audio_stream_index} is no sound", path.display()))
        })?;
        source.bring_head().await?;
        let first = First::read(tools, path, stream).await?;
        let origin = first.frame.or(stream.start).unwrap_or(0);
        let start_us = stream.timebase.to_micros(origin) - facts.start_time_us;
        let offset_ms = start_us.div_euclid(1000) + i64::from(start_us.rem_euclid(1000) >= 500);
        let on_demand = stream.duration_us.zip(reach(path, facts, stream, &first));
        Ok(Start { stream, origin, offset_ms, on_demand })
    }
}

/// The start of a stream as ffmpeg reads it, in ticks of it.
#[derive(Debug, Default)]
struct First {
    /// The time of the first decoded sample. It differs from the time of the first packet if the decoder
    /// drops priming.
    frame: Option<i64>,
    /// The times of the first packets.
    packets: Vec<Option<i64>>,
}

impl First {
    async fn read(tools: &Tools, path: &Path, stream: &StreamFacts) -> Result<First> {
        let view = view::of_first_packets(path, probe::SLIM_PACKETS, None)?;
        let input = view.as_ref().map_or_else(|| source_input(path), View::input);
        let mut args: Vec<std::ffi::OsString> =
            ["-v", "error", "-of", "json", "-show_entries", "packet=pts:frame=pts,best_effort_timestamp"]
                .map(Into::into)
                .to_vec();
        args.extend(["-select_streams".into(), stream.index.to_string().into()]);
        args.extend(["-read_intervals", "%+#8"].map(Into::into));
        args.extend(input);
        let call = tools.ffprobe(format!("reading the first sound of {}", path.display()), args);
        let call = view.as_ref().map_or_else(|| call.clone().reading(path), |view| view.attach(call.clone()));
        let limits = Limits { time: Duration::from_secs(120), ..Limits::default() };
        let answer = process::output(&call, &limits, 1 << 20).await?;
        let value: Value = serde_json::from_slice(&answer)
            .map_err(|e| MediaError::internal(format!("ffprobe's answer is not JSON: {e}")))?;
        let mut first = First::default();
        for seen in value["packets_and_frames"].as_array().into_iter().flatten() {
            let pts = seen["pts"].as_i64();
            match seen["type"].as_str() {
                Some("packet") => first.packets.push(pts),
                _ => first.frame = first.frame.or(pts).or(seen["best_effort_timestamp"].as_i64()),
            }
        }
        Ok(first)
    }
}

/// How a decoder starts at a position in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It seeks.
    Seek,
    /// It gets the packets around the position, by a generated header over the source's bytes.
    Window {
        /// Id of the track.
        track_id: u32,
        /// Offset from the index's times to ffmpeg's.
        anchor: i64,
    },
}

/// How to start at any position of this stream exactly; `None` if that is impossible: its times are
/// not exact in samples, or seeks are inexact.
fn reach(path: &Path, facts: &SourceFacts, stream: &StreamFacts, first: &First) -> Option<Reach> {
    let (num, den, rate) = (stream.timebase.num, stream.timebase.den, stream.sample_rate);
    let exact = num == 1 && rate > 0 && (den % rate == 0 || rate % den == 0);
    if !exact {
        return None;
    }
    match facts.container {
        Container::Mov => in_track(path, stream, first),
        Container::Matroska => None,
        Container::Other => {
            let plain = matches!(facts.format.as_str(), "wav" | "w64" | "flac" | "aiff" | "caf" | "au");
            plain.then_some(Reach::Seek)
        }
    }
}

/// The same for a track with an index and an unambiguous edit list.
fn in_track(path: &Path, stream: &StreamFacts, first: &First) -> Option<Reach> {
    let id = stream.track_id?;
    let file = CountedFile::new(probe::open(path).ok()?).ok()?;
    let index = mp4::read_index(&file, TrackChoice::Id(id)).ok()?;
    index.track.shown(index.movie_timescale).filter(|_| index.lost.is_none())?;
    let one_clock = stream.timebase.den == stream.sample_rate && index.track.timescale == stream.sample_rate;
    let possible = one_clock && View::new(&[], path).is_ok();
    let anchor = track::anchor(&first.packets, &index.track).filter(|_| possible);
    Some(anchor.map_or(Reach::Seek, |anchor| Reach::Window { track_id: id, anchor }))
}

/// Audio that is decoded block by block.
#[derive(Debug)]
struct Blocks {
    tools: Tools,
    source: Source,
    facts: SourceFacts,
    stream: StreamFacts,
    reach: Reach,
    origin: i64,
    seconds: i64,
    limits: Limits,
    runtime: tokio::runtime::Handle,
    kept: Mutex<VecDeque<(i64, Arc<[i16]>)>>,
}

impl Blocks {
    fn read(&self, from: i64, to: i64) -> Result<Vec<i16>> {
        let length = self.seconds * SAMPLE_RATE;
        let mut samples = Vec::with_capacity((to - from) as usize);
        for number in from / length..=(to - 1) / length {
            let block = self.block(number)?;
            let start = number * length;
            let first = (from - start).max(0) as usize;
            let last = ((to - start).min(length) as usize).min(block.len());
            samples.extend_from_slice(block.get(first..last).unwrap_or_default());
            if (block.len() as i64) < length {
                // the audio ends in this block
                break;
            }
        }
        Ok(samples)
    }

    fn block(&self, number: i64) -> Result<Arc<[i16]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(n, _)| *n == number) {
            let found = kept.remove(at).unwrap_or_else(|| unreachable!("it was just there"));
            kept.push_back(found.clone());
            return Ok(found.1);
        }
        // decoded under the lock, so that concurrent callers wait for one decoder
        let block: Arc<[i16]> = self.runtime.block_on(self.decode(number))?.into();
        if kept.len() == BLOCKS_KEPT {
            kept.pop_front();
        }
        kept.push_back((number, block.clone()));
        Ok(block)
    }

    async fn decode(&self, number: i64) -> Result<Vec<i16>> {
        let range = BlockRange::of(number, self.seconds);
        let path = self.source.path();
        let window = match self.reach {
            Reach::Window { track_id, anchor } => {
                let (view, origin, places) = self.window(track_id, anchor, &range)?;
                self.source.bring(&places).await?;
                Some((view, origin))
            }
            Reach::Seek => {
                let (from_us, to_us) = read_us(&self.stream, self.origin, &range);
                self.source.bring_stretch(&self.facts, &self.stream, from_us, to_us).await?;
                None
            }
        };
        let args = match &window {
            Some((view, origin)) => block_args(view.input(), 0, &self.stream, *origin, None, &range),
            None => {
                let (input, index) = (source_input(path), self.stream.index);
                let start_us = Some(self.facts.start_time_us);
                block_args(input, index, &self.stream, self.origin, start_us, &range)
            }
        };
        let call = self.tools.ffmpeg(format!("decoding the sound of {}", path.display()), args);
        let call = match &window {
            Some((view, _)) => view.attach(call),
            None => call.reading(path),
        };
        let bytes = process::output(&call, &self.limits, range.most_bytes()).await?;
        let skip = (range.warm_up * SAMPLE_RATE) as usize;
        let length = (self.seconds * SAMPLE_RATE) as usize;
        Ok(samples(&bytes).skip(skip).take(length).collect())
    }
}

impl Blocks {
    /// The packets around a range as a file of their own, the stream's first sample in its
    /// clock, and the ranges of the packets.
    fn window(&self, track_id: u32, anchor: i64, range: &BlockRange) -> Result<(View, i64, Vec<Range<u64>>)> {
        let path = self.source.path();
        let file = CountedFile::new(probe::open(path)?).map_err(|e| MediaError::io(path.display(), &e))?;
        let failed = |e: mp4::IndexError| MediaError::source(format!("{}: {e}", path.display()));
        let mut index = mp4::read_index(&file, TrackChoice::Id(track_id)).map_err(failed)?;
        index.settle_edits();
        let track = &index.track;
        let (from, to) = range.packets(self.origin - anchor, track.timescale);
        let first = track.samples.partition_point(|s| s.dts <= from).saturating_sub(1);
        let last = track.samples.partition_point(|s| s.dts < to).max(first);
        let samples = &track.samples[first..last];
        let header = mp4::write_header(&HeaderTrack {
            brand: index.brand,
            kind: TrackKind::Sound,
            timescale: track.timescale,
            language: track.language,
            matrix: track.matrix,
            width: 0,
            height: 0,
            stsd: &track.stsd,
            // without an edit list the packets keep their times
            edits: &[],
            samples,
            last_duration: track.last_duration,
            body_len: mp4::ByteSource::len(&file),
        })
        .map_err(failed)?;
        let view = View::new(&header.bytes, path).map_err(|e| MediaError::io("a header in memory", &e))?;
        let began = samples.first().map_or(0, |s| s.dts);
        Ok((view, self.origin - anchor - began, ranged::places(samples)))
    }
}

fn samples(bytes: &[u8]) -> impl Iterator<Item = i16> {
    bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]]))
}
