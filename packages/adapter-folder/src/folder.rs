//! Writes and deletions in the media folder.
//!
//! A write goes to a temporary file of this process, is flushed, and is renamed to its final name
//! in one step; then the folder is flushed. So a key holds a complete object or nothing,
//! also after a power cut, unless the store was opened without flushes
//! ([`Flush::Later`]). Nothing is written or deleted through a link.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use segue_domain::Key;
use segue_ports::{FileUse, PortError, PortErrorKind};

use crate::place::{Named, folders_above, must_be_folder, needs_copy, place, with_folders};
use crate::private::make_private;
use crate::reading::not_there;
use crate::temp::TempFolder;

/// When an uploaded file is flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Before it gets its name: no power cut loses it.
    Now,
    /// When the operating system writes it back.
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

/// The media folder, opened by one process.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    temp: TempFolder,
}

impl Folder {
    /// Opens the folder `root`, which is created if missing; `name` is unique to this opening.
    pub fn open(root: &Path, name: &str) -> Result<Folder, PortError> {
        make_private(root).map_err(|e| PortError::file("cannot make", root, e))?;
        let root = fs::canonicalize(root).map_err(|e| PortError::file("cannot open", root, e))?;
        let temp = TempFolder::open(&root, name)?;
        Ok(Folder { root, temp })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path_of(&self, key: &Key) -> PathBuf {
        self.root.join(key.to_string())
    }

    pub fn put_bytes(&self, key: &Key, bytes: &[u8]) -> Result<(), PortError> {
        let path = self.path_of(key);
        let temp = self.temp.temp();
        let written = File::create_new(temp.path()).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(|e| PortError::file("cannot write", temp.path(), e))?;
        place(&self.root, temp.path(), &path)?.map_err(|e| PortError::file("cannot write", &path, e))
    }

    pub fn upload(&self, key: &Key, file: &Path, file_use: FileUse, flush: Flush) -> Result<(), PortError> {
        let io = |e| PortError::file("cannot upload", file, e);
        let what = fs::symlink_metadata(file).map_err(io)?;
        if !what.is_file() {
            let message = format!("{} is not a plain file", file.display());
            return Err(PortError::new(PortErrorKind::Misuse, message));
        }
        let path = self.path_of(key);
        if file_use == FileUse::Keep {
            return self.copy(file, &path, flush);
        }
        self.take_over(file, &what, &path, flush)?;
        match fs::remove_file(file) {
            // it was renamed
            Err(e) if e.kind() != ErrorKind::NotFound => Err(io(e)),
            _ => Ok(()),
        }
    }

    /// A file with several hard links is copied: its owner could write to it by another link.
    fn take_over(
        &self,
        file: &Path,
        what: &fs::Metadata,
        path: &Path,
        flush: Flush,
    ) -> Result<(), PortError> {
        if what.nlink() == 1 {
            let opened = File::options().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(file);
            opened.and_then(|f| flush.file(&f)).map_err(|e| PortError::file("cannot flush", file, e))?;
            match place(&self.root, file, path)? {
                Err(e) if needs_copy(&e) => {}
                placed => return placed.map_err(|e| PortError::file("cannot write", path, e)),
            }
        }
        self.copy(file, path, flush)
    }

    fn copy(&self, file: &Path, path: &Path, flush: Flush) -> Result<(), PortError> {
        let temp = self.temp.temp();
        let copied = fs::copy(file, temp.path()).and_then(|_| flush.file(&File::open(temp.path())?));
        copied.map_err(|e| PortError::file("cannot copy to", path, e))?;
        place(&self.root, temp.path(), path)?.map_err(|e| PortError::file("cannot write", path, e))
    }

    pub fn promote(&self, from: &Key, to: &Key) -> Result<(), PortError> {
        let (source, path) = (self.path_of(from), self.path_of(to));
        let is_file = |path: &Path| fs::metadata(path).is_ok_and(|what| what.is_file());
        match (is_file(&source), is_file(&path)) {
            (true, true) => return self.promote_over(from, &source, &path),
            // a repeat
            (false, true) => return Ok(()),
            (false, false) => return Err(not_there(from)),
            (true, false) => {}
        }
        match with_folders(&self.root, &path, || fs::hard_link(&source, &path))? {
            Ok(Named::New) => Ok(()),
            // another publisher was faster
            Ok(Named::Taken) => self.promote_over(from, &source, &path),
            Err(e) if needs_copy(&e) => self.copy(&source, &path, Flush::Now),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(not_there(from)),
            Err(e) => Err(PortError::file("cannot publish", &path, e)),
        }
    }

    /// Promotes onto an existing object.
    fn promote_over(&self, from: &Key, source: &Path, path: &Path) -> Result<(), PortError> {
        let temp = self.temp.temp();
        match fs::hard_link(source, temp.path()) {
            Err(e) if needs_copy(&e) => self.copy(source, path, Flush::Now),
            // another publisher has promoted it and removed `from`
            Err(e) if e.kind() == ErrorKind::NotFound && path.is_file() => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(not_there(from)),
            Err(e) => Err(PortError::file("cannot publish", path, e)),
            Ok(()) => {
                place(&self.root, temp.path(), path)?.map_err(|e| PortError::file("cannot publish", path, e))
            }
        }
    }

    pub fn adopt(&self, key: &Key, file: &Path) -> Result<(), PortError> {
        let misuse = |message: String| PortError::new(PortErrorKind::Misuse, message);
        if !matches!(key, Key::Source { .. }) {
            return Err(misuse(format!("{key} is not the key of a source")));
        }
        let trouble = |e| PortError::file("cannot read the source", file, e);
        let target = fs::canonicalize(file).map_err(trouble)?;
        if !fs::metadata(&target).map_err(trouble)?.is_file() {
            return Err(misuse(format!("the source {} is not a file", file.display())));
        }
        File::open(&target).map_err(trouble)?;
        let path = self.path_of(key);
        let linked = with_folders(&self.root, &path, || std::os::unix::fs::symlink(&target, &path))?
            .map_err(|e| PortError::file("cannot write", &path, e))?;
        if linked == Named::Taken && fs::read_link(&path).ok().as_ref() != Some(&target) {
            return Err(misuse(format!("{key} stands for another source already, use another job")));
        }
        Ok(())
    }

    /// Removes the object and folders that become empty. Not flushed: an object that
    /// reappears after a power cut is swept again.
    pub fn delete(&self, key: &Key) -> Result<(), PortError> {
        // a document must not be replaced after its deletion
        let _lock = self.lock_documents()?;
        let path = self.path_of(key);
        let folders = folders_above(&self.root, &path);
        for folder in &folders {
            match must_be_folder(folder) {
                Ok(Err(e)) if e.kind == PortErrorKind::Denied => return Err(e),
                Ok(Ok(())) => {}
                // no folder, hence no objects in it
                Ok(Err(_)) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(PortError::file("cannot look at", folder, e)),
            }
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound || path.is_dir() => {}
            result => result.map_err(|e| PortError::file("cannot delete", &path, e))?,
        }
        for folder in folders.iter().skip(1).rev() {
            // not empty, or removed already: nothing more to do
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}
