//! Inspects the published files of an output folder by its manifest.

use std::io::ErrorKind;
use std::path::Path;

use segue_domain::{Failure, JobId, Manifest};

use crate::{failure, models};

/// Name of the published list.
pub const MANIFEST: &str = "manifest.json";

/// State of the published files of a folder.
pub enum Published {
    /// No manifest.
    None,
    /// This job's, with files missing.
    Part,
    /// This job's, and this file differs from the manifest.
    Changed(String),
    /// This job's, every file as the manifest lists it.
    Whole(Manifest),
}

/// Inspects the published files in `dir` of the job `job`.
///
/// # Errors
/// A usage failure when the manifest is of another job.
pub fn published(dir: &Path, job: &JobId) -> Result<Published, Failure> {
    let path = dir.join(MANIFEST);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Published::None),
        Err(error) => return Err(failure::io(path.display(), &error)),
    };
    let other = |what: &str| {
        failure::usage(format!(
            "output folder {} {what}; choose another --out, or move its files away",
            dir.display()
        ))
    };
    let manifest = Manifest::decode(&bytes)
        .map_err(|error| other(&format!("has a manifest.json that segue did not write ({error})")))?;
    if manifest.job != *job {
        return Err(other(&format!("holds the results of another job (recipe {})", manifest.recipe)));
    }
    let mut missing = false;
    for file in manifest.files() {
        match models::sha256_of(&dir.join(&file.name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => missing = true,
            Err(error) => return Err(failure::io(dir.join(&file.name).display(), &error)),
            Ok((bytes, sha256)) if bytes == file.bytes && sha256 == file.sha256 => {}
            Ok(_) => return Ok(Published::Changed(file.name.clone())),
        }
    }
    Ok(if missing { Published::Part } else { Published::Whole(manifest) })
}
