//! Files that an assembly publishes.

use std::path::{Path, PathBuf};

use segue_domain::FileKind;
use segue_media::sha256_file;
use segue_ports::{AssembledFile, EngineError};

use super::errors;

/// A finished file, with size and hash. Blocking.
pub fn finished(
    name: &str,
    path: PathBuf,
    kind: FileKind,
    media_type: &str,
    made: impl Into<String>,
) -> Result<AssembledFile, EngineError> {
    let (bytes, sha256) = sha256_file(&path).map_err(errors::media)?;
    Ok(AssembledFile {
        name: name.to_owned(),
        path,
        kind,
        media_type: media_type.to_owned(),
        bytes,
        sha256,
        made: made.into(),
    })
}

/// A separate file with the bytes of `from`, which is unchanged: a reflink where
/// the file system supports it, else a copy.
pub fn borrow(from: &Path, to: PathBuf) -> Result<PathBuf, EngineError> {
    let linked = std::fs::hard_link(from, &to).or_else(|_| std::fs::copy(from, &to).map(drop));
    linked.map(|()| to).map_err(|e| errors::io(from.display(), &e))
}
