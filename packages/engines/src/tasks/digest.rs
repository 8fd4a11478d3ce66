//! Task of a copied video: hashes the packets of a segment without writing a file.
//!
//! The join reads the packets from the source. Where a muxer joins, their hashes are compared with those of
//! the result by the certificate; where the join copies the source's bytes unchanged, the certificate
//! compares the result with the source itself, and the packets are not read here.

use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::part::owned;
use segue_media::{digest_part, may_be_carried};
use segue_ports::{EngineError, MapEngine, TaskRequest, TaskResult};

use crate::context::EngineContext;
use crate::media_plan::internal;
use crate::{errors, picture};

/// Hashes segments.
pub struct DigestEngine {
    context: Arc<EngineContext>,
}

impl DigestEngine {
    /// An engine that shares this context.
    pub fn new(context: Arc<EngineContext>) -> DigestEngine {
        DigestEngine { context }
    }
}

#[async_trait]
impl MapEngine for DigestEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Digest]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = self.context.media_plan(&request.plan)?;
        if notes.picture.is_none() {
            // a source without video is not cut; the join copies it
            return Ok(TaskResult::default());
        }
        let video = request.plan.spec.video();
        let untouched = video.is_some_and(|video| !video.subtitles && !video.sound.is_made());
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
        read.await.map_err(|e| internal(format!("the task that reads a segment failed: {e}")))?
    }
}
