//! The map task of a copy without a map step. It writes nothing: the join takes the packets from
//! where they lie. Where a muxer will join, the packets are read and their digest taken, which
//! the certificate holds against the result; where the join moves the source's bytes as they
//! are, the certificate compares the result with the source itself, and they are not read here.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::part::owned;
use segue_media::{digest_part, may_be_carried};
use segue_ports::{EngineError, MapEngine, TaskRequest, TaskResult};

use super::kit::Kit;
use super::notes::internal;
use super::{errors, picture};

/// Reads segments.
pub struct CarryEngine {
    kit: Arc<Kit>,
}

impl CarryEngine {
    /// An engine that shares this kit.
    pub fn new(kit: Arc<Kit>) -> CarryEngine {
        CarryEngine { kit }
    }
}

#[async_trait]
impl MapEngine for CarryEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Carry]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.kit.notes(&request.plan)?;
        if notes.picture.is_none() {
            // sound alone goes around the segments; the join carries it
            return Ok(TaskResult::default());
        }
        let untouched = request
            .plan
            .recipe
            .video
            .as_ref()
            .is_some_and(|video| !video.subtitles && !video.sound.is_made());
        if untouched && may_be_carried(&notes.facts, notes.picture()?) {
            let ledger = owned(picture::segment(notes.picture()?, &request)?);
            return Ok(TaskResult { files: Vec::new(), facts: picture::facts(&ledger)? });
        }
        picture::fetch_index(notes.picture()?, &request.inputs).await?;
        let read = tokio::task::spawn_blocking(move || {
            let picture = notes.picture()?;
            let open = picture::open(picture, &request.inputs)?;
            let ledger = digest_part(&open, picture::segment(picture, &request)?).map_err(errors::media)?;
            Ok(TaskResult { files: Vec::new(), facts: picture::facts(&ledger)? })
        });
        read.await.map_err(|e| internal(format!("reading a segment ended badly: {e}")))?
    }
}
