//! Encodes one part of a stream: every size from one decode.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use segue_domain::playlist::{FrameRate, Part, Rendition, RenditionKind};
use segue_domain::recipe::{StreamRecipe, VideoCodec};
use serde::{Deserialize, Serialize};

use super::args::{EncodedRendition, PartArgs, Quality, part_args};
use super::fragment::{PartRequest, check_part, write_part};
use super::grid::forced_keyframes;
use super::init::write_init;
use super::ladder::Rung;
use super::plan::{StreamPlan, times_of};
use super::track::{PackagedTrack, read_track};
use crate::access;
use crate::encode::{NominalRate, PictureEncoder, input};
use crate::error::{MediaError, Result};
use crate::facts::StreamFacts;
use crate::hash::sha256_file;
use crate::mp4::{CountedFile, Sample};
use crate::plan::{OpenIndex, PicturePlan};
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::tools::Tools;

/// A request to encode one part.
#[derive(Debug, Clone, Copy)]
pub struct PartEncoding<'a> {
    /// The file that holds the packets, [`PicturePlan::track_path`].
    pub track: &'a Path,
    /// The plan of the source's pictures.
    pub picture: &'a PicturePlan,
    /// The facts of the video stream.
    pub stream: &'a StreamFacts,
    /// The plan of the stream.
    pub plan: &'a StreamPlan,
    /// Index of the part.
    pub part: usize,
    /// The settings.
    pub recipe: &'a StreamRecipe,
    /// The folder for the files.
    pub out: &'a Path,
    /// The encoder, the same for every part of a stream.
    pub encoder: PictureEncoder,
    /// Threads for the decoder and for each encoder.
    pub threads: u32,
}

/// A part of one rendition, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadePart {
    /// The rendition.
    pub rendition: Rendition,
    /// Index of the part.
    pub index: u32,
    /// The part; URIs are names of files of the task.
    pub part: Part,
    /// Number of pictures or of audio frames.
    pub samples: u64,
}

/// Names of the file of a part and of its initialisation segment.
pub(super) fn file_names(rendition: &str, index: usize) -> (String, String) {
    (format!("{rendition}-{index:05}.m4s"), format!("{rendition}-init.mp4"))
}

fn usual_crf(codec: VideoCodec) -> u8 {
    match codec {
        VideoCodec::H264 => 23,
        VideoCodec::Hevc => 28,
        VideoCodec::Av1 => 35,
    }
}

/// How the bits of each size are spent.
pub fn qualities(recipe: &StreamRecipe, rungs: &[Rung]) -> Vec<Quality> {
    let highest = rungs.first().map_or(1, |rung| rung.max_rate.max(1));
    let of = |rung: &Rung| match recipe.kbps {
        None => Quality::Capped { crf: recipe.crf.unwrap_or(usual_crf(recipe.codec)) },
        Some(kbps) => Quality::Rate(u64::from(kbps) * 1000 * rung.max_rate / highest),
    };
    rungs.iter().map(of).collect()
}

/// Encodes the pictures that a part owns in every size; `on_frames` is called with the number of encoded pictures.
/// Returns the parts and the names of the files in [`PartEncoding::out`].
///
/// # Errors
/// A part that does not hold exactly the owned pictures.
pub async fn encode_part(
    tools: &Tools,
    open: Arc<OpenIndex>,
    request: &PartEncoding<'_>,
    limits: &Limits,
    mut on_frames: impl FnMut(u64) + Send,
) -> Result<Vec<MadePart>> {
    let work = Work::prepare(request, &open)?;
    // it grows with the source, and an encoder runs for long
    drop(open);
    let mut call = tools.encoder(format!("encoding part {}", request.part), work.args.clone());
    call = call.reading(request.track).reading(&work.header);
    for raw in &work.raw {
        call = call.writing(raw);
    }
    let mut progress = Progress::default();
    process::run(&call, limits, |piece| {
        let heard = progress.push(piece);
        on_frames(progress.frames());
        heard
    })
    .await?;
    let rungs = request.plan.rungs.iter().zip(&work.raw);
    rungs.map(|(rung, raw)| work.package(request, rung, raw)).collect()
}

