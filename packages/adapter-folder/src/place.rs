//! Gives a finished file its final name, atomically.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use segue_ports::{PortError, PortErrorKind};

/// Result of creating a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// It was created.
    New,
    /// It exists and is unchanged.
    Taken,
}

/// Number of tries to create a folder that a concurrent deletion removes again.
const TRIES: u32 = 100;

/// Flushes a folder's entries. A missing one needs no flush.
pub fn flush_folder(path: &Path) -> Result<(), PortError> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(PortError::file("cannot flush", path, e)),
        _ => Ok(()),
    }
}

/// Whether the file must be copied because it cannot be linked or renamed there.
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

/// Checks that this is a folder, and not a link that leads out of the media folder.
pub fn must_be_folder(path: &Path) -> io::Result<Result<(), PortError>> {
    let what = fs::symlink_metadata(path)?;
    if what.is_dir() {
        return Ok(Ok(()));
    }
    let path = path.display();
    Ok(Err(if what.is_symlink() {
        PortError::new(
            PortErrorKind::Denied,
            format!("{path} is a link, nothing is written or deleted through it"),
        )
    } else {
        PortError::new(PortErrorKind::Misuse, format!("{path} is an object and cannot be a folder as well"))
    }))
}

/// Creates the folders for `path`. `None` when one was removed concurrently.
fn make_folders(root: &Path, path: &Path) -> Result<Option<()>, PortError> {
    for folder in folders_above(root, path) {
        match fs::create_dir(&folder) {
            Ok(()) => flush_folder(folder.parent().unwrap_or(root))?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => match must_be_folder(&folder) {
                Ok(checked) => checked?,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(PortError::file("cannot look at", &folder, e)),
            },
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(PortError::file("cannot make", &folder, e)),
        }
    }
    Ok(Some(()))
}

/// Runs `give`, which creates the name `path`, with its parent folders in place.
/// `Err(error)` inside is for the caller, which may have a fallback.
pub fn with_folders(
    root: &Path,
    path: &Path,
    mut give: impl FnMut() -> io::Result<()>,
) -> Result<io::Result<Named>, PortError> {
    for _ in 0..TRIES {
        if make_folders(root, path)?.is_none() {
            continue;
        }
        match give() {
            Ok(()) => {
                flush_folder(path.parent().unwrap_or(root))?;
                return Ok(Ok(Named::New));
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // its writer may have died before this
                flush_folder(path.parent().unwrap_or(root))?;
                return if path.is_dir() { Err(is_folder(path)) } else { Ok(Ok(Named::Taken)) };
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
    PortError::new(
        PortErrorKind::Misuse,
        format!("{} is a folder and cannot be an object as well", path.display()),
    )
}

/// Gives the finished file `made` the name `path`, replacing an existing object.
pub fn place(root: &Path, made: &Path, path: &Path) -> Result<io::Result<()>, PortError> {
    Ok(with_folders(root, path, || fs::rename(made, path))?.map(drop))
}
