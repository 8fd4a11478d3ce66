//! Giving a finished file its final name: all at once, and only if it is free.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use segue_ports::{PortError, PortErrorKind, PutMode, PutResult};

use crate::error::{self, say};

/// How often a writer makes a folder again that a deleter found empty.
const TRIES: u32 = 100;

/// Flushes a folder's list of names. One that is gone has nothing to keep.
pub fn flush_folder(path: &Path) -> Result<(), PortError> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(error::file("cannot flush", path, e)),
        _ => Ok(()),
    }
}

/// Whether a file is to be copied because it cannot be given another name there.
pub fn needs_copy(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::CrossesDevices
            | ErrorKind::TooManyLinks
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied
    )
}

/// The folders between `root` and `path`, outermost first.
pub fn folders_above(root: &Path, path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        path.ancestors().skip(1).take_while(|p| *p != root).map(Path::to_owned).collect();
    folders.reverse();
    folders
}

/// A folder, and not a link that leads out of ours.
pub fn must_be_folder(path: &Path) -> io::Result<Result<(), PortError>> {
    let what = fs::symlink_metadata(path)?;
    if what.is_dir() {
        return Ok(Ok(()));
    }
    let path = path.display();
    Ok(Err(if what.is_symlink() {
        say(PortErrorKind::Denied, format_args!("{path} is a link, nothing is written or deleted through it"))
    } else {
        say(PortErrorKind::Misuse, format_args!("{path} is an object and cannot be a folder as well"))
    }))
}

/// Makes the folders for `path`. `None` when one vanished again.
fn make_folders(root: &Path, path: &Path) -> Result<Option<()>, PortError> {
    for folder in folders_above(root, path) {
        match fs::create_dir(&folder) {
            Ok(()) => flush_folder(folder.parent().unwrap_or(root))?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => match must_be_folder(&folder) {
                Ok(checked) => checked?,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(error::file("cannot look at", &folder, e)),
            },
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(error::file("cannot make", &folder, e)),
        }
    }
    Ok(Some(()))
}

/// Runs `give`, which makes the name `path`, with the folders above it in place.
/// `Err(error)` inside is for the caller, who may know another way.
pub fn with_folders(
    root: &Path,
    path: &Path,
    mut give: impl FnMut() -> io::Result<()>,
) -> Result<io::Result<PutResult>, PortError> {
    for _ in 0..TRIES {
        if make_folders(root, path)?.is_none() {
            continue;
        }
        match give() {
            Ok(()) => {
                flush_folder(path.parent().unwrap_or(root))?;
                return Ok(Ok(PutResult::Written));
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // the one who wrote it may have died before this
                flush_folder(path.parent().unwrap_or(root))?;
                return if path.is_dir() { Err(is_folder(path)) } else { Ok(Ok(PutResult::Exists)) };
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) if matches!(e.kind(), ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty) => {
                return Err(is_folder(path));
            }
            Err(e) => return Ok(Err(e)),
        }
    }
    Ok(Err(ErrorKind::NotFound.into()))
}

fn is_folder(path: &Path) -> PortError {
    say(PortErrorKind::Misuse, format_args!("{} is a folder and cannot be an object as well", path.display()))
}

/// Gives the finished file `made` the name `path`; what is left of `made` is the caller's.
pub fn place(
    root: &Path,
    made: &Path,
    path: &Path,
    mode: PutMode,
) -> Result<io::Result<PutResult>, PortError> {
    with_folders(root, path, || match mode {
        PutMode::CreateOnce => match fs::hard_link(made, path) {
            Err(e) if needs_copy(&e) && e.kind() != ErrorKind::CrossesDevices => rename_if_free(made, path),
            result => result,
        },
        PutMode::Replace => fs::rename(made, path),
    })
}

/// For file systems that know no hard links.
#[cfg(target_os = "linux")]
fn rename_if_free(made: &Path, path: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, made, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn rename_if_free(_made: &Path, _path: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
