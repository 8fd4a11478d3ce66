//! Folders with access for their owner only, and lock files that follow no link.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Creates a folder that only this user can enter: it holds recipes, names of sources, and media. An
/// existing one keeps its mode, so that an operator can share it with a group.
///
/// # Errors
/// Errors of the file system.
pub fn make_private(folder: &Path) -> std::io::Result<()> {
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Opens a lock file without following a link and without truncating it: the name may have
/// been taken by another program.
///
/// # Errors
/// Errors of the file system; a link of that name.
pub fn open_lock(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)
}
