//! Writing a large file once: ranges of another, hashed on their way, past the page cache.
//!
//! Copying a gigabyte through the page cache costs as much processor time as hashing it, and
//! pushes out everything that was in it. So a large file is written directly to the disk where
//! the file system allows it (`O_DIRECT`, open(2)): blocks that are aligned in memory and in
//! the file. One thread reads and hashes, the other writes; what is hashed is the very memory
//! that is written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, fallocate, fcntl};
use sha2::{Digest, Sha256};

use crate::mp4::{Rewrite, Run};

/// What the direct way asks of addresses and lengths; the largest that is in use.
const BLOCK: usize = 4096;
/// Bytes of a piece: a multiple of [`BLOCK`].
const PIECE: usize = 2 << 20;
/// Pieces on their way between the two threads.
const PIECES: usize = 3;
/// What a core's own cache holds while it is hashed.
const HASHED_AT_ONCE: usize = 256 << 10;
/// A file from here on goes directly to the disk; a smaller one is likely to be read soon.
const DIRECT_FROM: u64 = 64 << 20;

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Vec<u8>,
}

/// Where an error came from.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// Reading the old file.
    Read(io::Error),
    /// Writing the new one.
    Write(io::Error),
    /// The caller had enough.
    Stopped,
}

/// Writes `rewrite` of the file `from` to the new file `out`. `told` hears how many bytes are
/// done after each piece, and says whether to go on. Blocks.
pub(crate) fn copy_out(
    from: &File,
    rewrite: &Rewrite,
    out: &Path,
    told: impl FnMut(u64) -> bool,
) -> Result<Written, CopyError> {
    copy_in_pieces(from, rewrite, out, PIECE, rewrite.len >= DIRECT_FROM, told)
}

fn copy_in_pieces(
    from: &File,
    rewrite: &Rewrite,
    out: &Path,
    piece_bytes: usize,
    direct: bool,
    mut told: impl FnMut(u64) -> bool,
) -> Result<Written, CopyError> {
    let mut target = Target::create(out, rewrite.len, direct).map_err(CopyError::Write)?;
    let mut reader = Reader { from, head: &rewrite.head, runs: &rewrite.runs, run: 0, at: 0 };
    let mut hash = Sha256::new();
    let (filled_in, filled) = sync_channel::<Piece>(PIECES);
    let (written_in, written) = sync_channel::<Piece>(PIECES);
    let mut bytes = 0;
    let read = thread::scope(|scope| {
        let writer = scope.spawn(|| write_pieces(&mut target, filled, written_in));
        let mut fresh = PIECES;
        let read = loop {
            let piece = match fresh {
                0 => written.recv().ok(),
                _ => Some(Piece::new(piece_bytes)),
            };
            fresh = fresh.saturating_sub(1);
            // a writer that ended has its own reason
            let Some(mut piece) = piece else { break Ok(()) };
            match piece.fill(&mut reader, &mut hash) {
                Ok(0) => break Ok(()),
                Ok(n) => bytes += n as u64,
                Err(e) => break Err(CopyError::Read(e)),
            }
            if filled_in.send(piece).is_err() {
                break Ok(());
            }
            if !told(bytes) {
                break Err(CopyError::Stopped);
            }
        };
        drop(filled_in);
        let wrote = writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
        read.and(wrote.map_err(CopyError::Write))
    });
    read?;
    target.finish(bytes).map_err(CopyError::Write)?;
    Ok(Written { bytes, sha256: hash.finalize().to_vec() })
}

/// Writes pieces in order, and gives their memory back.
fn write_pieces(target: &mut Target, filled: Receiver<Piece>, written: SyncSender<Piece>) -> io::Result<()> {
    for mut piece in filled {
        target.write(&mut piece)?;
        // nobody needs it any more when all is read
        let _ = written.send(piece);
    }
    Ok(())
}

/// Memory that starts at a multiple of [`BLOCK`].
struct Piece {
    memory: Vec<u8>,
    start: usize,
    size: usize,
    len: usize,
}

impl Piece {
    fn new(size: usize) -> Piece {
        let memory = vec![0; size.next_multiple_of(BLOCK) + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        Piece { memory, start, size, len: 0 }
    }

    /// Fills the piece, and hashes what is read while it is still in the cache. Fewer bytes
    /// only at the end.
    fn fill(&mut self, reader: &mut Reader<'_>, hash: &mut Sha256) -> io::Result<usize> {
        self.len = 0;
        for part in self.memory[self.start..self.start + self.size].chunks_mut(HASHED_AT_ONCE) {
            let n = reader.fill(part)?;
            hash.update(&part[..n]);
            self.len += n;
        }
        Ok(self.len)
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    /// The bytes and, where the last block is not whole, zeros to its end.
    fn blocks(&mut self) -> &[u8] {
        let whole = self.len.next_multiple_of(BLOCK);
        self.memory[self.start + self.len..self.start + whole].fill(0);
        &self.memory[self.start..self.start + whole]
    }
}

/// The new file's bytes, in order.
struct Reader<'a> {
    from: &'a File,
    head: &'a [u8],
    runs: &'a [Run],
    run: usize,
    at: u64,
}

impl Reader<'_> {
    /// Fills `into`; fewer bytes only at the end.
    fn fill(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let head = self.head.len().min(into.len());
        into[..head].copy_from_slice(&self.head[..head]);
        self.head = &self.head[head..];
        let mut n = head;
        while let Some(run) = self.runs.get(self.run).filter(|_| n < into.len()) {
            let take = (run.len - self.at).min((into.len() - n) as u64) as usize;
            self.from.read_exact_at(&mut into[n..n + take], run.from + self.at)?;
            n += take;
            self.at += take as u64;
            if self.at == run.len {
                (self.run, self.at) = (self.run + 1, 0);
            }
        }
        Ok(n)
    }
}

