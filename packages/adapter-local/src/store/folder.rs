//! Writes and deletions in the media folder.
//!
//! A write goes to a temporary name of this process, is flushed, and gets its final name
//! in one step; the folder is flushed after that. So a key holds the whole or nothing,
//! also after a power cut, unless the store's owner said that its files need no flush
//! ([`Flush::Later`]). Nothing is written or deleted through a link.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use segue_domain::{HolderId, Key};
use segue_ports::{PortError, PortErrorKind, PutMode, PutResult};

use super::place::{folders_above, must_be_folder, needs_copy, place, with_folders};
use super::reading::not_there;
use crate::alive::Roll;
use crate::error::{self, say};

/// Temporary files of all processes; no key begins so.
const TEMP: &str = ".tmp";

/// When a file that is put is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Before it has its name: no power cut takes it.
    Now,
    /// When the system comes to it.
    Later,
}

impl Flush {
    fn file(self, file: &File) -> std::io::Result<()> {
        match self {
            Flush::Now => file.sync_all(),
            Flush::Later => Ok(()),
        }
    }
}

/// The media folder as one process has it open.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    temp: PathBuf,
    count: AtomicU64,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // whoever opens next sweeps what is left
        let _ = fs::remove_dir_all(&self.temp);
    }
}

/// A temporary file that is gone when nobody gave it a final name.
struct Temp(PathBuf);

impl Drop for Temp {
    fn drop(&mut self) {
        // it may have been renamed, and otherwise the next one to open sweeps it
        let _ = fs::remove_file(&self.0);
    }
}

