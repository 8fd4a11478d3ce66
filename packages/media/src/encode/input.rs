//! What ffmpeg reads: a header of ours, and behind it the bytes of the file as they are.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::error::{MediaError, Result};
use crate::mp4::{self, Brand, ByteSource, HeaderTrack, Sample};
use crate::plan::OpenIndex;

/// The display matrix that changes nothing.
const UNITY: [u8; 36] = {
    let mut m = [0; 36];
    m[1] = 1;
    m[17] = 1;
    m[32] = 0x40;
    m
};

/// Writes a header that names these packets where they lie in the file of `open`.
pub(super) fn write(out: &Path, open: &OpenIndex, samples: &[Sample]) -> Result<()> {
    let track = &open.index.track;
    let header = mp4::write_header(&HeaderTrack {
        brand: Brand::QuickTime,
        timescale: track.timescale,
        language: track.language,
        // the join puts the source's matrix back
        matrix: UNITY,
        width: track.width,
        height: track.height,
        stsd: &track.stsd,
        // without an edit list the times of the packets stay what they are
        edits: &[],
        samples,
        last_duration: track.last_duration,
        body_len: open.file.len(),
    })
    .map_err(|e| MediaError::internal(format!("writing the index of a segment: {e}")))?;
    std::fs::write(out, header.bytes).map_err(|e| MediaError::io(format!("writing {}", out.display()), &e))
}

/// Both files as one, for ffmpeg.
pub(super) fn url(header: &Path, body: &Path) -> OsString {
    let mut url = b"concat:file:".to_vec();
    escape(&mut url, header);
    url.extend_from_slice(b"|file:");
    escape(&mut url, body);
    OsString::from_vec(url)
}

/// A path in which nothing ends the name before its end.
fn escape(url: &mut Vec<u8>, path: &Path) {
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'\\' | b'\'' | b'|' | b' ' | b'\n' | b'\t' | b'\r') {
            url.push(b'\\');
        }
        url.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let made = url(Path::new("/a b/h.mov"), Path::new("/it's|a \\.mp4"));
        assert_eq!(made, "concat:file:/a\\ b/h.mov|file:/it\\'s\\|a\\ \\\\.mp4");
    }
}
