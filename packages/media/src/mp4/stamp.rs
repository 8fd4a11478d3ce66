//! Sets the display matrix of a finished file in place.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::IndexError;
use super::boxes;
use super::source::{ByteSource, CountedFile};

/// Sets the display matrix of the first track of a file.
///
/// Depending on its version, an encoder keeps or drops a rotation; the matrix of a part must not
/// depend on that.
pub fn stamp_matrix(path: &Path, matrix: &[u8; 36]) -> Result<(), IndexError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let at = matrix_at(&CountedFile::new(file.try_clone()?)?)?;
    file.write_all_at(matrix, at)?;
    Ok(())
}

fn matrix_at(src: &impl ByteSource) -> Result<u64, IndexError> {
    let missing = || IndexError::broken("no track header");
    let top = boxes::top(src)?;
    let moov = boxes::find(&top, b"moov").ok_or_else(missing)?;
    let inside = boxes::inside(src, moov)?;
    let trak = boxes::find(&inside, b"trak").ok_or_else(missing)?;
    let tkhd = boxes::find(&boxes::inside(src, trak)?, b"tkhd").ok_or_else(missing)?;
    let mut version = [0; 1];
    src.read_at(tkhd.body, &mut version)?;
    let at = if version[0] == 1 { 52 } else { 40 };
    if tkhd.body_len() < at + 36 {
        return Err(IndexError::broken("box tkhd is too short"));
    }
    Ok(tkhd.body + at)
}
