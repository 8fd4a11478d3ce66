//! The output `poster`: one frame in full size, with a BlurHash.

use segue_domain::recipe::StillFormat;
use segue_domain::{FileKind, TaskKind, Timebase};
use segue_media::pictures::Poster;
use segue_ports::{AssembleRequest, AssembledFile, EngineError};

use super::{OutputRequest, Tasks, public_name, task, thumbnail};
use crate::media_plan::{MediaPlan, internal};
use crate::{errors, files, work};

/// Name of the document with the BlurHash.
const DOCUMENT: &str = "poster.json";

/// Plans the poster; a source without video or cover gets no task.
pub fn plan(request: &OutputRequest<'_>) -> Tasks {
    if !thumbnail::has_still(request.facts) {
        return Tasks::none(request, "no poster: the source has no picture");
    }
    Tasks {
        media: MediaPlan::new(request.facts.clone(), None, None),
        timebase: Timebase::MICROS,
        segments: Vec::new(),
        tasks: vec![task(TaskKind::Poster, None, work::POSTER_MS)],
        files: Vec::new(),
        reason: None,
    }
}

/// The poster's files and their document, with notes for the user.
///
/// # Errors
/// A part without the files of its record.
pub fn assemble(request: &AssembleRequest) -> Result<(Vec<AssembledFile>, Vec<String>), EngineError> {
    let part = request.parts.first().ok_or_else(|| internal("the poster's task left no part"))?;
    let poster: Poster = serde_json::from_value(part.facts.clone())
        .map_err(|e| internal(format!("the record of the poster cannot be read: {e}")))?;
    let recipe = request.plan.spec.poster().ok_or_else(|| internal("a poster of something that is none"))?;
    let how = if recipe.at.is_some() {
        "the frame at the recipe's position".to_owned()
    } else {
        format!("the sharpest of {} frames that is neither black nor blank", poster.candidates)
    };
    let mut published = Vec::new();
    for (format, name) in recipe.formats.iter().zip(&poster.files) {
        let path =
            part.files.get(name).ok_or_else(|| internal(format!("the poster's task left no {name}")))?;
        let own = files::borrow(path, request.run.scratch.join(name))?;
        let media_type = match format {
            StillFormat::Jpg => "image/jpeg",
            StillFormat::Webp => "image/webp",
        };
        let name = public_name(&request.plan, name);
        published.push(files::finished(&name, own, FileKind::Thumbnail, media_type, how.as_str())?);
    }
    published.push(document(request, &poster)?);
    let notes = if poster.shows_something {
        Vec::new()
    } else {
        vec!["the poster is dark or blank, as were all frames that were compared".to_owned()]
    };
    Ok((published, notes))
}

fn document(request: &AssembleRequest, poster: &Poster) -> Result<AssembledFile, EngineError> {
    let document = serde_json::json!({
        "version": 1,
        "at_ms": poster.at_us / 1000,
        "width": poster.width,
        "height": poster.height,
        "blurhash": poster.blurhash,
        "sharpness": poster.sharpness,
        "files": poster.files,
    });
    let text = serde_json::to_string_pretty(&document).map_err(|e| internal(e.to_string()))? + "\n";
    let path = request.run.scratch.join(DOCUMENT);
    std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
    let name = public_name(&request.plan, DOCUMENT);
    let how = "position, size and BlurHash of the poster";
    files::finished(&name, path, FileKind::Description, "application/json", how)
}
