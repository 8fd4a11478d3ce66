//! The folders of one job.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Size of a small disk: a multiple of the source, plus a constant.
const DISK_TIMES: u64 = 4;
const DISK_EXTRA: u64 = 8 << 20;

/// The folders of a job.
#[derive(Debug)]
pub struct Place {
    /// Root of all folders.
    pub root: PathBuf,
    /// The output folder, not created.
    pub out: PathBuf,
    /// Temporary files of its programs.
    pub tmp: PathBuf,
    /// State folder, if not in the output folder.
    pub state: Option<PathBuf>,
    /// A mounted small disk.
    disk: Option<PathBuf>,
}

impl Place {
    /// Creates the folders under `root`, which is emptied first.
    ///
    /// # Errors
    /// Folders that cannot be created, or a disk that cannot be mounted.
    pub fn make(root: &Path, own_state: bool, disk_for: Option<u64>) -> Result<Place> {
        remove(root)?;
        let tmp = root.join("tmp");
        fs::create_dir_all(&tmp).with_context(|| format!("{}", tmp.display()))?;
        let disk = match disk_for {
            Some(source_bytes) => Some(mounted(&root.join("disk"), source_bytes * DISK_TIMES + DISK_EXTRA)?),
            None => None,
        };
        let out = disk.as_deref().unwrap_or(root).join("out");
        let state = own_state.then(|| disk.as_deref().unwrap_or(root).join("state"));
        Ok(Place { root: root.to_owned(), out, tmp, state, disk })
    }

    /// Writes to the disk until it is full.
    ///
    /// # Errors
    /// A place without a disk of its own.
    pub fn fill_disk(&self) -> Result<()> {
        let disk = self.disk.as_ref().context("no small disk")?;
        let mut filler = File::create(disk.join("filler"))?;
        for size in [1 << 20, 1 << 12, 1] {
            let piece = vec![0u8; size];
            while filler.write_all(&piece).is_ok() {}
        }
        Ok(())
    }

    /// Frees the space of the disk.
    pub fn free_disk(&self) {
        if let Some(disk) = &self.disk {
            let _ = fs::remove_file(disk.join("filler"));
        }
    }

    /// Copies the contents of the disk into `root`.
    ///
    /// # Errors
    /// Files that cannot be copied.
    pub fn keep(&self) -> Result<()> {
        if let Some(disk) = &self.disk {
            self.free_disk();
            let kept = self.root.join("kept");
            let copied = std::process::Command::new("cp").arg("-a").arg(disk).arg(&kept).status()?;
            anyhow::ensure!(copied.success(), "copying {}", disk.display());
        }
        Ok(())
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Files that cannot be removed.
    pub fn remove(mut self) -> Result<()> {
        self.unmount();
        remove(&self.root)
    }

    fn unmount(&mut self) {
        if let Some(disk) = self.disk.take() {
            // lazily: a process may still have a file open there
            let _ = umount2(&disk, MntFlags::MNT_DETACH);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Whether a small disk can be mounted here, which needs root.
pub fn can_mount(folder: &Path) -> bool {
    let tried = folder.join("disk-tried");
    let able = mounted(&tried, 1 << 20).is_ok();
    let _ = umount2(&tried, MntFlags::MNT_DETACH);
    let _ = fs::remove_dir(&tried);
    able
}

fn mounted(path: &Path, bytes: u64) -> Result<PathBuf> {
    fs::create_dir_all(path)?;
    let options = format!("size={bytes}");
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
        .with_context(|| format!("mounting a small disk on {}", path.display()))?;
    Ok(path.to_owned())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
