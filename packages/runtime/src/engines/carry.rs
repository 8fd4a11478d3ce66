//! The map task of a copy without a map step: read the packets, take their digest, write
//! nothing. The join takes the packets from where they lie, and the certificate holds the
//! digests against the result.

use async_trait::async_trait;
use segue_domain::TaskKind;
use segue_media::digest_part;
use segue_ports::{EngineError, MapEngine, TaskRequest, TaskResult};

use super::notes::{Notes, internal};
use super::{errors, picture};

/// Reads segments.
#[derive(Debug, Clone, Copy, Default)]
pub struct CarryEngine;

#[async_trait]
impl MapEngine for CarryEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Carry]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let notes = Notes::read(&request.plan)?;
        if notes.picture.is_none() {
            // sound alone goes around the segments; the join carries it
            return Ok(TaskResult::default());
        }
        let read = tokio::task::spawn_blocking(move || {
            let picture = notes.picture()?;
            let open = picture::open(picture, &request.inputs)?;
            let ledger = digest_part(&open, picture::segment(picture, &request)?).map_err(errors::media)?;
            Ok(TaskResult { files: Vec::new(), facts: picture::facts(&ledger)? })
        });
        read.await.map_err(|e| internal(format!("reading a segment ended badly: {e}")))?
    }
}
