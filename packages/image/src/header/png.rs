//! PNG: its chunks, of which only the heads of those with pixels are read.

use super::{Header, be32, exif};

/// The first bytes of a PNG.
pub const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Reads the header.
pub fn read(bytes: &[u8]) -> Option<Header> {
    if bytes.get(12..16)? != b"IHDR" {
        return None;
    }
    let colour_type = *bytes.get(25)?;
    let mut found = Header {
        width: be32(bytes, 16)?,
        height: be32(bytes, 20)?,
        frames: 1,
        has_alpha: colour_type & 4 != 0,
        ..Header::default()
    };
    let mut at = SIGNATURE.len();
    while let (Some(length), Some(kind)) = (be32(bytes, at), bytes.get(at + 4..at + 8)) {
        let length = usize::try_from(length).ok()?;
        let data = bytes.get(at + 8..(at + 8).saturating_add(length));
        match kind {
            b"tRNS" => found.has_alpha = true,
            b"iCCP" => found.has_profile = true,
            b"acTL" => found.frames = be32(bytes, at + 8)?.max(1),
            b"eXIf" => found.orientation = exif::orientation(data.unwrap_or_default()),
            b"IEND" => break,
            _ => {}
        }
        at = at.saturating_add(length).saturating_add(12);
    }
    Some(found)
}
