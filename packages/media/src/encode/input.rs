//! The input of ffmpeg for one segment: a generated header before the unchanged bytes of the file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{MediaError, Result};
use crate::mp4::{self, Brand, ByteSource, HeaderTrack, Sample};
use crate::plan::OpenIndex;

/// The identity display matrix.
const UNITY: [u8; 36] = {
    let mut m = [0; 36];
    m[1] = 1;
    m[17] = 1;
    m[32] = 0x40;
    m
};

/// Writes a header that indexes these packets in the file of `open`, and requests their bytes.
pub(crate) fn write(out: &Path, open: &OpenIndex, samples: &[Sample]) -> Result<()> {
    open.expect(samples)?;
    let track = &open.index.track;
    let header = mp4::write_header(&HeaderTrack {
        brand: Brand::QuickTime,
        kind: mp4::TrackKind::Picture,
        timescale: track.timescale,
        language: track.language,
        // the join restores the source's matrix
        matrix: UNITY,
        width: track.width,
        height: track.height,
        stsd: &track.stsd,
        // without an edit list the packets keep their times
        edits: &[],
        samples,
        last_duration: track.last_duration,
        body_len: open.file.len(),
    })
    .map_err(|e| MediaError::internal(format!("writing the index of a segment: {e}")))?;
    std::fs::write(out, header.bytes).map_err(|e| MediaError::io(format!("writing {}", out.display()), &e))
}

/// Both files concatenated, for ffmpeg; `None` if a name contains the separator.
pub(crate) fn url(header: &Path, body: &Path) -> Option<OsString> {
    url_of(&[header, body])
}

/// The same of any number of files.
pub(crate) fn url_of(files: &[impl AsRef<Path>]) -> Option<OsString> {
    let mut url = OsString::from("concat:");
    for (i, file) in files.iter().enumerate() {
        let file = file.as_ref().as_os_str();
        if file.as_bytes().contains(&b'|') {
            return None;
        }
        url.push(if i == 0 { "file:" } else { "|file:" });
        url.push(file);
    }
    Some(url)
}

/// The error for a folder whose name contains the separator.
pub(crate) fn unreadable(folder: &Path) -> MediaError {
    let shown = folder.display();
    MediaError::environment(format!(
        "{shown}: ffmpeg cannot read below a folder with | in its name; use another"
    ))
    .retry(false)
}

/// Another name (a link) for a file, next to its header.
pub(crate) fn alias(header: &Path, body: &Path) -> Result<PathBuf> {
    let alias = header.with_extension("body");
    let failed = |e: std::io::Error| MediaError::io(format!("naming {}", alias.display()), &e);
    match std::fs::remove_file(&alias) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let body = std::path::absolute(body).map_err(failed)?;
    std::os::unix::fs::symlink(body, &alias).map_err(failed)?;
    Ok(alias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_bar_is_not_taken() {
        let of = |header, body| url(Path::new(header), Path::new(body));
        assert_eq!(of("/a b/h.mov", "/it's.mp4").unwrap(), "concat:file:/a b/h.mov|file:/it's.mp4");
        assert_eq!(of("/h.mov", "/a|b.mp4"), None);
        assert_eq!(of("/|/h.mov", "/b.mp4"), None);
    }
}
