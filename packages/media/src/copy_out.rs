//! Writing a large file once: ranges of another, hashed on their way, past the page cache.
//!
//! Copying a gigabyte through the page cache costs as much processor time as hashing it, and
//! pushes out everything that was in it. So a large file is written directly to the disk where
//! the file system allows it (`O_DIRECT`, open(2)): blocks that are aligned in memory and in
//! the file. One thread reads and hashes, the other writes; what is hashed is the very memory
//! that is written, and both ends of each write are read back at once: that it is whole and in
//! its place is known and not believed.
//!
//! Where the old file can be leased ([`Leased`]) nothing is copied at all: blocks that lie
//! alike in both files ([`Rewrite`] sees to that) are hashed and written from where they are.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, fallocate, fcntl};
use sha2::{Digest, Sha256};

use crate::leased::{Leased, Window};
use crate::mp4::{BLOCK, Rewrite, Run};

/// Bytes of a piece: a multiple of [`BLOCK`]. To map, write and forget a gigabyte costs a tenth
/// less processor time in pieces of 4 MiB than of 2 MiB, and hardly less in larger ones.
const PIECE: usize = 4 << 20;
/// Pieces on their way between the two threads.
const PIECES: usize = 2;
/// What a core's own cache holds while it is hashed.
const HASHED_AT_ONCE: usize = 256 << 10;

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
    /// Starting the second thread.
    Thread(io::Error),
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
    copy_in_pieces(from, rewrite, out, PIECE, rewrite.is_large(), told)
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
    let leased = if direct { Leased::take(from) } else { None };
    let mut reader = Reader { from, head: &rewrite.head, runs: &rewrite.runs, run: 0, at: 0 };
    let mut hash = Sha256::new();
    let (filled_in, filled) = sync_channel::<Piece>(PIECES);
    let (written_in, written) = sync_channel::<Buffer>(PIECES);
    let mut bytes = 0;
    let read = thread::scope(|scope| {
        let writing = || write_pieces(&mut target, filled, written_in);
        let writer = thread::Builder::new().spawn_scoped(scope, writing).map_err(CopyError::Thread)?;
        let mut fresh = PIECES;
        let read = loop {
            let piece = if let Some(there) = leased.as_ref().and_then(|l| reader.there(l, bytes, piece_bytes))
            {
                Piece::There(Arc::new(there))
            } else {
                let buffer = match fresh {
                    0 => written.recv().ok(),
                    _ => Some(Buffer::new(piece_bytes)),
                };
                fresh = fresh.saturating_sub(1);
                // a writer that ended has its own reason
                let Some(mut buffer) = buffer else { break Ok(()) };
                // what follows the head may be there already
                let most = match reader.head.len() {
                    head if leased.is_some() && head > 0 => head.next_multiple_of(BLOCK).min(piece_bytes),
                    _ => piece_bytes,
                };
                match buffer.fill(&mut reader, most, &mut hash) {
                    Ok(0) => break Ok(()),
                    Ok(_) => Piece::Read(buffer),
                    Err(e) => break Err(CopyError::Read(e)),
                }
            };
            bytes += piece.bytes().len() as u64;
            let there = match &piece {
                Piece::There(there) => Some(Arc::clone(there)),
                Piece::Read(_) => None,
            };
            if filled_in.send(piece).is_err() {
                break Ok(());
            }
            // hashed while it is written
            if let Some(there) = there {
                hash.update(&*there);
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
fn write_pieces(target: &mut Target, filled: Receiver<Piece>, written: SyncSender<Buffer>) -> io::Result<()> {
    let mut block = Buffer::new(BLOCK);
    for mut piece in filled {
        let at = target.at;
        target.write(&mut piece)?;
        target.read_back(at, piece.bytes(), &mut block)?;
        if let Piece::Read(buffer) = piece {
            // nobody needs it any more when all is read
            let _ = written.send(buffer);
        }
    }
    Ok(())
}

/// Bytes on their way.
enum Piece {
    /// Whole blocks of the old file, where they are.
    There(Arc<Window>),
    /// Read from it, or of the head; hashed.
    Read(Buffer),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::There(bytes) => bytes,
            Piece::Read(buffer) => buffer.bytes(),
        }
    }

    /// The bytes and, where the last block is not whole, zeros to its end.
    fn blocks(&mut self) -> &[u8] {
        match self {
            Piece::There(bytes) => bytes,
            Piece::Read(buffer) => buffer.blocks(),
        }
    }
}

/// Memory that starts at a multiple of [`BLOCK`].
struct Buffer {
    memory: Vec<u8>,
    start: usize,
    size: usize,
    len: usize,
}

impl Buffer {
    fn new(size: usize) -> Buffer {
        let memory = vec![0; size.next_multiple_of(BLOCK) + BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        Buffer { memory, start, size, len: 0 }
    }

    /// Fills at most `most` bytes, and hashes what is read while it is still in the cache.
    /// Fewer bytes only at the end.
    fn fill(&mut self, reader: &mut Reader<'_>, most: usize, hash: &mut Sha256) -> io::Result<usize> {
        self.len = 0;
        for part in self.memory[self.start..self.start + self.size.min(most)].chunks_mut(HASHED_AT_ONCE) {
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
    /// The next bytes where they are, if they are whole blocks that lie alike in both files.
    /// `at` is their place in the new one.
    fn there(&mut self, leased: &Leased, at: u64, most: usize) -> Option<Window> {
        let run = self.runs.get(self.run).filter(|_| self.head.is_empty())?;
        let from = run.from + self.at;
        let block = BLOCK as u64;
        let blocks = (run.len - self.at).min(most as u64) / block * block;
        if blocks == 0 || !from.is_multiple_of(block) || !at.is_multiple_of(block) {
            return None;
        }
        let bytes = leased.get(from, blocks as usize)?;
        self.at += blocks;
        if self.at == run.len {
            (self.run, self.at) = (self.run + 1, 0);
        }
        Some(bytes)
    }

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
        options.read(true).write(true).create(true).truncate(true);
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
        let len = piece.bytes().len() as u64;
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

    /// Reads the first and the last block of what was written at `at`.
    fn read_back(&self, at: u64, written: &[u8], block: &mut Buffer) -> io::Result<()> {
        let last = written.len().saturating_sub(1) / BLOCK * BLOCK;
        for from in [0, last] {
            let expected = &written[from..written.len().min(from + BLOCK)];
            let into = &mut block.memory[block.start..block.start + BLOCK];
            let mut read = 0;
            while read < expected.len() {
                match self.file.read_at(&mut into[read..], at + (from + read) as u64)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => read += n,
                }
            }
            if into[..expected.len()] != *expected {
                return Err(io::Error::other("the disk does not give back what was written to it"));
            }
        }
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

    /// Blocks that lie alike are taken from where they are, and the file is the same.
    #[test]
    fn a_leased_source_is_not_copied() {
        let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let (from, bytes) = source(dir.path(), 90_000);
        let leased = Leased::take(&from).unwrap();
        let head = vec![3; BLOCK + 9];
        let runs = [Run { from: 9, len: 50_000 }, Run { from: 60_000, len: 10 }];
        let mut reader = Reader { from: &from, head: &head, runs: &runs, run: 0, at: 0 };
        let mut hash = Sha256::new();
        let mut buffer = Buffer::new(4 * BLOCK);
        assert!(reader.there(&leased, 0, 4 * BLOCK).is_none(), "the head comes first");
        let first = buffer.fill(&mut reader, 2 * BLOCK, &mut hash).unwrap();
        assert_eq!(first, 2 * BLOCK);
        let there = reader.there(&leased, first as u64, 4 * BLOCK).unwrap();
        assert_eq!(&*there, &bytes[BLOCK..5 * BLOCK]);
        let there = reader.there(&leased, 6 * BLOCK as u64, 64 * BLOCK).unwrap();
        assert_eq!(&*there, &bytes[5 * BLOCK..50_000 / BLOCK * BLOCK]);
        // what is left is less than a block, and the next range lies otherwise
        assert!(reader.there(&leased, 13 * BLOCK as u64, 4 * BLOCK).is_none());
        assert_eq!(buffer.fill(&mut reader, 4 * BLOCK, &mut hash).unwrap(), (50_009 % BLOCK) + 10);
    }

    /// A disk that loses what was written to it.
    #[test]
    fn a_write_that_does_not_read_back_is_an_error() {
        let dir = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let mut target = Target::create(&dir.path().join("out"), 40_000, true).unwrap();
        let mut piece = Buffer::new(9 * BLOCK);
        piece.len = 35_000;
        piece.memory.fill(7);
        let mut piece = Piece::Read(piece);
        target.write(&mut piece).unwrap();
        let mut block = Buffer::new(BLOCK);
        let written = piece.bytes();
        target.read_back(0, written, &mut block).unwrap();
        for at in [0, 34_999] {
            let mut other = written.to_vec();
            other[at] ^= 1;
            assert!(target.read_back(0, &other, &mut block).is_err(), "{at}");
        }
        assert!(target.read_back(8192, written, &mut block).is_err(), "beyond what was written");
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
