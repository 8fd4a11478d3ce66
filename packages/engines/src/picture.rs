//! What the engines that work on one segment of the picture share.

use std::path::{Path, PathBuf};

use segue_media::assemble::read_part;
use segue_media::part::ledger_of;
use segue_media::{OpenIndex, PartLedger, PicturePlan, PictureSegment, TrackPlace, open_track};
use segue_ports::{EngineError, Inputs, Source, TaskRequest};

use super::{errors, source};
use crate::media_plan::internal;

/// What holds the indexed packets.
fn place<'a>(picture: &PicturePlan, inputs: &'a Inputs) -> Result<&'a Source, EngineError> {
    match &picture.track {
        TrackPlace::Source { .. } => Ok(&inputs.source),
        TrackPlace::TrackFile { file_name, .. } => {
            inputs.files.get(file_name).ok_or_else(|| internal(format!("the plan has no file {file_name}")))
        }
    }
}

/// Where the indexed packets lie on this machine; what is not asked for may not be there.
pub fn track(picture: &PicturePlan, inputs: &Inputs) -> Result<PathBuf, EngineError> {
    Ok(place(picture, inputs)?.path().to_owned())
}

/// The same when all of them are there.
pub async fn whole_track(picture: &PicturePlan, inputs: &Inputs) -> Result<PathBuf, EngineError> {
    source::whole(place(picture, inputs)?).await.map(Path::to_owned)
}

/// Returns when the index is there that [`open`] reads, which else would fetch it piece by piece.
pub async fn fetch_index(picture: &PicturePlan, inputs: &Inputs) -> Result<(), EngineError> {
    source::of(place(picture, inputs)?).bring_head().await.map_err(errors::media)
}

/// The index of the packets. Blocks while it is read.
pub fn open(picture: &PicturePlan, inputs: &Inputs) -> Result<OpenIndex, EngineError> {
    open_track(picture, source::of(place(picture, inputs)?)).map_err(errors::media)
}

/// The segment that a task is about.
pub fn segment<'a>(
    picture: &'a PicturePlan,
    request: &TaskRequest,
) -> Result<&'a PictureSegment, EngineError> {
    let index = request.task.segment.ok_or_else(|| internal("a task of no segment"))?;
    picture.segments.get(index as usize).ok_or_else(|| internal(format!("there is no segment {index}")))
}

/// What a part that was made holds, if it holds the frames that its segment owns.
pub async fn ledger_of_file(part: PathBuf, segment: PictureSegment) -> Result<PartLedger, EngineError> {
    let read = tokio::task::spawn_blocking(move || ledger_of(&read_part(&part, &segment)?, &segment));
    read.await.map_err(|e| internal(format!("reading a part ended badly: {e}")))?.map_err(errors::media)
}

/// A ledger as the facts of a completion.
pub fn facts(ledger: &PartLedger) -> Result<serde_json::Value, EngineError> {
    serde_json::to_value(ledger).map_err(|e| internal(e.to_string()))
}

/// The ledger in a completion's facts.
pub fn ledger(facts: &serde_json::Value) -> Result<PartLedger, EngineError> {
    serde_json::from_value(facts.clone())
        .map_err(|e| internal(format!("a part's ledger cannot be read: {e}")))
}
