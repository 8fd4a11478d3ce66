//! Adapts a source of the ports for segue-media.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use segue_domain::FaultKind;
use segue_media::{Bring, MediaError};
use segue_ports::{EngineError, PortError, PortErrorKind, Prefetch, Source};

/// Fetches the ranges that segue-media requests.
#[derive(Debug)]
struct Fetching(Arc<dyn Prefetch>);

#[async_trait]
impl Bring for Fetching {
    async fn bring(&self, ranges: &[Range<u64>]) -> segue_media::Result<()> {
        self.0.prefetch(ranges).await.map_err(|error| match error.kind {
            PortErrorKind::NotFound | PortErrorKind::Denied => MediaError::source(said(&error)),
            _ => MediaError::environment(said(&error)),
        })
    }
}

fn said(error: &PortError) -> String {
    match error.kind {
        PortErrorKind::NotFound => {
            format!("the source is not there any more ({error}); put it back or submit it again")
        }
        PortErrorKind::Denied => format!("the source may not be read: {error}"),
        _ => format!("the source cannot be fetched: {error}"),
    }
}

/// The source, with ranges fetched on request.
pub fn of(source: &Source) -> segue_media::Source {
    match source.remote() {
        Some(rest) => segue_media::Source::partial(source.path(), Arc::new(Fetching(Arc::clone(rest)))),
        None => segue_media::Source::whole(source.path()),
    }
}

/// The source, fetched completely.
pub async fn whole(source: &Source) -> Result<&Path, EngineError> {
    source.prefetch_all().await.map_err(|error| {
        let kind = match error.kind {
            PortErrorKind::NotFound | PortErrorKind::Denied => FaultKind::Source,
            _ => FaultKind::Environment,
        };
        let retryable = kind == FaultKind::Environment;
        EngineError { retryable, ..EngineError::new(kind, said(&error)) }
    })
}
