//! Liveness of processes: each open backend holds a locked file, and the kernel unlocks it when
//! the process ends for any reason.
//!
//! So the leases and messages of a killed process are released at once, and the same command
//! resumes without waiting for a timeout. A stopped process keeps its lock; its leases and messages
//! expire.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use segue_domain::HolderId;
use segue_ports::PortError;

/// The folder of locked files.
#[derive(Debug, Clone)]
pub struct Roll(PathBuf);

/// This backend's own locked file.
#[derive(Debug)]
pub struct Alive {
    path: PathBuf,
    _locked: File,
}

impl Drop for Alive {
    fn drop(&mut self) {
        // the next opening removes it if this fails
        let _ = fs::remove_file(&self.path);
    }
}

impl Roll {
    /// The registry in that folder, created if missing.
    pub fn open(folder: &Path) -> Result<Roll, PortError> {
        fs::create_dir_all(folder).map_err(|e| PortError::file("cannot make", folder, e))?;
        Ok(Roll(folder.to_owned()))
    }

    /// Registers this process. No other process checks this holder before: it has written nothing yet.
    pub fn sign_in(&self, holder: &HolderId) -> Result<Alive, PortError> {
        let path = self.0.join(holder.as_str());
        let file = File::create_new(&path).map_err(|e| PortError::file("cannot make", &path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Alive { path, _locked: file }),
            Err(TryLockError::Error(e)) => Err(PortError::file("cannot lock", &path, e)),
            Err(TryLockError::WouldBlock) => {
                Err(PortError::file("cannot lock", &path, ErrorKind::WouldBlock.into()))
            }
        }
    }

    /// Whether that holder has ended. In doubt it counts as alive.
    pub fn is_dead(&self, holder: &str) -> bool {
        let path = self.0.join(holder);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) => return e.kind() == ErrorKind::NotFound,
        };
        // a shared lock, so that concurrent checks do not mistake each other for the holder
        if file.try_lock_shared().is_err() {
            return false;
        }
        let _ = fs::remove_file(&path);
        true
    }

    /// Removes the files of ended processes.
    pub fn clean(&self) -> Result<(), PortError> {
        let entries = fs::read_dir(&self.0).map_err(|e| PortError::file("cannot read", &self.0, e))?;
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            self.is_dead(&name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_dead_when_its_file_is_not_locked() {
        let folder = std::env::temp_dir().join(format!("segue-roll-{}", uuid::Uuid::now_v7()));
        let roll = Roll::open(&folder).unwrap();
        let holder: HolderId = "a".parse().unwrap();
        assert!(roll.is_dead("a"), "never signed in");
        let alive = roll.sign_in(&holder).unwrap();
        assert!(!roll.is_dead("a"));
        roll.clean().unwrap();
        assert!(!roll.is_dead("a"), "cleaned away while alive");
        drop(alive);
        assert!(roll.is_dead("a"));
        fs::write(folder.join("b"), "").unwrap();
        roll.clean().unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "the file of a killed process stays");
        fs::remove_dir_all(&folder).unwrap();
    }
}
