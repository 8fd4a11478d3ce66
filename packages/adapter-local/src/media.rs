//! The part of an open state folder that needs no database: the media, and who is alive.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use segue_domain::HolderId;
use segue_ports::PortError;

use crate::alive::{Alive, Roll};
use crate::error;
use crate::store::Folder;

/// Dropped in this order: temporary files go, and only then is the holder gone.
#[derive(Debug)]
pub(crate) struct OpenMedia {
    pub(crate) folder: Folder,
    pub(crate) roll: Roll,
    pub(crate) holder: HolderId,
    _alive: Alive,
}

impl OpenMedia {
    /// Opens the folder `state`, which is made if need be, and clears up after processes that died
    /// in it. While no other process opens, `first` opens what else is in it, before anything
    /// is changed, and `then` clears up in that.
    pub(crate) fn open<T>(
        state: &Path,
        first: impl FnOnce(&Path) -> Result<T, PortError>,
        then: impl FnOnce(&mut T, &Roll, &HolderId) -> Result<(), PortError>,
    ) -> Result<(OpenMedia, T), PortError> {
        make_private(state).map_err(|e| error::file("cannot make", state, e))?;
        let state = fs::canonicalize(state).map_err(|e| error::file("cannot open", state, e))?;
        let path = state.join("open.lock");
        let gate = open_lock(&path).map_err(|e| error::file("cannot make", &path, e))?;
        gate.lock().map_err(|e| error::file("cannot lock", &path, e))?;

        let mut opened = first(&state)?;
        let roll = Roll::open(&state.join("alive"))?;
        roll.clean()?;
        let id = uuid::Uuid::now_v7().to_string();
        let holder: HolderId = id.parse().map_err(|e| error::odd("a holder", e))?;
        let alive = roll.sign_in(&holder)?;
        then(&mut opened, &roll, &holder)?;
        let folder = Folder::open(&state.join("media"), &holder)?;
        folder.sweep(&roll)?;
        drop(gate);
        Ok((OpenMedia { folder, roll, holder, _alive: alive }, opened))
    }
}

/// Makes a folder that only this user can enter: it holds recipes, names of sources, and media. One
/// that is there keeps its mode, so that an operator can share it with a group.
fn make_private(folder: &Path) -> std::io::Result<()> {
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Opens a lock file without following a link and without emptying what is there: the name may
/// have been taken by somebody else.
fn open_lock(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)
}
