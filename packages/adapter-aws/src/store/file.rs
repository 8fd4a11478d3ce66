//! Local files: read in parts, written in parts, off the executor.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nix::fcntl::OFlag;
use segue_ports::{PortError, PortErrorKind};

use crate::error::say;

/// Buffer size of checksums, bytes.
const BLOCK: usize = 1 << 20;

/// Runs blocking work off the executor.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| {
        Err(say(PortErrorKind::Transient, format_args!("work on a file was stopped: {e}")))
    })
}

/// Removes an uploaded file; a missing one is not an error.
///
/// # Errors
/// I/O errors of the removal.
pub async fn remove(file: &Path) -> Result<(), PortError> {
    match tokio::fs::remove_file(file).await {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(PortError::io(format_args!("cannot remove {}", file.display()), e))
        }
        _ => Ok(()),
    }
}

/// A plain file that is being read.
#[derive(Debug, Clone)]
pub struct Source {
    file: Arc<File>,
    path: PathBuf,
    pub bytes: u64,
}

impl Source {
    /// Opens a plain file, following no link.
    ///
    /// # Errors
    /// `NotFound`, `Denied`; `Misuse` for a link, a folder, a pipe.
    pub fn open(path: &Path) -> Result<Source, PortError> {
        let trouble = |e| PortError::io(format_args!("cannot upload {}", path.display()), e);
        let odd = || {
            let message = format_args!("{} is not a plain file", path.display());
            say(PortErrorKind::Misuse, message)
        };
        if !std::fs::symlink_metadata(path).map_err(trouble)?.is_file() {
            return Err(odd());
        }
        // it may have been replaced in between
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = File::options().read(true).custom_flags(flags.bits()).open(path);
        let file = file.map_err(trouble)?;
        let what = file.metadata().map_err(trouble)?;
        if !what.is_file() {
            return Err(odd());
        }
        Ok(Source { file: Arc::new(file), path: path.to_owned(), bytes: what.len() })
    }

    fn read_range(&self, range: Range<u64>) -> Result<Bytes, PortError> {
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        let read = self.file.read_exact_at(&mut bytes, range.start);
        match read {
            Ok(()) => Ok(Bytes::from(bytes)),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(self.changed()),
            Err(e) => Err(PortError::io(format_args!("cannot read {}", self.path.display()), e)),
        }
    }

    /// The bytes of a range.
    ///
    /// # Errors
    /// I/O errors; `Misuse` when the file has become shorter.
    pub async fn part(&self, range: Range<u64>) -> Result<Bytes, PortError> {
        let source = self.clone();
        blocking(move || source.read_range(range)).await
    }

    /// CRC32 of the whole file.
    ///
    /// # Errors
    /// As [`Source::part`].
    pub async fn crc32(&self) -> Result<u32, PortError> {
        let source = self.clone();
        blocking(move || {
            let mut crc = crc32fast::Hasher::new();
            for range in super::ranges(source.bytes, BLOCK as u64) {
                crc.update(&source.read_range(range)?);
            }
            Ok(crc.finalize())
        })
        .await
    }

    /// The error of a concurrent modification.
    pub fn changed(&self) -> PortError {
        let message = format_args!("{} was changed while it was being stored", self.path.display());
        say(PortErrorKind::Misuse, message)
    }
}

/// A file that is being written and is removed on drop unless it is kept.
#[derive(Debug)]
pub struct Copy {
    file: Arc<File>,
    path: PathBuf,
    kept: bool,
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.kept {
            // its name is unique, and the folder is a scratch folder
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Copy {
    /// Creates a file with a unique name that ends with `name`.
    ///
    /// # Errors
    /// I/O errors.
    pub async fn create(scratch: &Path, name: &str) -> Result<Copy, PortError> {
        // a file name has at most 255 bytes, and names are ASCII
        let end = &name[name.len().saturating_sub(120)..];
        let path = scratch.join(format!("get-{}-{end}", uuid::Uuid::new_v4().simple()));
        let folder = scratch.to_owned();
        blocking(move || {
            let trouble = |e| PortError::io(format_args!("cannot write {}", path.display()), e);
            std::fs::create_dir_all(&folder).map_err(trouble)?;
            let file = File::create_new(&path).map_err(trouble)?;
            Ok(Copy { file: Arc::new(file), path, kept: false })
        })
        .await
    }

    /// Writes a part and returns its CRC32.
    ///
    /// # Errors
    /// I/O errors.
    pub async fn write(&self, at: u64, bytes: Bytes) -> Result<crc32fast::Hasher, PortError> {
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        blocking(move || {
            let written = file.write_all_at(&bytes, at);
            written.map_err(|e| PortError::io(format_args!("cannot write {}", path.display()), e))?;
            let mut crc = crc32fast::Hasher::new();
            crc.update(&bytes);
            Ok(crc)
        })
        .await
    }

    /// Keeps the complete file; returns its path.
    pub fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }
}
