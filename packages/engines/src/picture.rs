//! Functions shared by the engines that work on one segment of the video.

use std::path::{Path, PathBuf};

use segue_media::assemble::read_part;
use segue_media::part::ledger_of;
use segue_media::{OpenIndex, PartLedger, PicturePlan, PictureSegment, TrackPlace, open_track};
use segue_ports::{EngineError, Inputs, Source, TaskRequest};

use super::{errors, source};
use crate::media_plan::internal;

/// The file that contains the indexed packets.
fn place<'a>(picture: &PicturePlan, inputs: &'a Inputs) -> Result<&'a Source, EngineError> {
    match &picture.track {
        TrackPlace::Source { .. } => Ok(&inputs.source),
        TrackPlace::TrackFile { file_name, .. } => {
            inputs.files.get(file_name).ok_or_else(|| internal(format!("the plan has no file {file_name}")))
        }
    }
}

/// Local path of the indexed packets; ranges that were not requested may be missing.
pub fn track(picture: &PicturePlan, inputs: &Inputs) -> Result<PathBuf, EngineError> {
    Ok(place(picture, inputs)?.path().to_owned())
}

/// The same with all packets present.
pub async fn whole_track(picture: &PicturePlan, inputs: &Inputs) -> Result<PathBuf, EngineError> {
    source::whole(place(picture, inputs)?).await.map(Path::to_owned)
}

/// Fetches the index that [`open`] reads, which would otherwise be fetched block by block.
pub async fn fetch_index(picture: &PicturePlan, inputs: &Inputs) -> Result<(), EngineError> {
    source::of(place(picture, inputs)?).bring_head().await.map_err(errors::media)
}

/// The index of the packets. Blocking.
pub fn open(picture: &PicturePlan, inputs: &Inputs) -> Result<OpenIndex, EngineError> {
    open_track(picture, source::of(place(picture, inputs)?)).map_err(errors::media)
}

/// The segment of a task.
pub fn segment<'a>(
    picture: &'a PicturePlan,
    request: &TaskRequest,
) -> Result<&'a PictureSegment, EngineError> {
    let index = request.task.segment.ok_or_else(|| internal("a task of no segment"))?;
    picture.segments.get(index as usize).ok_or_else(|| internal(format!("there is no segment {index}")))
}

/// The record of a part, if it holds the frames that its segment owns.
pub async fn ledger_of_file(part: PathBuf, segment: PictureSegment) -> Result<PartLedger, EngineError> {
    let read = tokio::task::spawn_blocking(move || ledger_of(&read_part(&part, &segment)?, &segment));
    read.await
        .map_err(|e| internal(format!("the task that reads a part failed: {e}")))?
        .map_err(errors::media)
}

/// Encodes a record as the facts of a completion.
pub fn facts(ledger: &PartLedger) -> Result<serde_json::Value, EngineError> {
    serde_json::to_value(ledger).map_err(|e| internal(e.to_string()))
}

/// Decodes the record in a completion's facts.
pub fn ledger(facts: &serde_json::Value) -> Result<PartLedger, EngineError> {
    serde_json::from_value(facts.clone())
        .map_err(|e| internal(format!("a part's ledger cannot be read: {e}")))
}
