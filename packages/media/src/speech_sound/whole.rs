//! Audio decoded as a whole into a file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::args::whole_args;
use super::samples;
use crate::error::{MediaError, Result};
use crate::facts::StreamFacts;
use crate::process::{self, Heard, Limits};
use crate::progress::Progress;
use crate::tools::Tools;

/// A file of all samples, removed on drop unless it is kept.
#[derive(Debug)]
pub(super) struct Whole {
    file: File,
    path: PathBuf,
    /// Number of samples.
    pub len: i64,
    stays: bool,
}

impl Whole {
    pub async fn decode(
        tools: &Tools,
        path: &Path,
        stream: &StreamFacts,
        scratch: &Path,
        limits: &Limits,
    ) -> Result<Whole> {
        let out = scratch.join(format!("speech-{}.s16", stream.index));
        let call =
            tools.ffmpeg(format!("decoding the sound of {}", path.display()), whole_args(path, stream, &out));
        let call = call.reading(path).writing(&out);
        let mut progress = Progress::default();
        process::run(&call, limits, |piece| -> Heard { progress.push(piece) }).await?;
        let failed = |e: std::io::Error| MediaError::io(format!("reading {}", out.display()), &e);
        let file = File::open(&out).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len() as i64 / 2;
        Ok(Whole { file, path: out, len, stays: false })
    }

    /// Keeps the file; returns it with its number of samples.
    pub fn keep(mut self) -> (PathBuf, i64) {
        self.stays = true;
        (self.path.clone(), self.len)
    }

    pub fn read(&self, from: i64, to: i64) -> Result<Vec<i16>> {
        let mut bytes = vec![0; (to - from) as usize * 2];
        self.file
            .read_exact_at(&mut bytes, from as u64 * 2)
            .map_err(|e| MediaError::io(format!("reading {}", self.path.display()), &e))?;
        Ok(samples(&bytes).collect())
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !self.stays {
            // a missing file counts as removed
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
