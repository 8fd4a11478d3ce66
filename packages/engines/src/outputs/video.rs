//! The output `video`: the joined video, or the joined audio of a source without video.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use segue_domain::recipe::{Container, VideoMode, VideoRecipe};
use segue_domain::transcript::Transcript;
use segue_domain::{FaultKind, FileKind, Segment, Task, TaskKind};
use segue_media::encode::plan_on_grid;
use segue_media::{
    AddedSubtitle, Certificate, CertifyRequest, FinalContainer, JoinParts, JoinReport, JoinRequest,
    OpenIndex, PartLedger, PicturePlan, TrackPlace, certify, join, open_index,
};
use segue_ports::{AssembleRequest, AssembledFile, EngineError, Event, Part, ProducedFile, Stage};

use super::transcript::{TRANSCRIPT_FILE, srt_of};
use super::{OutputRequest, Tasks, limits, own_attempts, public_name, segments_in_time, source_error, task};
use crate::context::EngineContext;
use crate::media_plan::{MediaPlan, internal};
use crate::tasks::sound;
use crate::{errors, files, picture, source, work};

/// The cuts of the source's video, computed once for all video outputs of a job.
#[derive(Default)]
pub struct PictureCuts {
    made: Option<Option<PicturePlan>>,
    /// Whether a plan contains the track file already.
    is_taken: bool,
}

impl PictureCuts {
    /// The cuts, computed at the first call.
    pub async fn get(
        &mut self,
        context: &EngineContext,
        source: &segue_media::Source,
        request: &OutputRequest<'_>,
    ) -> Result<Option<PicturePlan>, EngineError> {
        if let Some(made) = &self.made {
            return Ok(made.clone());
        }
        let (scratch, limits) = (&request.run.scratch, context.limits(&request.run.cancel));
        let cuts = segue_media::plan_cuts(
            &context.tools,
            source,
            scratch,
            request.segment_us,
            request.facts,
            &limits,
        );
        let made = cuts.await.map_err(errors::media)?;
        self.made = Some(made.clone());
        Ok(made)
    }

    /// A link to the track file for one more plan, which consumes it.
    pub fn track_file(
        &mut self,
        picture: &PicturePlan,
        request: &OutputRequest<'_>,
    ) -> Result<Option<ProducedFile>, EngineError> {
        let TrackPlace::TrackFile { file_name, .. } = &picture.track else { return Ok(None) };
        let scratch = &request.run.scratch;
        let mut path = scratch.join(file_name);
        if std::mem::replace(&mut self.is_taken, true) {
            path = files::borrow(&path, scratch.join(format!("{}-{file_name}", request.output)))?;
        }
        Ok(Some(ProducedFile { name: file_name.clone(), path }))
    }
}

/// Plans the tasks of the video's segments and of the audio.
///
/// # Errors
/// A source that cannot be cut; a map command for a source without video.
pub async fn plan(
    context: &EngineContext,
    source: &segue_media::Source,
    request: &OutputRequest<'_>,
    recipe: &VideoRecipe,
    cuts: &mut PictureCuts,
) -> Result<Tasks, EngineError> {
    let facts = request.facts;
    if recipe.map.is_some() && facts.primary_video().is_none() {
        let why =
            "the source has no moving picture to run the map command on; leave out --map or the map section";
        return Err(source_error(why));
    }
    let mut picture = cuts.get(context, source, request).await?;
    if let (Some(cut), VideoMode::Encode) = (&picture, recipe.mode) {
        // the encoder's keyframes are on a grid that does not depend on the segments; cuts on it add
        // no keyframe
        let open = open_index(cut, source, &request.run.scratch).map_err(errors::media)?;
        let on_grid = plan_on_grid(cut, &open, &recipe.encode, request.segment_us);
        picture = Some(on_grid.map_err(errors::media)?);
    }
    let mut media = MediaPlan::new(facts.clone(), picture, None);
    media.warnings = request.warnings.to_vec();
    media.warnings.extend(lost_pictures(&media));
    let (timebase, segments) = segments(request, &media)?;
    let files = match &media.picture {
        Some(picture) => cuts.track_file(picture, request)?.into_iter().collect(),
        None => Vec::new(),
    };
    let tasks = tasks(request, recipe, &media, timebase, &segments);
    Ok(Tasks { media, timebase, segments, tasks, files, reason: None })
}

