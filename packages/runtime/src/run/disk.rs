//! File system helpers of a run.

use std::path::{Path, PathBuf};

use segue_domain::recipe::VideoMode;
use segue_domain::{Failure, OutputSpec, Recipe};

use crate::failure;

/// Removes a folder recursively; a missing one is not an error.
pub fn remove_tree(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failure::io(format!("removing {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// The path from the root; it need not exist.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| failure::usage(format!("{}: {error}", path.display())))
}

/// Bytes that this user can still write to the file system of `path`.
///
/// # Errors
/// A path that does not exist.
pub fn free_bytes(path: &Path) -> Result<u64, Failure> {
    let found = nix::sys::statvfs::statvfs(path)
        .map_err(|errno| failure::io(path.display(), &std::io::Error::from(errno)))?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// Fails before any work if the results cannot fit: a copied video is as large as its source.
pub fn check_space(state: &Path, source_bytes: u64, recipe: &Recipe) -> Result<(), Failure> {
    let videos = recipe.outputs.values().filter_map(OutputSpec::video);
    let copies = videos.filter(|video| video.mode == VideoMode::Copy).count() as u64;
    let needed = source_bytes / 10 * 9 * copies;
    let free = free_bytes(state)?;
    if free >= needed {
        return Ok(());
    }
    Err(failure::environment(format!(
        "{} has {:.1} MB free and the result needs about {:.1} MB; free some space or choose another --out",
        state.display(),
        free as f64 / 1e6,
        source_bytes as f64 / 1e6
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_cannot_fit_is_refused_and_other_work_is_not_guessed_at() {
        let dir = tempfile::tempdir().unwrap();
        let check = |bytes, recipe| check_space(dir.path(), bytes, &Recipe::built_in(recipe).unwrap());
        assert!(check(1 << 60, "rejoin").unwrap_err().cause.contains("MB free"));
        assert!(check(1 << 60, "transcript").is_ok());
        assert!(check(1, "rejoin").is_ok());
    }
}