impl Folder {
    pub fn open(root: &Path, holder: &HolderId) -> Result<Folder, PortError> {
        let temp = root.join(TEMP).join(holder.as_str());
        fs::create_dir_all(&temp).map_err(|e| error::file("cannot make", &temp, e))?;
        Ok(Folder { root: root.to_owned(), temp, count: AtomicU64::new(0) })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Removes what dead processes were writing.
    pub fn sweep(&self, roll: &Roll) -> Result<(), PortError> {
        let all = self.root.join(TEMP);
        for entry in fs::read_dir(&all).map_err(|e| error::file("cannot read", &all, e))?.flatten() {
            let path = entry.path();
            let dead = entry.file_name().to_str().is_some_and(|owner| roll.is_dead(owner));
            if dead && let Err(e) = fs::remove_dir_all(&path) {
                return Err(error::file("cannot remove", &path, e));
            }
        }
        Ok(())
    }

    pub(super) fn path_of(&self, key: &Key) -> PathBuf {
        self.root.join(key.to_string())
    }

    fn temp(&self) -> (Temp, PathBuf) {
        let path = self.temp.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        (Temp(path.clone()), path)
    }

    pub fn put_bytes(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<PutResult, PortError> {
        let path = self.path_of(key);
        let (_gone_after, temp) = self.temp();
        let written = File::create_new(&temp).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|e| error::file("cannot write", &temp, e))?;
        place(&self.root, &temp, &path, mode)?.map_err(|e| error::file("cannot write", &path, e))
    }

    pub fn put_file(
        &self,
        key: &Key,
        file: &Path,
        mode: PutMode,
        flush: Flush,
    ) -> Result<PutResult, PortError> {
        let trouble = |e| error::file("cannot take over", file, e);
        let what = fs::symlink_metadata(file).map_err(trouble)?;
        if !what.is_file() {
            let message = format_args!("{} is not a plain file", file.display());
            return Err(say(PortErrorKind::Misuse, message));
        }
        let path = self.path_of(key);
        let taken = mode == PutMode::CreateOnce && path.symlink_metadata().is_ok_and(|m| !m.is_dir());
        let result =
            if taken { PutResult::Exists } else { self.store_file(file, &what, &path, mode, flush)? };
        match fs::remove_file(file) {
            // a rename has moved it
            Err(e) if e.kind() != ErrorKind::NotFound => Err(trouble(e)),
            _ => Ok(result),
        }
    }

    /// A file with a second name is copied: its owner could write to it by that name.
    fn store_file(
        &self,
        file: &Path,
        what: &fs::Metadata,
        path: &Path,
        mode: PutMode,
        flush: Flush,
    ) -> Result<PutResult, PortError> {
        if what.nlink() == 1 {
            let opened = File::options().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(file);
            opened.and_then(|f| flush.file(&f)).map_err(|e| error::file("cannot flush", file, e))?;
            match place(&self.root, file, path, mode)? {
                Err(e) if needs_copy(&e) => {}
                result => return result.map_err(|e| error::file("cannot write", path, e)),
            }
        }
        self.copy(file, path, mode, flush)
    }

    fn copy(&self, file: &Path, path: &Path, mode: PutMode, flush: Flush) -> Result<PutResult, PortError> {
        let (_gone_after, temp) = self.temp();
        let copied = fs::copy(file, &temp).and_then(|_| flush.file(&File::open(&temp)?));
        copied.map_err(|e| error::file("cannot copy to", path, e))?;
        place(&self.root, &temp, path, mode)?.map_err(|e| error::file("cannot write", path, e))
    }

    pub fn promote(&self, from: &Key, to: &Key, mode: PutMode) -> Result<PutResult, PortError> {
        let (source, path) = (self.path_of(from), self.path_of(to));
        let is_file = |path: &Path| fs::metadata(path).is_ok_and(|what| what.is_file());
        match (is_file(&source), is_file(&path)) {
            (true, true) if mode == PutMode::Replace => return self.promote_over(from, &source, &path),
            (_, true) => return Ok(PutResult::Exists),
            (false, false) => return Err(not_there(from)),
            (true, false) => {}
        }
        match with_folders(&self.root, &path, || fs::hard_link(&source, &path))? {
            Err(e) if needs_copy(&e) => self.copy(&source, &path, PutMode::CreateOnce, Flush::Now),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(not_there(from)),
            result => result.map_err(|e| error::file("cannot publish", &path, e)),
        }
    }

    /// Promotes in the place of what has the name already.
    fn promote_over(&self, from: &Key, source: &Path, path: &Path) -> Result<PutResult, PortError> {
        let (_gone_after, temp) = self.temp();
        match fs::hard_link(source, &temp) {
            Err(e) if needs_copy(&e) => self.copy(source, path, PutMode::Replace, Flush::Now),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(not_there(from)),
            Err(e) => Err(error::file("cannot publish", path, e)),
            Ok(()) => place(&self.root, &temp, path, PutMode::Replace)?
                .map_err(|e| error::file("cannot publish", path, e)),
        }
    }

    pub fn adopt(&self, key: &Key, file: &Path) -> Result<PutResult, PortError> {
        let misuse = |message: String| say(PortErrorKind::Misuse, message);
        if !matches!(key, Key::Source { .. }) {
            return Err(misuse(format!("{key} is not the key of a source")));
        }
        let trouble = |e| error::file("cannot read the source", file, e);
        let target = fs::canonicalize(file).map_err(trouble)?;
        if !fs::metadata(&target).map_err(trouble)?.is_file() {
            return Err(misuse(format!("the source {} is not a file", file.display())));
        }
        File::open(&target).map_err(trouble)?;
        let path = self.path_of(key);
        let linked = with_folders(&self.root, &path, || std::os::unix::fs::symlink(&target, &path))?
            .map_err(|e| error::file("cannot write", &path, e))?;
        if linked == PutResult::Exists && fs::read_link(&path).ok().as_ref() != Some(&target) {
            return Err(misuse(format!("{key} stands for another source already, use another job")));
        }
        Ok(linked)
    }

    /// Removes the object and the folders that are empty without it. Not flushed: what
    /// comes back after a power cut is swept again.
    pub fn delete(&self, key: &Key) -> Result<(), PortError> {
        let path = self.path_of(key);
        let folders = folders_above(&self.root, &path);
        for folder in &folders {
            match must_be_folder(folder) {
                Ok(Err(e)) if e.kind == PortErrorKind::Denied => return Err(e),
                Ok(Ok(())) => {}
                // no folder, hence nothing in it
                Ok(Err(_)) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(error::file("cannot look at", folder, e)),
            }
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound || path.is_dir() => {}
            result => result.map_err(|e| error::file("cannot delete", &path, e))?,
        }
        for folder in folders.iter().skip(1).rev() {
            // not empty, or gone already: either way there is nothing more to do
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}
