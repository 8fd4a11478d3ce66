//! A file with another header in front of it, as one input of ffmpeg.
//!
//! The header and the list of both lie in memory (memfd_create(2)), so that nothing is left
//! behind whatever happens. ffmpeg inherits the descriptors and reads them as files of
//! /proc/self/fd; the sandbox refuses it the descriptors of another process.

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
    /// Puts `header` in front of the file at `body`.
    ///
    /// # Errors
    /// No room for another file in memory, or a system that does not show our descriptors.
    pub fn new(header: &[u8], body: &Path) -> io::Result<View> {
        let header = in_memory(header)?;
        let body = std::path::absolute(body)?;
        let mut lines = Vec::new();
        for part in [&shown(&header), &body] {
            lines.extend_from_slice(quoted(part).as_bytes());
            lines.push(b'\n');
        }
        let list = in_memory(&lines)?;
        // what we may open so, a child of ours may
        File::open(shown(&list))?;
        Ok(View { list: Arc::new(list), header: Arc::new(header), body })
    }

    /// The command with this view open in it.
    pub fn attach(&self, call: Invocation) -> Invocation {
        let call = call.inheriting(Arc::clone(&self.list)).inheriting(Arc::clone(&self.header));
        call.reading(&self.body)
    }

    /// The options that name it as an input, as those of [`crate::probe::source_input`].
    pub fn input(&self) -> Vec<OsString> {
        let mut url = OsString::from("concatf:");
        url.push(shown(&self.list));
        bounds::input("file,concatf", Demuxers::Only("mov"), url)
    }
}

/// The file behind a header that names only the first packets of its tracks, and all of the
/// track numbered `whole`, so that nobody keeps a place for each; `None` where it has no long
/// index of ours.
///
/// # Errors
/// A file whose boxes lie inside one another to more levels than in any real file. Whatever else is
/// wrong with an index is reported by ffmpeg, which reads more kinds of them.
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

/// Where this process, and a child that inherits it, finds an open file.
fn shown(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