/// The id of a rendition: its shorter side, as in `720p`.
pub(super) fn rendition_id(rung: &Rung) -> String {
    format!("{}p", rung.lines)
}

/// One run of the encoder, with temporary files that are removed at its end.
struct Work {
    /// Presentation times of the owned pictures.
    times: Vec<i64>,
    starts: Vec<i64>,
    args: Vec<std::ffi::OsString>,
    header: PathBuf,
    raw: Vec<PathBuf>,
    alias: Option<PathBuf>,
}

impl Drop for Work {
    fn drop(&mut self) {
        for path in self.raw.iter().chain([&self.header]).chain(self.alias.as_ref()) {
            // a missing file counts as removed
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Work {
    fn prepare(request: &PartEncoding<'_>, open: &OpenIndex) -> Result<Work> {
        let (plan, track) = (request.plan, &open.index.track);
        let range = plan.range(request.part);
        let fragments = plan.fragments(request.part);
        let starts = plan.starts.get(fragments).unwrap_or_default().to_vec();
        let all = times_of(&track.samples, plan.shift);
        let times: Vec<i64> = all.iter().copied().filter(|time| range.contains(*time)).collect();
        let first = range.start - plan.shift;
        let read = packets(open, first, range.end - plan.shift)?;
        let origin = plan.shift + read.first().map_or(0, |sample| sample.dts);
        let raw = plan.rungs.iter().map(|rung| request.out.join(format!("{}.raw.mp4", rendition_id(rung))));
        let mut work = Work {
            starts,
            times,
            args: Vec::new(),
            header: request.out.join("head.mov"),
            raw: raw.collect(),
            alias: None,
        };
        input::write(&work.header, open, &read)?;
        let input = match input::url(&work.header, request.track) {
            Some(url) => url,
            None => {
                let alias = work.alias.insert(input::alias(&work.header, request.track)?);
                input::url(&work.header, alias).ok_or_else(|| input::unreadable(request.out))?
            }
        };
        let keyframes: Vec<i64> =
            forced_keyframes(&all, &work.starts).into_iter().map(|twice| twice - 2 * origin).collect();
        let renditions: Vec<EncodedRendition<'_>> = plan
            .rungs
            .iter()
            .zip(qualities(request.recipe, &plan.rungs))
            .zip(&work.raw)
            .map(|((rung, quality), out)| EncodedRendition { rung: *rung, quality, out })
            .collect();
        work.args = part_args(&PartArgs {
            input,
            decoder: request.picture.decoder(),
            renditions: &renditions,
            rotation: request.stream.rotation.unwrap_or(0),
            deinterlace: request.stream.field_order.is_some(),
            transfer: request.stream.transfer.as_deref(),
            rate: NominalRate { num: plan.rate.0, den: plan.rate.1 },
            timescale: plan.timescale,
            range: segue_domain::TickRange { start: range.start - origin, end: range.end - origin },
            keyframes: &keyframes,
            preset: request.recipe.preset.as_deref(),
            encoder: request.encoder,
            threads: request.threads,
        });
        Ok(work)
    }

    /// Writes the encoded pictures of one size as fragments on the stream's clock.
    fn package(&self, request: &PartEncoding<'_>, rung: &Rung, raw: &Path) -> Result<MadePart> {
        let plan = request.plan;
        let file = File::open(raw)?;
        let track = read_track(&file.0, plan.lead).map_err(|error| {
            // ffmpeg leaves a file without pictures when it has decoded none
            MediaError::source(format!("frame mismatch: part {} has no picture: {error}", request.part))
        })?;
        self.check_times(request.part, &track)?;
        let id = rendition_id(rung);
        let (name, init) = file_names(&id, request.part);
        let sequence = plan.parts.get(request.part).map_or(0, |first| *first as u32) + 1;
        let range = plan.range(request.part);
        let place = PartRequest { range, starts: &self.starts, sequence };
        let rendition = Rendition {
            name: id.clone(),
            id,
            kind: RenditionKind::Picture {
                width: u32::from(track.size.0),
                height: u32::from(track.size.1),
                frame_rate: FrameRate { num: plan.rate.0, den: plan.rate.1 },
            },
            timescale: track.timescale,
            codec: track.codec.clone(),
            language: None,
            default: false,
            peak_limit: self.is_capped(request).then(|| rung.peak_limit()),
            parts: plan.parts.len() as u32,
        };
        package(&file.0, &track, &place, request.out, &name, &init, rendition, request.part as u32)
    }

    /// Whether the bit rate of every fragment is limited.
    fn is_capped(&self, request: &PartEncoding<'_>) -> bool {
        request.recipe.kbps.is_none() && request.recipe.codec != VideoCodec::Av1
    }

    fn check_times(&self, part: usize, track: &PackagedTrack) -> Result<()> {
        let (owns, got) = (self.times.len(), track.samples.len());
        if owns != got {
            return Err(MediaError::source(format!(
                "frame mismatch: part {part} owns {owns} frames and {got} could be encoded"
            )));
        }
        let mut shown: Vec<i64> = track.samples.iter().map(Sample::pts).collect();
        shown.sort_unstable();
        let (Some(from), Some(to)) = (self.times.first(), shown.first()) else { return Ok(()) };
        match self.times.iter().zip(&shown).position(|(time, got)| time - from != got - to) {
            None => Ok(()),
            Some(frame) => Err(MediaError::internal(format!(
                "frame mismatch: frame {frame} of part {part} has another time than in the source"
            ))),
        }
    }
}

/// A file that was written by this process's children.
pub(super) struct File(pub(super) CountedFile);

impl File {
    pub(super) fn open(path: &Path) -> Result<File> {
        let opened = std::fs::File::open(path).and_then(CountedFile::new);
        opened.map(File).map_err(|e| MediaError::io(path.display(), &e))
    }
}

/// Writes a part and its initialisation segment, and reads the part back.
#[expect(clippy::too_many_arguments, reason = "the whole context of one part, each of its own type")]
pub(super) fn package(
    raw: &CountedFile,
    track: &PackagedTrack,
    place: &PartRequest<'_>,
    folder: &Path,
    name: &str,
    init: &str,
    rendition: Rendition,
    index: u32,
) -> Result<MadePart> {
    let path = folder.join(name);
    let failed = |e: std::io::Error| MediaError::io(path.display(), &e);
    let out = std::io::BufWriter::new(std::fs::File::create(&path).map_err(failed)?);
    let written = write_part(raw, track, place, out)?;
    check_part(&File::open(&path)?.0, track, place, &written)?;
    let init_path = folder.join(init);
    std::fs::write(&init_path, write_init(track)).map_err(|e| MediaError::io(init_path.display(), &e))?;
    let (_, init_hash) = sha256_file(&init_path)?;
    let part = Part {
        uri: name.to_owned(),
        init: init.to_owned(),
        init_hash,
        start: place.range.start,
        fragments: written.fragments,
    };
    Ok(MadePart { rendition, index, part, samples: written.samples })
}

/// The packets from which the pictures between two index times can be decoded: from the last keyframe before them
/// at which decoding can start, to the last packet of one of them.
fn packets(open: &OpenIndex, start: i64, end: i64) -> Result<Vec<Sample>> {
    let track = &open.index.track;
    let samples = &track.samples;
    let keyframe = |before: usize| samples[..before].iter().rposition(|s| s.keyframe && s.pts() <= start);
    let mut from = keyframe(samples.len()).unwrap_or(0);
    open.expect_heads(samples.get(from))?;
    // pictures after an inexact one may refer to those before it
    if from > 0 && !access::is_clean(&open.file, &track.stsd, &samples[from]) {
        from = keyframe(from).unwrap_or(0);
    }
    let until = samples.iter().rposition(|s| s.pts() < end).map_or(samples.len(), |last| last + 1);
    Ok(samples[from.min(until)..until].to_vec())
}