/// The note on a source that is cut off.
pub fn lost_pictures(media: &MediaPlan) -> Option<String> {
    let lost = media.picture.as_ref()?.lost.as_ref()?.samples;
    Some(format!("the source is cut off: its last {lost} pictures are missing"))
}

/// The video's segments, or segments of equal duration if there is no video.
///
/// # Errors
/// More segments than an output may have tasks.
fn segments(
    request: &OutputRequest<'_>,
    media: &MediaPlan,
) -> Result<(segue_domain::Timebase, Vec<Segment>), EngineError> {
    let Some(picture) = &media.picture else {
        let segments = segments_in_time(request.facts, request.segment_us)?;
        return Ok((segue_domain::Timebase::MICROS, segments));
    };
    limits::check_tasks(request.segment_us, picture.segments.len())?;
    let segment = |s: &segue_media::PictureSegment| Segment {
        index: s.index,
        range: s.range,
        frames: s.frames,
        bytes: s.bytes,
    };
    Ok((picture.timebase, picture.segments.iter().map(segment).collect()))
}

/// The tasks, those with the longest kinds first.
fn tasks(
    request: &OutputRequest<'_>,
    recipe: &VideoRecipe,
    media: &MediaPlan,
    timebase: segue_domain::Timebase,
    segments: &[Segment],
) -> Vec<Task> {
    let facts = request.facts;
    let mut tasks = Vec::new();
    let own = Some(own_attempts(request.spec));
    if recipe.sound.is_made() && facts.primary_audio().is_some() {
        let whole_ms = (facts.duration_us.unwrap_or(0) / 1000).max(0) as u64;
        let attempts = recipe.sound.map.as_ref().and(own);
        tasks.push(Task { attempts, ..task(TaskKind::Sound, None, work::sound_ms(whole_ms)) });
    }
    let stream = facts.primary_video();
    let pixels = stream.map_or(0, |s| u64::from(s.width) * u64::from(s.height));
    let of_segment = |segment: &Segment| match (&recipe.map, recipe.mode) {
        (Some(_), _) => Task {
            attempts: own,
            ..task(TaskKind::Map, Some(segment.index), work::map_ms(timebase, segment))
        },
        (None, VideoMode::Copy) => {
            task(TaskKind::Digest, Some(segment.index), work::digest_ms(segment.bytes))
        }
        (None, VideoMode::Encode) => {
            task(TaskKind::Encode, Some(segment.index), work::encode_ms(pixels, segment.frames))
        }
    };
    match &media.picture {
        None => tasks.push(task(TaskKind::Digest, None, work::digest_ms(facts.size_bytes))),
        Some(_) => tasks.extend(segments.iter().map(of_segment)),
    }
    tasks
}

