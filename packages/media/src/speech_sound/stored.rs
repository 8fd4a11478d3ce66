//! Audio that is decoded once for all readers of its parts.
//!
//! If a container does not give the exact position of a time, every reader would have to
//! decode the stream from its start. Instead one reader decodes it, and the others read ranges of its output:
//! 16-bit samples, little-endian, contiguous, 115 MB per hour.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Place, SpeechSound, Start, Whole, samples};
use crate::error::{MediaError, Result};
use crate::facts::SourceFacts;
use crate::process::Limits;
use crate::ranged::Source;
use crate::tools::Tools;

/// The file of a stream's samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechFile {
    /// Name of the file.
    pub file_name: String,
    /// Number of samples.
    pub samples: i64,
    /// Time of the first sample, in milliseconds after the source's start time.
    pub start_offset_ms: i64,
}

impl SpeechFile {
    /// Decodes a stream into `folder` if it cannot be decoded in parts on demand; `None`
    /// if it can.
    ///
    /// # Errors
    /// As [`SpeechSound::open`].
    pub async fn decode(
        tools: &Tools,
        source: &Source,
        facts: &SourceFacts,
        audio_stream_index: u32,
        folder: &Path,
        limits: &Limits,
    ) -> Result<Option<SpeechFile>> {
        let start = Start::find(tools, source, facts, audio_stream_index).await?;
        if start.on_demand.is_some() {
            return Ok(None);
        }
        source.bring_all().await?;
        let whole = Whole::decode(tools, source.path(), start.stream, folder, limits).await?;
        let (path, samples) = whole.keep();
        let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let file_name = file_name.ok_or_else(|| MediaError::internal("a file without a name"))?;
        Ok(Some(SpeechFile { file_name, samples, start_offset_ms: start.offset_ms }))
    }
}

/// A file of samples, possibly sparse.
#[derive(Debug)]
pub(super) struct Stored {
    source: Source,
    file: File,
    runtime: tokio::runtime::Handle,
}

impl Stored {
    pub fn read(&self, from: i64, to: i64) -> Result<Vec<i16>> {
        let bytes = from as u64 * 2..to as u64 * 2;
        self.runtime.block_on(self.source.bring(std::slice::from_ref(&bytes)))?;
        let mut read = vec![0; (bytes.end - bytes.start) as usize];
        self.file
            .read_exact_at(&mut read, bytes.start)
            .map_err(|e| MediaError::io(format!("reading {}", self.source.path().display()), &e))?;
        Ok(samples(&read).collect())
    }
}

impl SpeechSound {
    /// Opens the file that [`SpeechFile::decode`] wrote. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// A missing file, or one of another size.
    pub fn stored(source: &Source, what: &SpeechFile) -> Result<SpeechSound> {
        let failed = |e: std::io::Error| MediaError::io(source.path().display(), &e);
        let file = File::open(source.path()).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if i64::try_from(bytes).ok() != what.samples.checked_mul(2) {
            return Err(MediaError::internal(format!(
                "{}: {bytes} bytes are not {} samples",
                source.path().display(),
                what.samples
            )));
        }
        let runtime = tokio::runtime::Handle::current();
        let place = Place::Stored(Stored { source: source.clone(), file, runtime });
        Ok(SpeechSound { place, len: what.samples, start_offset_ms: what.start_offset_ms })
    }
}
