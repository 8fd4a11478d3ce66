//! A file behind a generated header, as one input of ffmpeg.
//!
//! The header and the list of both are in memory (memfd_create(2)), so that no file remains
//! after a crash. ffmpeg inherits the descriptors and opens them by
//! /proc/self/fd; the sandbox denies it the descriptors of other processes.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::assemble::quoted;
use crate::bounds::{self, Demuxers};
use crate::error::{MediaError, Result};
use crate::mp4::{self, CountedFile, IndexError};
use crate::process::Invocation;

/// A header and the file behind it, as an input of the commands that it is attached to.
#[derive(Debug)]
pub(crate) struct View {
    list: Arc<File>,
    header: Arc<File>,
    body: PathBuf,
}

impl View {
    /// Places `header` before the file at `body`.
    ///
    /// # Errors
    /// No memory for the files, or a system without /proc/self/fd.
    pub fn new(header: &[u8], body: &Path) -> io::Result<View> {
        let header = in_memory(header)?;
        let body = std::path::absolute(body)?;
        let mut lines = Vec::new();
        for part in [&shown(&header), &body] {
            lines.extend_from_slice(quoted(part).as_bytes());
            lines.push(b'\n');
        }
        let list = in_memory(&lines)?;
        // a child process may open the descriptors that this process can
        File::open(shown(&list))?;
        Ok(View { list: Arc::new(list), header: Arc::new(header), body })
    }

    /// Adds the view's descriptors to the command.
    pub fn attach(&self, call: Invocation) -> Invocation {
        let call = call.inheriting(Arc::clone(&self.list)).inheriting(Arc::clone(&self.header));
        call.reading(&self.body)
    }

    /// The input options, as those of [`crate::probe::source_input`].
    pub fn input(&self) -> Vec<OsString> {
        let mut url = OsString::from("concatf:");
        url.push(shown(&self.list));
        bounds::input("file,concatf", Demuxers::Only("mov"), url)
    }
}

/// The file behind a header that lists only the first packets of its tracks, and all of the
/// track with id `whole`, so that ffmpeg does not keep an entry for each; `None` if the file has no long
/// index that this crate reads.
///
/// # Errors
/// A file with boxes nested more deeply than in any real file. All other errors of an index
/// are reported by ffmpeg, which reads more kinds of them.
pub(crate) fn of_first_packets(path: &Path, most: usize, whole: Option<u32>) -> Result<Option<View>> {
    let Some(file) = File::open(path).ok().and_then(|file| CountedFile::new(file).ok()) else {
        return Ok(None);
    };
    if !mp4::looks_like_mov(&file) {
        return Ok(None);
    }
    match mp4::slim_header(&file, most, whole) {
        Ok(header) => Ok(header.and_then(|header| View::new(&header, path).ok())),
        Err(e @ IndexError::TooDeep { .. }) => Err(MediaError::source(format!("{}: {e}", path.display()))),
        Err(_) => Ok(None),
    }
}

fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("segue", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// Path of an open file for this process, and for a child that inherits it.
fn shown(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