/// A joined file with its certificate.
pub struct VideoOutput {
    /// The file to publish.
    pub file: AssembledFile,
    /// The certificate; all its checks passed.
    pub certificate: Certificate,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Joins and certifies.
///
/// # Errors
/// A join whose certificate fails; the message names the position.
pub async fn assemble(
    context: &EngineContext,
    request: &AssembleRequest,
    notes: &MediaPlan,
) -> Result<VideoOutput, EngineError> {
    source::whole(&request.inputs.source).await?;
    let recipe = request.plan.spec.video().ok_or_else(|| internal("a join of something that is no video"))?;
    let subtitles = if recipe.subtitles { subtitle_track(request).await? } else { None };
    let opened = open(request, notes).await?;
    let joining =
        Joining { context, request, recipe, notes, picture: notes.picture.as_ref().zip(opened.as_ref()) };
    let mapped = joining.mapped_files()?;
    let (report, certificate, refused) = joining.join_proven(mapped.as_deref(), subtitles).await?;
    let extension = report.container.extension();
    let file = AssembledFile {
        name: public_name(&request.plan, &format!("final.{extension}")),
        path: report.path.clone(),
        kind: FileKind::Media,
        media_type: media_type(report.container, notes).to_owned(),
        // from the same pass as the certificate
        bytes: certificate.result_bytes,
        sha256: certificate.result_sha256.clone(),
        made: made(request, recipe, notes, &report, &refused),
    };
    Ok(VideoOutput { file, certificate, notes: join_notes(&report) })
}

/// The transcript that an output needs; `None` if it needs none, or if that was made without a file.
pub async fn needed_transcript(request: &AssembleRequest) -> Result<Option<Transcript>, EngineError> {
    let is_transcript = |name: &str| Path::new(name).file_name().is_some_and(|name| name == TRANSCRIPT_FILE);
    let found = request.needs.values().flat_map(|need| &need.files).find(|(name, _)| is_transcript(name));
    let Some((_, file)) = found else { return Ok(None) };
    let path = source::whole(file).await?;
    let bytes = std::fs::read(path).map_err(|e| errors::io(path.display(), &e))?;
    let transcript = serde_json::from_slice(&bytes)
        .map_err(|e| internal(format!("the needed transcript cannot be read: {e}")))?;
    Ok(Some(transcript))
}

/// The transcript that the video needs, as a subtitle track; `None` if it has no words.
async fn subtitle_track(request: &AssembleRequest) -> Result<Option<AddedSubtitle>, EngineError> {
    let Some(transcript) = needed_transcript(request).await? else { return Ok(None) };
    let Some(srt) = srt_of(&transcript) else { return Ok(None) };
    let path = request.run.scratch.join("track.srt");
    std::fs::write(&path, srt).map_err(|e| errors::io(path.display(), &e))?;
    let language = isolang::Language::from_639_1(&transcript.language);
    let title = language.map(|language| language.to_name().to_owned());
    Ok(Some(AddedSubtitle { path, language: language.map(|l| l.to_639_3().to_owned()), title }))
}

struct Joining<'a> {
    context: &'a EngineContext,
    request: &'a AssembleRequest,
    recipe: &'a VideoRecipe,
    notes: &'a MediaPlan,
    picture: Option<(&'a PicturePlan, &'a OpenIndex)>,
}

