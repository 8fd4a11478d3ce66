//! The reduce step of picture and sound: join, prove, and say how it was made.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use segue_domain::recipe::Container;
use segue_domain::{FaultKind, OutputKind, TaskKind};
use segue_media::{
    AddedSubtitle, Certificate, CertifyRequest, FinalContainer, JoinParts, JoinReport, JoinRequest,
    OpenIndex, PartLedger, PicturePlan, certify, join,
};
use segue_ports::{EngineError, Event, Part, ReduceRequest, ReducedFile, Stage};

use super::kit::Kit;
use super::notes::{Notes, internal};
use super::{errors, files, picture, sound};

/// Name of the still picture.
pub const THUMBNAIL_FILE: &str = "thumbnail.jpg";

/// A joined file with its proof.
pub struct VideoOutput {
    /// The file to publish.
    pub file: ReducedFile,
    /// The proof; it has passed.
    pub certificate: Certificate,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Joins and proves.
///
/// # Errors
/// A join whose certificate fails; the message says where.
pub async fn reduce(
    kit: &Kit,
    request: &ReduceRequest,
    notes: &Notes,
    subtitles: Option<AddedSubtitle>,
) -> Result<VideoOutput, EngineError> {
    let opened = open(request, notes).await?;
    let joining = Joining { kit, request, notes, picture: notes.picture.as_ref().zip(opened.as_ref()) };
    let mapped = joining.mapped_files()?;
    let (report, certificate, refused) = joining.join_proven(mapped.as_deref(), subtitles).await?;
    let extension = report.container.extension();
    let file = ReducedFile {
        name: format!("final.{extension}"),
        path: report.path.clone(),
        kind: OutputKind::Media,
        media_type: media_type(report.container, notes).to_owned(),
        // from the same reading as the proof
        bytes: certificate.result_bytes,
        sha256: certificate.result_sha256.clone(),
        made: made(request, notes, &report, &refused),
    };
    Ok(VideoOutput { file, certificate, notes: said(&report) })
}

struct Joining<'a> {
    kit: &'a Kit,
    request: &'a ReduceRequest,
    notes: &'a Notes,
    picture: Option<(&'a PicturePlan, &'a OpenIndex)>,
}

impl Joining<'_> {
    /// The files that came back from a map or an encoder, in the segments' order.
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
            |part: &&Part| matches!(part.task.kind, TaskKind::Carry | TaskKind::Map | TaskKind::Encode);
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

    /// Joins into the first container in which the result is what the source was. Some
    /// containers take a stream and do not keep where it stood; only the certificate tells.
    async fn join_proven(
        &self,
        mapped: Option<&[PathBuf]>,
        subtitles: Option<AddedSubtitle>,
    ) -> Result<(JoinReport, Certificate, Vec<String>), EngineError> {
        let recipe = self
            .request
            .plan
            .recipe
            .video
            .as_ref()
            .ok_or_else(|| internal("a join that no recipe asks for"))?;
        let mut container = wanted(recipe.container);
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
            container = match (recipe.container, report.container) {
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
                let facts = self.kit.probe(first).await?;
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
        join(&self.kit.tools, &what, &self.kit.limits(&run.cancel)).await.map_err(errors::media)
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
        let limits = self.kit.limits(&run.cancel);
        certify(&self.kit.tools, &about, &limits).await.map_err(errors::media)
    }
}

/// The error of a join that is not published. A source without an index has its times
/// guessed by whoever reads it: where they cannot be kept, it is the source's fault.
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

async fn open(request: &ReduceRequest, notes: &Notes) -> Result<Option<OpenIndex>, EngineError> {
    let Some(plan) = notes.picture.clone() else { return Ok(None) };
    let inputs = request.inputs.clone();
    tokio::task::spawn_blocking(move || picture::open(&plan, &inputs).map(Some))
        .await
        .map_err(|e| internal(format!("reading an index ended badly: {e}")))?
}

/// Reports that a stage starts with so many units, or that it has ended.
fn stage(request: &ReduceRequest, stage: Stage, starts: Option<(u64, &str)>) {
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

fn media_type(container: FinalContainer, notes: &Notes) -> &'static str {
    match (container, notes.facts.primary_video().is_some()) {
        (FinalContainer::Mp4, true) => "video/mp4",
        (FinalContainer::Mp4, false) => "audio/mp4",
        (FinalContainer::Mov, _) => "video/quicktime",
        (FinalContainer::Mkv, true) => "video/x-matroska",
        (FinalContainer::Mkv, false) => "audio/x-matroska",
    }
}

fn made(request: &ReduceRequest, notes: &Notes, report: &JoinReport, refused: &[String]) -> String {
    let segments = request.plan.segments.len();
    let how = match (&notes.picture, &request.plan.recipe.map) {
        (None, _) => "sound carried whole".to_owned(),
        (Some(_), Some(map)) => {
            format!("{segments} segments cut, mapped by {:?}, and joined by an index", map.command)
        }
        (Some(_), None) if report.picture_copied => {
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

fn said(report: &JoinReport) -> Vec<String> {
    let dropped =
        report.dropped.iter().map(|d| format!("stream {} ({}) is not kept: {}", d.index, d.what, d.reason));
    let converted = report.kept.iter().filter_map(|kept| {
        let codec = kept.converted_to.as_ref()?;
        Some(format!("stream {} was converted to {codec}, which the container holds", kept.source))
    });
    dropped.chain(converted).collect()
}

/// A still picture that a task made, as a file to publish.
pub fn still(parts: &[Part], folder: &Path) -> Result<Option<ReducedFile>, EngineError> {
    let name = THUMBNAIL_FILE;
    let Some(path) = parts.iter().find_map(|part| part.files.get(name)) else { return Ok(None) };
    let own = files::borrow(path, folder.join(name))?;
    files::finished(name, own, OutputKind::Thumbnail, "image/jpeg", "one frame that stands for the whole")
        .map(Some)
}
