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

use memmap2::{Advice, Mmap};
use nix::libc::{self, c_int};

/// Which signal says that somebody waits (asm-generic/fcntl.h).
const F_SETSIG: c_int = 10;

/// A mapped file under a read lease.
#[derive(Debug)]
pub(crate) struct Leased {
    // in this order: nothing is mapped any more when the lease goes with the file
    map: Mmap,
    file: File,
    lost: AtomicBool,
}

impl Leased {
    /// Maps `file`, which was opened for reading. `None` where that cannot be had: another's
    /// file, one that is open for writing, an empty one, a file system or kernel without it.
    #[expect(unsafe_code, reason = "mapped under a lease, so that nobody changes or shortens it meanwhile")]
    pub fn take(file: &File) -> Option<Leased> {
        let file = file.try_clone().ok()?;
        // the kernel's note that somebody waits is SIGIO, which would end us; SIGURG is ignored
        // unless a program asks for it
        lease(&file, F_SETSIG, libc::SIGURG)?;
        lease(&file, libc::F_SETLEASE, libc::F_RDLCK)?;
        // SAFETY: the lease keeps others from writing or truncating; we only read
        let map = unsafe { Mmap::map(&file) }.ok()?;
        Some(Leased { map, file, lost: AtomicBool::new(false) })
    }

    /// These bytes, read in; `None` if they cannot be, and from the moment on where somebody
    /// wants to write to the file.
    pub fn get(&self, at: u64, len: usize) -> Option<&[u8]> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.map.get(at..at.checked_add(len)?)?;
        let good = !self.lost.load(Ordering::Relaxed)
            && lease(&self.file, libc::F_GETLEASE, 0) == Some(libc::F_RDLCK)
            && self.map.advise_range(Advice::PopulateRead, at, len).is_ok();
        if !good {
            self.lost.store(true, Ordering::Relaxed);
        }
        good.then_some(bytes)
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
        assert_eq!(leased.get(4096, 5000), Some([7; 5000].as_slice()));
        assert_eq!(leased.get(4096, 6000), None, "beyond its end");
        assert_eq!(leased.get(0, 1), Some([7].as_slice()), "who asks for too much spoils nothing");
        let write =
            || OpenOptions::new().write(true).truncate(true).custom_flags(libc::O_NONBLOCK).open(&path);
        assert_eq!(write().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(leased.get(0, 1), None, "another waits");
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
