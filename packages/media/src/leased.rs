//! A file in our memory without a copy, for as long as nobody else wants to write to it.
//!
//! Memory that is mapped from a file ends the program (SIGBUS) when the file is shortened under
//! it. A read lease (`F_SETLEASE`, fcntl(2)) makes the kernel hold back whoever opens the file
//! for writing or truncates it until the lease is given up, at most 45 s; who is held back is
//! seen by asking for the lease. Pages are read in before they are touched
//! (`MADV_POPULATE_READ`, madvise(2)), where a disk that fails is an error and no signal.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::{Advice, Mmap, MmapOptions};
use nix::libc::{self, c_int};

/// Which signal says that somebody waits (asm-generic/fcntl.h).
const F_SETSIG: c_int = 10;

/// A file under a read lease.
#[derive(Debug)]
pub(crate) struct Leased {
    file: File,
    len: u64,
    lost: AtomicBool,
}

/// Some bytes of a leased file.
pub(crate) type Window = Mmap;

impl Leased {
    /// Leases `file`, which was opened for reading. `None` where that cannot be had: another's
    /// file, one that is open for writing, a file system without leases.
    pub fn take(file: &File) -> Option<Leased> {
        let file = file.try_clone().ok()?;
        let len = file.metadata().ok()?.len();
        // the kernel's note that somebody waits is SIGIO, which would end us; SIGURG is ignored
        // unless a program asks for it
        lease(&file, F_SETSIG, libc::SIGURG)?;
        lease(&file, libc::F_SETLEASE, libc::F_RDLCK)?;
        Some(Leased { file, len, lost: AtomicBool::new(false) })
    }

    /// These bytes, read in; `None` if they cannot be, and from the moment on where somebody
    /// wants to write to the file. What is mapped counts as our memory: a window, not the file.
    #[expect(unsafe_code, reason = "mapped under a lease, so that nobody changes or shortens it meanwhile")]
    pub fn get(&self, at: u64, len: usize) -> Option<Window> {
        if len == 0 || at.checked_add(len as u64)? > self.len || self.lost.load(Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the lease keeps others from writing or truncating until it is given up, which
        // whoever waits sees after at most 45 s; a window lives for as long as its bytes take to
        // be hashed and written, and the lease is asked for at each. We only read.
        let window = unsafe { MmapOptions::new().offset(at).len(len).map(&self.file) };
        let good = window.ok().filter(|window| {
            lease(&self.file, libc::F_GETLEASE, 0) == Some(libc::F_RDLCK)
                && window.advise(Advice::PopulateRead).is_ok()
        });
        if good.is_none() {
            self.lost.store(true, Ordering::Relaxed);
        }
        good
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // the descriptor may be shared, and so the lease would outlive us; without one this does nothing
        let _ = lease(&self.file, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

#[expect(unsafe_code, reason = "nix knows the call and not these of its commands")]
fn lease(file: &File, command: c_int, what: c_int) -> Option<c_int> {
    // SAFETY: commands that take a number, on a descriptor that is open
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, what) };
    (answer >= 0).then_some(answer)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::ErrorKind;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    #[test]
    fn it_is_readable_until_somebody_wants_to_write() {
        // a temporary folder may be a file system without leases; the build's is on a disk
        let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [7; 10_000]).unwrap();
        let leased = Leased::take(&File::open(&path).unwrap()).unwrap();
        let get = |at, len| leased.get(at, len).map(|window| window.to_vec());
        assert_eq!(get(4096, 5000), Some(vec![7; 5000]));
        assert_eq!(get(4096, 6000), None, "beyond its end");
        assert_eq!(get(0, 1), Some(vec![7]), "who asks for too much spoils nothing");
        let write =
            || OpenOptions::new().write(true).truncate(true).custom_flags(libc::O_NONBLOCK).open(&path);
        assert_eq!(write().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(get(0, 1), None, "another waits");
        drop(leased);
        assert!(write().is_ok());
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_not_taken() {
        let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [7; 10]).unwrap();
        let _writer = OpenOptions::new().append(true).open(&path).unwrap();
        assert!(Leased::take(&File::open(&path).unwrap()).is_none());
    }
}
