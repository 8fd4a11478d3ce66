//! The output `thumbnail`: one still picture.

use segue_domain::{FileKind, TaskKind, Timebase};
use segue_media::{SourceFacts, StreamKind};
use segue_ports::{AssembleRequest, AssembledFile, EngineError};

use super::{OutputRequest, Tasks, public_name, task};
use crate::media_plan::{MediaPlan, internal};
use crate::{files, work};

/// Name of the thumbnail.
pub const THUMBNAIL_FILE: &str = "thumbnail.jpg";

/// Plans the thumbnail; a source without video or cover gets no task.
pub fn plan(request: &OutputRequest<'_>) -> Tasks {
    if !has_still(request.facts) {
        return Tasks::none(request, "no thumbnail: the source has no picture");
    }
    Tasks {
        media: MediaPlan::new(request.facts.clone(), None, None),
        timebase: Timebase::MICROS,
        segments: Vec::new(),
        tasks: vec![task(TaskKind::Thumbnail, None, work::THUMBNAIL_MS)],
        files: Vec::new(),
        reason: None,
    }
}

/// Whether a source has a video or a cover.
pub fn has_still(facts: &SourceFacts) -> bool {
    facts.primary_video().is_some() || facts.of(StreamKind::Picture).next().is_some()
}

/// The task's thumbnail, as a file to publish.
pub fn assemble(request: &AssembleRequest) -> Result<AssembledFile, EngineError> {
    let path = request.parts.iter().find_map(|part| part.files.get(THUMBNAIL_FILE));
    let path = path.ok_or_else(|| internal("the thumbnail's task left no picture"))?;
    let own = files::borrow(path, request.run.scratch.join(THUMBNAIL_FILE))?;
    let name = public_name(&request.plan, THUMBNAIL_FILE);
    files::finished(&name, own, FileKind::Thumbnail, "image/jpeg", "one frame that stands for the whole")
}
