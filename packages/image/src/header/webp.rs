//! WebP: the chunks of a RIFF file.

use super::{Header, exif, le16, le24, le32};

/// Reads the header; stops to count frames at `max_frames` + 1.
pub fn read(bytes: &[u8], max_frames: u32) -> Option<Header> {
    let mut found = Header::default();
    let mut at = 12;
    while let (Some(kind), Some(length)) = (bytes.get(at..at + 4), le32(bytes, at + 4)) {
        let length = usize::try_from(length).ok()?;
        let data = bytes.get(at + 8..(at + 8).saturating_add(length));
        let data = data.unwrap_or_else(|| bytes.get(at + 8..).unwrap_or_default());
        match kind {
            b"VP8X" => {
                let flags = *data.first()?;
                found.has_alpha = flags & 0x10 != 0;
                found.width = le24(data, 4)? + 1;
                found.height = le24(data, 7)? + 1;
            }
            b"VP8 " if found.width == 0 => {
                (data.get(3..6)? == [0x9d, 0x01, 0x2a]).then_some(())?;
                found.width = u32::from(le16(data, 6)? & 0x3fff);
                found.height = u32::from(le16(data, 8)? & 0x3fff);
            }
            b"VP8L" if found.width == 0 => {
                (*data.first()? == 0x2f).then_some(())?;
                let bits = le32(data, 1)?;
                found.width = (bits & 0x3fff) + 1;
                found.height = (bits >> 14 & 0x3fff) + 1;
                found.has_alpha = bits >> 28 & 1 == 1;
            }
            b"ICCP" => found.has_profile = true,
            b"EXIF" => found.orientation = exif::orientation(data),
            b"ANMF" => found.frames += 1,
            _ => {}
        }
        if found.frames > max_frames {
            break;
        }
        at = at.saturating_add(8).saturating_add(length).saturating_add(length & 1);
    }
    found.frames = found.frames.max(1);
    (found.width > 0).then_some(found)
}
