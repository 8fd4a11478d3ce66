//! Lock of an output folder: one process at a time; the operating system releases it when a process dies.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use segue_domain::Failure;

use crate::failure;
use crate::private::{make_folder, open_lock};

/// Name of the locked file.
pub const NAME: &str = "lock";

/// Takes the lock in the folder `state`, which is created if missing, of the output
/// folder `dir`. Neither may be a link: this job must not empty the target of a link.
///
/// # Errors
/// A folder that cannot be written, a link, or another process that holds the lock.
pub fn take_lock(state: &Path, dir: &Path) -> Result<File, Failure> {
    let failed = |error: std::io::Error| failure::io(format!("output folder {}", dir.display()), &error);
    // another process may remove the folder between its creation and the lock
    for _ in 0..100 {
        match make_folder(state) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let path = state.join(NAME);
        let lock = match open_lock(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other.map_err(failed)?,
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                return Err(failure::usage(format!(
                    "another segue process works in {}; wait for it or choose another --out",
                    dir.display()
                )));
            }
        }
        let ours = lock.metadata().map_err(failed)?;
        if path.metadata().is_ok_and(|there| there.ino() == ours.ino()) {
            return Ok(lock);
        }
    }
    Err(failure::usage(format!(
        "other segue processes keep taking and releasing {}; run again",
        dir.display()
    )))
}
