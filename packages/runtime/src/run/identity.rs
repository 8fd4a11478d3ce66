//! Identity of a job: the same command gives the same job id.

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use segue_domain::{Failure, JobId, Recipe};

use crate::failure;

/// A source that exists and can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, without links.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    modified_ns: i128,
}

impl SourceFile {
    /// Inspects the file at `path`.
    ///
    /// # Errors
    /// A source failure: missing, a folder, not a plain file, empty, or not readable.
    pub fn look(path: &Path) -> Result<SourceFile, Failure> {
        let cannot = |why: &str| failure::source(format!("source {}: {why}", path.display()));
        let refused = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => cannot("there is no such file; check the path"),
            std::io::ErrorKind::PermissionDenied => {
                cannot("permission denied; make it readable for this user")
            }
            _ => cannot(&error.to_string()),
        };
        let looks_like_url = path.to_str().is_some_and(|text| text.contains("://"));
        if looks_like_url && !path.exists() {
            return Err(cannot("only local files are supported; download it first"));
        }
        let real = path.canonicalize().map_err(refused)?;
        let found = real.metadata().map_err(refused)?;
        if found.is_dir() {
            return Err(cannot("it is a folder; name a file in it"));
        }
        if !found.is_file() {
            return Err(cannot("it is not a plain file; copy it into one first"));
        }
        if found.len() == 0 {
            return Err(cannot("it is empty; was it copied or downloaded to the end?"));
        }
        std::fs::File::open(&real).map_err(refused)?;
        Ok(SourceFile { path: real, bytes: found.len(), modified_ns: modified_ns(&found) })
    }

    /// Its extension, or an empty string.
    pub fn extension(&self) -> String {
        self.path.extension().and_then(|ext| ext.to_str()).unwrap_or_default().to_owned()
    }
}

fn modified_ns(found: &Metadata) -> i128 {
    i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec())
}

/// The id of the job that makes `recipe` from `source` into `out_dir`.
pub fn job_id(source: &SourceFile, out_dir: &Path, recipe: &Recipe) -> Result<JobId, Failure> {
    let recipe = recipe.to_json();
    let mut hasher = blake3::Hasher::new();
    let parts: [&[u8]; 5] = [
        source.path.as_os_str().as_bytes(),
        &source.bytes.to_le_bytes(),
        &source.modified_ns.to_le_bytes(),
        out_dir.as_os_str().as_bytes(),
        recipe.as_bytes(),
    ];
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hex = hasher.finalize().to_hex();
    format!("run-{}", &hex[..32]).parse().map_err(|error| failure::internal(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_domain::FaultKind;

    #[test]
    fn the_same_command_is_the_same_job_and_any_change_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("talk.mp4");
        std::fs::write(&path, "abc").unwrap();
        let source = SourceFile::look(&path).unwrap();
        let standard = Recipe::built_in("standard").unwrap();
        let out = Path::new("/out");
        let id = job_id(&source, out, &standard).unwrap();

        let link = dir.path().join("link.mp4");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(job_id(&SourceFile::look(&link).unwrap(), out, &standard).unwrap(), id);

        assert_ne!(job_id(&source, Path::new("/other"), &standard).unwrap(), id);
        assert_ne!(job_id(&source, out, &Recipe::built_in("rejoin").unwrap()).unwrap(), id);
        let touched = SourceFile { modified_ns: source.modified_ns + 1, ..source.clone() };
        assert_ne!(job_id(&touched, out, &standard).unwrap(), id);
        let grown = SourceFile { bytes: source.bytes + 1, ..source };
        assert_ne!(job_id(&grown, out, &standard).unwrap(), id);
    }

    #[test]
    fn what_is_no_source_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.mp4");
        std::fs::write(&empty, "").unwrap();
        let cases = [
            (dir.path().join("none.mp4"), "no such file"),
            (dir.path().to_owned(), "it is a folder"),
            (empty, "it is empty"),
            ("/dev/null".into(), "not a plain file"),
            ("https://example.org/x.mp4".into(), "download it first"),
        ];
        for (path, expected) in cases {
            let failure = SourceFile::look(&path).unwrap_err();
            assert_eq!(failure.kind, FaultKind::Source);
            assert!(failure.cause.contains(expected), "{:?} does not say {expected:?}", failure.cause);
        }
    }
}
