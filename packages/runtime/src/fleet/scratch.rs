//! The scratch folder of a process: removed at exit, or by the next process when it was killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use segue_domain::Failure;

use crate::failure;
use crate::private::{make_folder, make_folders, make_own_folder, open_lock};

const LOCK: &str = "lock";
const PREFIX: &str = "process-";

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Creates a folder in `root`, which is created if missing. Folders of processes that have ended are
    /// removed: the operating system has released their locks.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn open(root: &Path) -> Result<Scratch, Failure> {
        let failed =
            |error: std::io::Error| failure::io(format!("scratch folder {}", root.display()), &error);
        make_folders(root).map_err(failed)?;
        let gate = open_lock(&root.join(LOCK)).map_err(failed)?;
        gate.lock().map_err(failed)?;
        for entry in fs::read_dir(root).map_err(failed)?.flatten() {
            let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if is_ours && is_free(&entry.path()) {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        let path = root.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
        make_folder(&path).map_err(failed)?;
        let lock = open_lock(&path.join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Scratch { path, _lock: lock })
    }

    /// As [`Scratch::open`], in `segue-UID` of the folder for temporary files: a name that every
    /// user of the machine can take, so the folder has to be this user's alone. Not in
    /// `XDG_RUNTIME_DIR`, which is memory on most systems and too small for media.
    ///
    /// # Errors
    /// A folder of another user, or one that other users can enter.
    pub fn open_default() -> Result<Scratch, Failure> {
        Scratch::open_own(&std::env::temp_dir().join(format!("segue-{}", geteuid().as_raw())))
    }

    fn open_own(root: &Path) -> Result<Scratch, Failure> {
        make_own_folder(root)
            .map_err(|error| failure::environment(format!("scratch folder {}: {error}", root.display())))?;
        Scratch::open(root)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether no running process holds the folder.
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
    fn a_lock_that_is_a_link_is_refused_and_what_it_leads_to_stays() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let scratch = root.path().join("segue");
        fs::create_dir(&scratch).unwrap();
        std::os::unix::fs::symlink(&victim, scratch.join(LOCK)).unwrap();
        Scratch::open(&scratch).unwrap_err();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        let taken = Scratch::open_own(&scratch).unwrap_err().cause;
        assert!(taken.contains("chmod 700"), "{taken}");
        let own = Scratch::open_own(&root.path().join("own")).unwrap();
        assert!(own.path().starts_with(root.path().join("own")));
    }

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