impl Joining<'_> {
    /// The files that a map or an encoder wrote, in the segments' order.
    fn mapped_files(&self) -> Result<Option<Vec<PathBuf>>, EngineError> {
        let made = |part: &&Part| matches!(part.task.kind, TaskKind::Map | TaskKind::Encode);
        let mut parts: Vec<&Part> = self.request.parts.iter().filter(made).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        parts.sort_by_key(|part| part.task.segment);
        let file = |part: &&Part| {
            part.files
                .values()
                .next()
                .cloned()
                .ok_or_else(|| internal(format!("{} left no part", part.task.id)))
        };
        parts.iter().map(file).collect::<Result<_, _>>().map(Some)
    }

    fn ledgers(&self) -> Result<Vec<PartLedger>, EngineError> {
        if self.picture.is_none() {
            return Ok(Vec::new());
        }
        let pictures =
            |part: &&Part| matches!(part.task.kind, TaskKind::Digest | TaskKind::Map | TaskKind::Encode);
        let mut ledgers: Vec<PartLedger> = self
            .request
            .parts
            .iter()
            .filter(pictures)
            .map(|part| picture::ledger(&part.facts))
            .collect::<Result<_, _>>()?;
        ledgers.sort_by_key(|ledger| ledger.index);
        Ok(ledgers)
    }

    /// Joins into the first container whose result passes its certificate. Some
    /// containers accept a stream and shift it; only the certificate detects that.
    async fn join_proven(
        &self,
        mapped: Option<&[PathBuf]>,
        subtitles: Option<AddedSubtitle>,
    ) -> Result<(JoinReport, Certificate, Vec<String>), EngineError> {
        let mut container = wanted(self.recipe.container);
        let mut refused = Vec::new();
        let mut first_error = None;
        loop {
            let joined = self.join(mapped, subtitles.clone(), container).await;
            stage(self.request, Stage::Join, None);
            let report = match (joined, first_error.take()) {
                (Ok(report), first) => {
                    first_error = first;
                    report
                }
                (Err(_), Some(first)) => return Err(first),
                (Err(error), None) => return Err(error),
            };
            stage(self.request, Stage::Certify, Some((1, "file")));
            let certificate = self.certify(&report).await?;
            stage(self.request, Stage::Certify, None);
            if certificate.passed {
                return Ok((report, certificate, refused));
            }
            let extension = report.container.extension();
            let why = certificate.failures.first().map_or("it failed its certificate", String::as_str);
            refused.push(format!("not {extension}: {why}"));
            let error = failed(certificate.failures, self.notes.facts.container);
            std::fs::remove_file(&report.path).map_err(|e| errors::io(report.path.display(), &e))?;
            let first = first_error.take().unwrap_or(error);
            container = match (self.recipe.container, report.container) {
                (Container::Auto, FinalContainer::Mp4) => Some(FinalContainer::Mov),
                (Container::Auto, FinalContainer::Mov) => Some(FinalContainer::Mkv),
                _ => return Err(first),
            };
            first_error = Some(first);
        }
    }

    async fn join(
        &self,
        mapped: Option<&[PathBuf]>,
        subtitles: Option<AddedSubtitle>,
        container: Option<FinalContainer>,
    ) -> Result<JoinReport, EngineError> {
        let run = &self.request.run;
        let track = match self.picture {
            Some((plan, _)) => picture::whole_track(plan, &self.request.inputs).await?,
            None => self.request.inputs.source.path().to_owned(),
        };
        let codec = match mapped.and_then(<[_]>::first) {
            Some(first) => {
                let facts = self.context.probe(first).await?;
                facts.primary_video().and_then(|stream| stream.codec.clone())
            }
            None => None,
        };
        let audio = sound::inputs(&self.request.parts)?;
        let subtitles: Vec<_> = subtitles.into_iter().collect();
        let work = run.scratch.join("join");
        std::fs::create_dir_all(&work).map_err(|e| errors::io(work.display(), &e))?;
        let length_us = self.notes.facts.duration_us.unwrap_or(0).max(1);
        stage(self.request, Stage::Join, Some(((length_us / 1000) as u64, "ms")));
        let reached = AtomicI64::new(0);
        let progress = |us: i64| {
            let before = reached.fetch_max(us, Ordering::Relaxed);
            let done = (us.min(length_us) / 1000 - before.min(length_us) / 1000).max(0) as u64;
            if done > 0 {
                run.reporter.report(Event::StageAdvanced { job: run.job.clone(), stage: Stage::Join, done });
            }
        };
        let what = JoinRequest {
            source: self.request.inputs.source.path(),
            facts: &self.notes.facts,
            picture: self.picture,
            track: &track,
            parts: mapped.map_or(JoinParts::ByReference, JoinParts::Files),
            mapped_codec: codec.as_deref(),
            audio: &audio,
            subtitles: &subtitles,
            container,
            work: &work,
            out_dir: &run.scratch,
            stem: "final",
            progress: &progress,
        };
        join(&self.context.tools, &what, &self.context.limits(&run.cancel)).await.map_err(errors::media)
    }

    async fn certify(&self, joined: &JoinReport) -> Result<Certificate, EngineError> {
        let run = &self.request.run;
        let ledgers = self.ledgers()?;
        let work = run.scratch.join("certify");
        std::fs::create_dir_all(&work).map_err(|e| errors::io(work.display(), &e))?;
        let about = CertifyRequest {
            source: self.request.inputs.source.path(),
            facts: &self.notes.facts,
            picture: self.picture,
            ledgers: &ledgers,
            joined,
            work: &work,
        };
        let limits = self.context.limits(&run.cancel);
        certify(&self.context.tools, &about, &limits).await.map_err(errors::media)
    }
}

