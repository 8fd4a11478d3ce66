//! The output `progressive`: one size of a stream with its sound, as one MP4 that begins with its index.

use std::path::PathBuf;

use segue_domain::playlist::{Rendition, RenditionKind};
use segue_domain::{FileKind, OutputMake};
use segue_media::package::{ProgressiveProof, ProgressiveTrack, write_progressive};
use segue_ports::{AssembleRequest, AssembledFile, EngineError, NeededOutput, Source};

use super::stream::{DOCUMENT, StreamDocument, read_document};
use super::{OutputRequest, Tasks, public_name};
use crate::context::EngineContext;
use crate::files::finished;
use crate::media_plan::{MediaPlan, internal};
use crate::{errors, source};

/// Name of the file.
pub const FILE: &str = "progressive.mp4";

/// A plan without tasks: the file is assembled from the stream alone.
pub fn plan(request: &OutputRequest<'_>) -> Tasks {
    Tasks {
        media: MediaPlan::new(request.facts.clone(), None, None),
        timebase: super::stream::NO_SEGMENTS,
        segments: Vec::new(),
        tasks: Vec::new(),
        files: Vec::new(),
        reason: None,
    }
}

/// A progressive file.
pub struct Progressive {
    /// The file, if the stream has any part.
    pub files: Vec<AssembledFile>,
    /// The certificate.
    pub proof: Option<ProgressiveProof>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// Writes the chosen rendition and the default sound of the stream into one file.
///
/// # Errors
/// Parts that cannot be read, or a file whose pictures are not those of the stream.
pub async fn assemble(
    context: &EngineContext,
    request: &AssembleRequest,
) -> Result<Progressive, EngineError> {
    let OutputMake::Progressive(recipe) = &request.plan.spec.make else {
        return Err(internal("a progressive file of something that is none"));
    };
    let Some((folder, needed)) = needed_stream(request) else {
        let notes = vec!["no progressive file: the stream is empty".to_owned()];
        return Ok(Progressive { files: Vec::new(), proof: None, notes });
    };
    let document = document(&folder, needed).await?;
    let pictures: Vec<&Rendition> = document.stream.renditions.iter().filter(|r| r.is_picture()).collect();
    let lines = |rendition: &Rendition| match rendition.kind {
        RenditionKind::Picture { width, height, .. } => width.min(height),
        _ => 0,
    };
    let fits = |rendition: &&&Rendition| recipe.height.is_none_or(|height| lines(rendition) <= height);
    let picture = pictures.iter().find(fits).or(pictures.last()).copied();
    let sounds = || document.stream.renditions.iter().filter(|r| r.is_sound());
    let sound = sounds().find(|sound| sound.default).or_else(|| sounds().next());
    let mut tracks = Vec::new();
    for rendition in picture.into_iter().chain(sound) {
        tracks.push(track(&folder, needed, &document, rendition).await?);
    }
    let out = request.run.scratch.join(FILE);
    let limits = context.limits(&request.run.cancel);
    let proof = write_progressive(&context.tools, &document.plan, &tracks, &out, &limits).await;
    let proof = proof.map_err(errors::media)?;
    let made = match picture {
        Some(picture) => {
            format!("the stream's {} with its sound, packets unchanged, index first", picture.id)
        }
        None => "the stream's sound, packets unchanged, index first".to_owned(),
    };
    let media_type = if picture.is_some() { "video/mp4" } else { "audio/mp4" };
    let name = public_name(&request.plan, FILE);
    let file = finished(&name, out, FileKind::Media, media_type, made)?;
    Ok(Progressive { files: vec![file], proof: Some(proof), notes: Vec::new() })
}

/// The stream that the output needs, with the folder of its files.
fn needed_stream(request: &AssembleRequest) -> Option<(String, &NeededOutput)> {
    let (id, needed) = request.needs.iter().find(|(_, needed)| needed.index.kind == "stream")?;
    let has_document = needed.files.contains_key(&format!("{id}/{DOCUMENT}"));
    has_document.then(|| (id.to_string(), needed))
}

fn file<'a>(folder: &str, needed: &'a NeededOutput, name: &str) -> Result<&'a Source, EngineError> {
    let name = format!("{folder}/{name}");
    needed.files.get(&name).ok_or_else(|| internal(format!("the stream has no file {name}")))
}

async fn document(folder: &str, needed: &NeededOutput) -> Result<StreamDocument, EngineError> {
    let path = source::whole(file(folder, needed, DOCUMENT)?).await?;
    read_document(&std::fs::read(path).map_err(|e| errors::io(path.display(), &e))?)
}

async fn track(
    folder: &str,
    needed: &NeededOutput,
    document: &StreamDocument,
    rendition: &Rendition,
) -> Result<ProgressiveTrack, EngineError> {
    let parts = document.parts.get(&rendition.id);
    let parts = parts.ok_or_else(|| internal(format!("the stream has no parts of {}", rendition.id)))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for part in parts.values() {
        if files.is_empty() {
            files.push(source::whole(file(folder, needed, &part.init)?).await?.to_owned());
        }
        files.push(source::whole(file(folder, needed, &part.uri)?).await?.to_owned());
    }
    let language = rendition.language.as_deref().and_then(isolang::Language::from_639_1);
    let language = language.map(|language| language.to_639_3().to_owned());
    Ok(ProgressiveTrack { is_picture: rendition.is_picture(), language, files })
}
