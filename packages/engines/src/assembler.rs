//! The assembler: assembles one output from its parts, with its certificate.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::{FileKind, OutputMake};
use segue_ports::{AssembleRequest, Assembled, AssembledFile, Assembler, EngineError};
use serde::{Deserialize, Serialize};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::outputs::storyboard::StoryboardProof;
use crate::outputs::stream::StreamProof;
use crate::outputs::{audio, image, poster, progressive, storyboard, stream, thumbnail, transcript, video};
use crate::{errors, files};

/// Version of the certificate document.
const CERTIFICATE_VERSION: u32 = 1;

/// The seam certificate of an output as it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Document version, 1.
    pub version: u32,
    /// Hash of the plan whose parts were joined.
    pub plan: String,
    /// Number of segments.
    pub segments: u32,
    /// Names and versions of the programs that were used.
    pub tools: BTreeMap<String, String>,
    /// Certificate of a video.
    pub media: Option<segue_media::Certificate>,
    /// Certificate of a transcript.
    pub speech: Option<SpeechProof>,
    /// Certificate of audio files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<segue_media::audio_files::AudioProof>,
    /// Certificate of a storyboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storyboard: Option<StoryboardProof>,
    /// Certificate of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamProof>,
    /// Certificate of a progressive file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progressive: Option<segue_media::package::ProgressiveProof>,
}

/// The certificate of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeechProof {
    /// Samples at 16 kHz of each segment, in order; they are contiguous and start at 0, so that every
    /// sample is transcribed by exactly one task.
    pub heard: Vec<(i64, i64)>,
    /// Total number of words.
    pub words: u64,
    /// Whether no word starts before the one before it.
    pub times_monotonic: bool,
}

/// Assembles outputs.
pub struct MediaAssembler {
    context: Arc<EngineContext>,
}

impl MediaAssembler {
    /// An assembler with these tools.
    pub fn new(context: Arc<EngineContext>) -> MediaAssembler {
        MediaAssembler { context }
    }
}

#[async_trait]
impl Assembler for MediaAssembler {
    async fn assemble(&self, request: AssembleRequest) -> Result<Assembled, EngineError> {
        let media_plan = self.context.media_plan(&request.plan)?;
        let mut notes = media_plan.warnings.clone();
        let mut published = Vec::new();
        let (mut media, mut speech) = (None, None);
        let (mut audio_proof, mut storyboard_proof) = (None, None);
        let (mut stream_proof, mut progressive_proof) = (None, None);
        match &request.plan.spec.make {
            OutputMake::Video(_) => {
                let video = video::assemble(&self.context, &request, &media_plan).await?;
                published.push(video.file);
                notes.extend(video.notes);
                media = Some(video.certificate);
            }
            OutputMake::Transcript(recipe) => {
                let (recipe, owned) = (recipe.clone(), request.clone());
                let stitched = tokio::task::spawn_blocking(move || transcript::assemble(&recipe, &owned));
                let stitched =
                    stitched.await.map_err(|e| internal(format!("the stitching task failed: {e}")))?;
                let (files, proof) = stitched?;
                published.extend(files);
                speech = Some(proof);
            }
            OutputMake::Thumbnail(_) => published.push(thumbnail::assemble(&request)?),
            OutputMake::Audio(_) => {
                let audio = audio::assemble(&self.context, &request).await?;
                published.extend(audio.files);
                notes.extend(audio.notes);
                audio_proof = Some(audio.proof);
            }
            OutputMake::Poster(_) => {
                let (files, more) = poster::assemble(&request)?;
                published.extend(files);
                notes.extend(more);
            }
            OutputMake::Storyboard(_) => {
                let (files, proof) = storyboard::assemble(&self.context, &request, &media_plan).await?;
                published.extend(files);
                storyboard_proof = Some(proof);
            }
            OutputMake::Stream(_) => {
                let stream = stream::assemble(&request, &media_plan).await?;
                published.extend(stream.files);
                notes.extend(stream.notes);
                stream_proof = Some(stream.proof);
            }
            OutputMake::Progressive(_) => {
                let progressive = progressive::assemble(&self.context, &request).await?;
                published.extend(progressive.files);
                notes.extend(progressive.notes);
                progressive_proof = progressive.proof;
            }
            OutputMake::Image(_) => {
                let (files, more) = image::assemble(&request)?;
                published.extend(files);
                notes.extend(more);
            }
        }
        let certificate = Certificate {
            version: CERTIFICATE_VERSION,
            plan: request.plan_hash.clone(),
            segments: request.plan.segments.len() as u32,
            tools: self.context.versions(),
            media,
            speech,
            audio: audio_proof,
            storyboard: storyboard_proof,
            stream: stream_proof,
            progressive: progressive_proof,
        };
        published.push(write(&certificate, &request)?);
        Ok(Assembled { files: published, notes, tools: self.context.versions() })
    }
}

fn write(certificate: &Certificate, request: &AssembleRequest) -> Result<AssembledFile, EngineError> {
    let path = request.run.scratch.join("certificate.json");
    let text = serde_json::to_string_pretty(certificate).map_err(|e| internal(e.to_string()))? + "\n";
    std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
    let name = format!("{}.certificate.json", request.plan.output);
    files::finished(&name, path, FileKind::Certificate, "application/json", "measured on the finished files")
}
