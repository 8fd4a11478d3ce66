//! Temporary files of the open stores of a folder.
//!
//! Each open store has a folder of its own and keeps a file of that name locked. The kernel
//! releases the lock when the process ends for any reason, so the next opening can distinguish the
//! temporary files of dead processes from those of living ones.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use segue_ports::{PortError, PortErrorKind};

use crate::private::open_lock;

/// Temporary files of all open stores; no key has this prefix.
const TEMP: &str = ".tmp";

/// Lock files: of each open store, and those that all stores of the folder share.
const LOCKS: &str = ".locks";

/// Temporary files of this open store.
#[derive(Debug)]
pub struct TempFolder {
    path: PathBuf,
    count: AtomicU64,
    lock: PathBuf,
    _locked: File,
}

/// A temporary file, which is removed on drop unless it was renamed.
#[derive(Debug)]
pub struct Temp(PathBuf);

impl Temp {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // it may have been renamed, and otherwise the next opening removes it
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // the next opening removes the rest
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(&self.lock);
    }
}

/// Locks a file of the folder `root` that all its stores share.
pub fn lock_file(root: &Path, name: &str) -> Result<File, PortError> {
    let path = root.join(LOCKS).join(name);
    let file = open_lock(&path).map_err(|e| PortError::file("cannot make", &path, e))?;
    file.lock().map_err(|e| PortError::file("cannot lock", &path, e))?;
    Ok(file)
}

impl TempFolder {
    /// Creates the temporary folder `name` below `root` and removes those of dead processes.
    pub fn open(root: &Path, name: &str) -> Result<TempFolder, PortError> {
        let (all, locks) = (root.join(TEMP), root.join(LOCKS));
        for folder in [&all, &locks] {
            fs::create_dir_all(folder).map_err(|e| PortError::file("cannot make", folder, e))?;
        }
        // a folder without a lock belongs to a dead process, or is being created
        let _gate = lock_file(root, "open")?;
        remove_dead(&all, &locks)?;
        let (path, lock) = (all.join(name), locks.join(name));
        let locked = File::create_new(&lock).map_err(|e| PortError::file("cannot make", &lock, e))?;
        match locked.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(e)) => return Err(PortError::file("cannot lock", &lock, e)),
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is locked by another process", lock.display());
                return Err(PortError::new(PortErrorKind::Environment, message));
            }
        }
        fs::create_dir(&path).map_err(|e| PortError::file("cannot make", &path, e))?;
        Ok(TempFolder { path, count: AtomicU64::new(0), lock, _locked: locked })
    }

    /// A unique name for a temporary file.
    pub fn temp(&self) -> Temp {
        Temp(self.path.join(self.count.fetch_add(1, Ordering::Relaxed).to_string()))
    }
}

fn remove_dead(all: &Path, locks: &Path) -> Result<(), PortError> {
    for entry in fs::read_dir(all).map_err(|e| PortError::file("cannot read", all, e))?.flatten() {
        let (path, lock) = (entry.path(), locks.join(entry.file_name()));
        if is_locked(&lock) {
            continue;
        }
        for removed in [fs::remove_dir_all(&path), fs::remove_file(&lock)] {
            match removed {
                // its store was closed meanwhile
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                removed => removed.map_err(|e| PortError::file("cannot remove", &path, e))?,
            }
        }
    }
    Ok(())
}

fn is_locked(lock: &Path) -> bool {
    // counts as alive in doubt: a later opening removes the files
    match File::open(lock) {
        Ok(file) => file.try_lock_shared().is_err(),
        Err(e) => e.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_of_dead_processes_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let living = TempFolder::open(root.path(), "living").unwrap();
        let file = living.temp();
        fs::write(file.path(), "half").unwrap();
        let dead = root.path().join(TEMP).join("dead");
        let killed_early = root.path().join(TEMP).join("killed-early");
        for folder in [&dead, &killed_early] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("0"), "half").unwrap();
        }
        fs::write(root.path().join(LOCKS).join("dead"), "").unwrap();
        drop(TempFolder::open(root.path(), "next").unwrap());
        assert!(!dead.exists() && !killed_early.exists(), "those of the dead stay");
        assert!(file.path().exists(), "a living store's file is gone");
        let path = file.path().to_owned();
        drop(file);
        assert!(!path.exists());
        drop(living);
        assert!(!root.path().join(TEMP).join("living").exists(), "a closed store leaves its folder");
        let locks = fs::read_dir(root.path().join(LOCKS)).unwrap().flatten();
        assert_eq!(locks.map(|e| e.file_name()).collect::<Vec<_>>(), ["open"], "locks of the dead stay");
    }
}
