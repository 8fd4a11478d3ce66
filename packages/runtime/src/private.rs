//! Folders and lock files that other users of the machine cannot redirect.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use rustix::process::geteuid;

/// Mode: only the owner can enter.
const PRIVATE: u32 = 0o700;

/// Creates the folder itself with access for this user only. `AlreadyExists` for an existing folder,
/// `NotADirectory` for a link or any other file of that name.
pub fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(PRIVATE).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path)?;
            Err(if found.is_dir() { error } else { ErrorKind::NotADirectory.into() })
        }
        made => made,
    }
}

/// Creates the folder and its parents; an existing one is not an error.
pub fn make_folders(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above)?;
    }
    match make_folder(path) {
        // a link that the operator created is followed
        Err(_) if path.is_dir() => Ok(()),
        made => made,
    }
}

/// Creates a folder in a place that every user of the machine can write to, and checks that only
/// this user has access: it is not a link, and no other user can enter it.
pub fn make_own_folder(path: &Path) -> io::Result<()> {
    match make_folder(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    let denied = |why: &str| Err(io::Error::new(ErrorKind::PermissionDenied, why.to_owned()));
    if found.uid() != geteuid().as_raw() {
        denied("it belongs to another user; name another folder with --scratch or SEGUE_SCRATCH")
    } else if found.mode() & 0o077 != 0 {
        denied(
            "other users can enter it; chmod 700 it, or name another folder with --scratch or SEGUE_SCRATCH",
        )
    } else {
        Ok(())
    }
}

/// Opens a lock file, which is created if missing. A link is not followed, and the content of an
/// existing file is kept: another program may have written it.
pub fn open_lock(path: &Path) -> io::Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_lock_file_follows_no_link_and_empties_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, lock) = (dir.path().join("victim"), dir.path().join("lock"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &lock).unwrap();
        assert!(open_lock(&lock).is_err());
        fs::hard_link(&victim, dir.path().join("other")).unwrap();
        open_lock(&dir.path().join("other")).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn a_folder_of_ones_own_is_private_and_not_taken_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        make_own_folder(&own).unwrap();
        assert_eq!(mode(&own), 0o700);
        make_own_folder(&own).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make_own_folder(&own).unwrap_err().to_string().contains("chmod 700"));
        let link = dir.path().join("link");
        symlink(dir.path(), &link).unwrap();
        assert_eq!(make_own_folder(&link).unwrap_err().kind(), ErrorKind::NotADirectory);
        let deep = dir.path().join("a/b");
        make_folders(&deep).unwrap();
        assert_eq!(mode(&deep), 0o700);
        if geteuid().is_root() {
            std::os::unix::fs::chown(&deep, Some(12_345), None).unwrap();
            assert!(make_own_folder(&deep).unwrap_err().to_string().contains("another user"));
        }
    }
}