/// The new file.
struct Target {
    file: File,
    at: u64,
    direct: bool,
}

impl Target {
    fn create(path: &Path, len: u64, direct: bool) -> io::Result<Target> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let opened = match direct {
            true => options.clone().custom_flags(OFlag::O_DIRECT.bits()).open(path).map(|f| (f, true)),
            false => Err(io::ErrorKind::InvalidInput.into()),
        };
        let (file, direct) = match opened {
            // a file system that has no direct way says so here or at the first write
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => (options.open(path)?, false),
            opened => opened?,
        };
        // a disk that is too small says so now; one that cannot reserve will say so later
        if let Ok(len) = i64::try_from(len)
            && let Err(nix::errno::Errno::ENOSPC) = fallocate(&file, FallocateFlags::empty(), 0, len.max(1))
        {
            return Err(io::Error::from_raw_os_error(nix::errno::Errno::ENOSPC as i32));
        }
        Ok(Target { file, at: 0, direct })
    }

    fn write(&mut self, piece: &mut Piece) -> io::Result<()> {
        let len = piece.len as u64;
        if self.direct {
            match self.file.write_all_at(piece.blocks(), self.at) {
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
                    fcntl(&self.file, FcntlArg::F_SETFL(OFlag::empty()))?;
                    self.direct = false;
                }
                written => {
                    self.at += len;
                    return written;
                }
            }
        }
        self.file.write_all_at(piece.bytes(), self.at)?;
        self.at += len;
        Ok(())
    }

    /// Cuts what the last block was filled up with.
    fn finish(self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(dir: &Path, len: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 131 % 251) as u8).collect();
        let path = dir.join("source");
        std::fs::write(&path, &bytes).unwrap();
        (File::open(path).unwrap(), bytes)
    }

    fn rewrite(head: Vec<u8>, runs: Vec<Run>) -> Rewrite {
        let len = head.len() as u64 + runs.iter().map(|r| r.len).sum::<u64>();
        Rewrite { head, runs, len }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_file_is_the_head_and_the_ranges(
            head in 1usize..9000,
            ranges in proptest::collection::vec((0u64..40_000, 0u64..20_000), 0..6),
            blocks in 1usize..4,
            direct in any::<bool>(),
        ) {
            // the build's folder is on a disk; a temporary folder may be memory, which has no direct way
            let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
            let (from, bytes) = source(dir.path(), 60_000);
            let runs: Vec<Run> = ranges.iter().map(|(from, len)| Run { from: *from, len: *len }).collect();
            let head: Vec<u8> = (0..head).map(|i| i as u8).collect();
            let mut expected = head.clone();
            runs.iter().for_each(|r| expected.extend(&bytes[r.from as usize..(r.from + r.len) as usize]));
            let out = dir.path().join("out");
            let written =
                copy_in_pieces(&from, &rewrite(head, runs), &out, blocks * BLOCK, direct, |_| true).unwrap();
            prop_assert_eq!(written.bytes, expected.len() as u64);
            prop_assert_eq!(written.sha256, Sha256::digest(&expected).to_vec());
            prop_assert!(std::fs::read(&out).unwrap() == expected);
        }
    }

    #[test]
    fn a_source_that_ends_early_is_a_read_error() {
        let dir = tempfile::tempdir().unwrap();
        let (from, _) = source(dir.path(), 5000);
        let what = rewrite(vec![1], vec![Run { from: 0, len: 20_000 }]);
        let ended = copy_in_pieces(&from, &what, &dir.path().join("out"), BLOCK, false, |_| true);
        assert!(matches!(ended, Err(CopyError::Read(_))), "{ended:?}");
    }

    #[test]
    fn it_stops_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let (from, _) = source(dir.path(), 90_000);
        let what = rewrite(vec![1], vec![Run { from: 0, len: 90_000 }]);
        let ended = copy_in_pieces(&from, &what, &dir.path().join("out"), BLOCK, false, |done| done < 9000);
        assert!(matches!(ended, Err(CopyError::Stopped)), "{ended:?}");
    }
}