/// The error of a join that is not published. The times of a source without an index are
/// ambiguous between demuxers: if they cannot be kept, it is a source error.
fn failed(failures: Vec<String>, source: segue_media::Container) -> EngineError {
    let first = failures.first().map_or("no reason was written", String::as_str);
    let more = failures.len().saturating_sub(1);
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    let (kind, next) = match source {
        segue_media::Container::Other => {
            (FaultKind::Source, "; the times in the source are unclear, encode it anew with --recipe mp4")
        }
        _ => (FaultKind::Internal, ""),
    };
    let why = format!("the joined file failed its certificate and is not published: {first}{more}{next}");
    EngineError { stderr_tail: failures, ..EngineError::new(kind, why) }
}

async fn open(request: &AssembleRequest, notes: &MediaPlan) -> Result<Option<OpenIndex>, EngineError> {
    let Some(plan) = notes.picture.clone() else { return Ok(None) };
    let inputs = request.inputs.clone();
    tokio::task::spawn_blocking(move || picture::open(&plan, &inputs).map(Some))
        .await
        .map_err(|e| internal(format!("the task that reads the index failed: {e}")))?
}

/// Reports the start of a stage with its number of units, or its end.
fn stage(request: &AssembleRequest, stage: Stage, starts: Option<(u64, &str)>) {
    let job = request.run.job.clone();
    request.run.reporter.report(match starts {
        Some((total, unit)) => Event::StageStarted { job, stage, total, done: 0, unit: unit.to_owned() },
        None => Event::StageEnded { job, stage },
    });
}

fn wanted(container: Container) -> Option<FinalContainer> {
    match container {
        Container::Auto => None,
        Container::Mp4 => Some(FinalContainer::Mp4),
        Container::Mov => Some(FinalContainer::Mov),
        Container::Mkv => Some(FinalContainer::Mkv),
    }
}

fn media_type(container: FinalContainer, notes: &MediaPlan) -> &'static str {
    match (container, notes.facts.primary_video().is_some()) {
        (FinalContainer::Mp4, true) => "video/mp4",
        (FinalContainer::Mp4, false) => "audio/mp4",
        (FinalContainer::Mov, _) => "video/quicktime",
        (FinalContainer::Mkv, true) => "video/x-matroska",
        (FinalContainer::Mkv, false) => "audio/x-matroska",
    }
}

fn made(
    request: &AssembleRequest,
    recipe: &VideoRecipe,
    notes: &MediaPlan,
    report: &JoinReport,
    refused: &[String],
) -> String {
    let segments = request.plan.segments.len();
    let how = match (&notes.picture, &recipe.map) {
        (None, _) => "audio copied whole".to_owned(),
        (Some(_), Some(map)) => {
            format!("{segments} segments cut, mapped by {:?}, and joined by an index", map.command)
        }
        (Some(_), None) if report.picture_copied && recipe.mode == VideoMode::Copy => {
            format!("{segments} segments joined by an index, packets unchanged")
        }
        (Some(_), None) => format!("{segments} segments encoded in parallel and joined by an index"),
    };
    let container = report.container.extension().to_uppercase();
    let reasons: Vec<&str> = refused.iter().chain(&report.container_reasons).map(String::as_str).collect();
    if reasons.is_empty() {
        return format!("{how}; in {container}");
    }
    format!("{how}; in {container} because: {}", reasons.join("; "))
}

fn join_notes(report: &JoinReport) -> Vec<String> {
    let dropped =
        report.dropped.iter().map(|d| format!("stream {} ({}) was dropped: {}", d.index, d.what, d.reason));
    let converted = report.kept.iter().filter_map(|kept| {
        let codec = kept.converted_to.as_ref()?;
        Some(format!("stream {} was converted to {codec}, which the container holds", kept.source))
    });
    dropped.chain(converted).collect()
}
