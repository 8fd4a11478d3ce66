//! One pass over a finished file: its digest, and the digests of the video's packets.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{MediaError, Result};
use crate::hash::{PIECE, hex};
use crate::mp4::Sample;
use crate::probe;

/// Result of one pass over a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadBack {
    /// Size of the file.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// XXH3-128 of each group of packets, in hexadecimal.
    pub groups: Vec<String>,
}

/// Whether packets are stored in decode order.
pub(super) fn in_order(samples: &[Sample]) -> bool {
    samples.windows(2).all(|w| w[0].offset + u64::from(w[0].size) <= w[1].offset)
}

/// Reads a file once. `groups` are the packets to digest; together they are in file order.
pub(super) fn read_back(path: &Path, groups: &[&[Sample]]) -> Result<ReadBack> {
    let mut file = probe::open(path)?;
    let mut whole = Sha256::new();
    let mut digests = Digests::new(groups);
    let mut buf = vec![0; PIECE];
    let mut pos = 0u64;
    loop {
        let n = file.read(&mut buf).map_err(|e| MediaError::io(path.display(), &e))?;
        if n == 0 {
            return Ok(ReadBack { bytes: pos, sha256: hex(&whole.finalize()), groups: digests.finish() });
        }
        whole.update(&buf[..n]);
        digests.take(pos, &buf[..n]);
        pos += n as u64;
    }
}

struct Digests<'a> {
    groups: &'a [&'a [Sample]],
    done: Vec<String>,
    hash: Xxh3,
    next: usize,
}

impl<'a> Digests<'a> {
    fn new(groups: &'a [&'a [Sample]]) -> Digests<'a> {
        Digests { groups, done: Vec::new(), hash: Xxh3::new(), next: 0 }
    }

    /// Processes the next bytes of the file, at offset `pos`.
    fn take(&mut self, pos: u64, piece: &[u8]) {
        let end = pos + piece.len() as u64;
        while let Some(group) = self.groups.get(self.done.len()) {
            while let Some(sample) = group.get(self.next) {
                let stop = sample.offset + u64::from(sample.size);
                let (from, until) = (sample.offset.max(pos), stop.min(end));
                if from < until {
                    self.hash.update(&piece[(from - pos) as usize..(until - pos) as usize]);
                }
                if stop > end {
                    return;
                }
                self.next += 1;
            }
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.push(format!("{:032x}", self.hash.digest128()));
        self.hash = Xxh3::new();
        self.next = 0;
    }

    fn finish(mut self) -> Vec<String> {
        while self.done.len() < self.groups.len() {
            self.close();
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_packets_digests(
            sizes in proptest::collection::vec((0u32..40, 0u64..9), 1..30),
            piece in 1usize..70,
            split in any::<prop::sample::Index>(),
        ) {
            let mut at = 0;
            let samples: Vec<Sample> = sizes
                .iter()
                .map(|(size, gap)| {
                    let offset = at + gap;
                    at = offset + u64::from(*size);
                    Sample { offset, dts: 0, size: *size, composition: 0, description: 1, keyframe: true, hidden: false }
                })
                .collect();
            prop_assert!(in_order(&samples));
            let bytes: Vec<u8> = (0..at + 5).map(|i| (i * 37 % 251) as u8).collect();
            let (a, b) = samples.split_at(split.index(samples.len()));
            let groups = [a, b];
            let mut digests = Digests::new(&groups);
            for (i, part) in bytes.chunks(piece).enumerate() {
                digests.take((i * piece) as u64, part);
            }
            let expected = |group: &[Sample]| {
                let all: Vec<u8> = group
                    .iter()
                    .flat_map(|s| bytes[s.offset as usize..s.offset as usize + s.size as usize].to_vec())
                    .collect();
                format!("{:032x}", xxh3_128(&all))
            };
            prop_assert_eq!(digests.finish(), vec![expected(a), expected(b)]);
        }
    }
}
