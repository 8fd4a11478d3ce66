//! Fingerprints of whole files.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{MediaError, Result};
use crate::probe;

const READ_BYTES: usize = 1 << 20;

/// Size and SHA-256 (hexadecimal) of a file.
pub fn sha256_file(path: &Path) -> Result<(u64, String)> {
    let mut file = probe::open(path)?;
    let mut hash = Sha256::new();
    let mut buf = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        let n = file.read(&mut buf).map_err(|e| MediaError::io(path.display(), &e))?;
        if n == 0 {
            return Ok((size, hex(&hash.finalize())));
        }
        hash.update(&buf[..n]);
        size += n as u64;
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_fingerprint_of_abc() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, b"abc").unwrap();
        let (size, hash) = sha256_file(&path).unwrap();
        assert_eq!(size, 3);
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
