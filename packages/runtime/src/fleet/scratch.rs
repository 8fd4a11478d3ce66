//! The scratch folder of a process: its own while it lives, and gone after it, however it ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use segue_domain::Failure;

use crate::failure;

const LOCK: &str = "lock";
const PREFIX: &str = "process-";

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A new folder in `root`, which is made if need be. Folders of processes that are gone are
    /// removed: the system has given their locks back.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn open(root: &Path) -> Result<Scratch, Failure> {
        let said = |error: std::io::Error| failure::io(format!("scratch folder {}", root.display()), &error);
        fs::create_dir_all(root).map_err(said)?;
        let gate = File::create(root.join(LOCK)).map_err(said)?;
        gate.lock().map_err(said)?;
        for entry in fs::read_dir(root).map_err(said)?.flatten() {
            let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if is_ours && is_free(&entry.path()) {
                fs::remove_dir_all(entry.path()).map_err(said)?;
            }
        }
        let path = root.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).map_err(said)?;
        let lock = File::create(path.join(LOCK)).map_err(said)?;
        lock.lock().map_err(said)?;
        Ok(Scratch { path, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether nobody who lives holds the folder.
fn is_free(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the scratch folder stays, the next process removes it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed_and_a_living_one_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let living = Scratch::open(root.path()).unwrap();
        let dead = root.path().join("process-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("part.mp4"), "x").unwrap();
        let other = Scratch::open(root.path()).unwrap();
        assert!(living.path().exists() && other.path().exists());
        assert!(!dead.exists());
        let path = other.path().to_owned();
        drop(other);
        assert!(!path.exists());
    }
}
