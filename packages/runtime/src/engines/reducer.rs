//! The reduce: transcript, video, still picture, and the certificate over all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::transcript::Transcript;
use segue_domain::{FaultKind, OutputKind};
use segue_media::AddedSubtitle;
use segue_ports::{EngineError, ReduceRequest, Reduced, ReducedFile, Reducer};
use serde::{Deserialize, Serialize};

use super::kit::Kit;
use super::notes::internal;
use super::speech_output::SpeechOutput;
use super::{errors, files, source, speech_output, video_output};

/// Version of the certificate document.
const CERTIFICATE_VERSION: u32 = 1;

/// The seam certificate as it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Document version, 1.
    pub version: u32,
    /// Hash of the plan whose parts were joined.
    pub plan: String,
    /// Number of segments.
    pub segments: u32,
    /// Names and versions of the programs that made it.
    pub tools: BTreeMap<String, String>,
    /// The proof of picture and sound; absent where no video was asked for.
    pub media: Option<segue_media::Certificate>,
    /// The proof of the transcript; absent where there is none.
    pub speech: Option<SpeechProof>,
}

/// What is proven of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeechProof {
    /// Samples at 16 kHz that each segment stood for, in order; they touch each other and
    /// begin at 0, so that every sample is heard by exactly one task.
    pub heard: Vec<(i64, i64)>,
    /// Words in all.
    pub words: u64,
    /// Whether no word starts before the one before it.
    pub times_monotonic: bool,
}

/// Joins parts.
pub struct MediaReducer {
    kit: Arc<Kit>,
}

impl MediaReducer {
    /// A reducer with these tools.
    pub fn new(kit: Arc<Kit>) -> MediaReducer {
        MediaReducer { kit }
    }
}

#[async_trait]
impl Reducer for MediaReducer {
    async fn reduce(&self, request: ReduceRequest) -> Result<Reduced, EngineError> {
        let notes = self.kit.notes(&request.plan)?;
        let speech = stitched(&request).await?;
        let mut published = Vec::new();
        let mut said = notes.warnings.clone();
        let mut media = None;
        if let Some(recipe) = &request.plan.recipe.video {
            source::whole(&request.inputs.source).await?;
            let track = speech.as_ref().filter(|_| recipe.subtitles).and_then(subtitle_track);
            let video = video_output::reduce(&self.kit, &request, &notes, track).await?;
            published.push(video.file);
            said.extend(video.notes);
            media = Some(video.certificate);
        }
        let proof = speech.as_ref().map(prove).transpose()?;
        published.extend(speech.into_iter().flat_map(|speech| speech.files));
        published.extend(video_output::still(&request.parts, &request.run.scratch)?);
        let certificate = Certificate {
            version: CERTIFICATE_VERSION,
            plan: request.plan_hash.clone(),
            segments: request.plan.segments.len() as u32,
            tools: self.kit.versions(),
            media,
            speech: proof,
        };
        published.push(write(&certificate, &request)?);
        Ok(Reduced { files: published, notes: said, tools: self.kit.versions() })
    }
}

async fn stitched(request: &ReduceRequest) -> Result<Option<SpeechOutput>, EngineError> {
    let Some(recipe) = request.plan.recipe.transcript.clone() else { return Ok(None) };
    let (parts, folder) = (request.parts.clone(), request.run.scratch.clone());
    tokio::task::spawn_blocking(move || speech_output::reduce(&recipe, &parts, &folder))
        .await
        .map_err(|e| internal(format!("stitching ended badly: {e}")))?
}

fn subtitle_track(speech: &SpeechOutput) -> Option<AddedSubtitle> {
    let language = isolang::Language::from_639_1(&speech.transcript.language);
    let path = speech.subtitles.clone()?;
    let name = language.map(|language| language.to_name().to_owned());
    Some(AddedSubtitle { path, language: language.map(|l| l.to_639_3().to_owned()), title: name })
}

/// Every sample heard by one task, and words in order.
fn prove(speech: &SpeechOutput) -> Result<SpeechProof, EngineError> {
    let touching = speech.heard.windows(2).all(|pair| pair[0].1 == pair[1].0);
    let from_zero = speech.heard.first().is_none_or(|first| first.0 == 0);
    let proof = SpeechProof {
        heard: speech.heard.clone(),
        words: speech.transcript.segments.iter().map(|s| s.words.len() as u64).sum(),
        times_monotonic: times_monotonic(&speech.transcript),
    };
    if touching && from_zero && proof.times_monotonic {
        return Ok(proof);
    }
    let why = "the transcript failed its certificate and is not published: a stretch of sound was heard twice or by nobody";
    Err(EngineError::new(FaultKind::Internal, why))
}

fn times_monotonic(transcript: &Transcript) -> bool {
    let words: Vec<_> = transcript.segments.iter().flat_map(|s| &s.words).collect();
    words.windows(2).all(|pair| pair[0].start_ms <= pair[1].start_ms)
        && words.iter().all(|w| w.start_ms <= w.end_ms)
}

fn write(certificate: &Certificate, request: &ReduceRequest) -> Result<ReducedFile, EngineError> {
    let path = request.run.scratch.join("certificate.json");
    let text = serde_json::to_string_pretty(certificate).map_err(|e| internal(e.to_string()))? + "\n";
    std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
    files::finished(
        "certificate.json",
        path,
        OutputKind::Certificate,
        "application/json",
        "measured on the finished files",
    )
}
