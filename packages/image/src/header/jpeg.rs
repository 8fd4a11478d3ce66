//! JPEG: markers up to the first scan.

use super::{Header, be16, exif};

const EXIF: u8 = 0xe1;
const PROFILE: u8 = 0xe2;
const PROFILE_NAME: &[u8] = b"ICC_PROFILE\0";
const SCAN: u8 = 0xda;

/// Reads the header.
pub fn read(bytes: &[u8]) -> Option<Header> {
    let mut found = Header { frames: 1, ..Header::default() };
    let mut has_exif = false;
    for segment in segments(bytes) {
        match segment.marker {
            SCAN => break,
            EXIF if segment.data.starts_with(b"Exif\0\0") && !has_exif => {
                has_exif = true;
                found.orientation = exif::orientation(segment.data);
            }
            PROFILE if segment.data.starts_with(PROFILE_NAME) => found.has_profile = true,
            // start of frame: not the Huffman tables, the extension, the arithmetic conditioning
            0xc0..=0xcf if !matches!(segment.marker, 0xc4 | 0xc8 | 0xcc) && found.width == 0 => {
                found.height = u32::from(be16(segment.data, 1)?);
                found.width = u32::from(be16(segment.data, 3)?);
            }
            _ => {}
        }
    }
    (found.width > 0).then_some(found)
}

/// The colour profile, whose pieces are in segments that are numbered from 1.
pub fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = Vec::new();
    for segment in segments(bytes).take_while(|segment| segment.marker != SCAN) {
        if segment.marker == PROFILE
            && let Some([number, count, data @ ..]) = segment.data.strip_prefix(PROFILE_NAME)
        {
            pieces.push((*number, *count, data));
        }
    }
    pieces.sort_by_key(|(number, ..)| *number);
    let is_whole = pieces
        .iter()
        .enumerate()
        .all(|(i, (number, count, _))| usize::from(*number) == i + 1 && usize::from(*count) == pieces.len());
    (is_whole && !pieces.is_empty()).then(|| pieces.iter().flat_map(|(.., data)| *data).copied().collect())
}

/// Whether the scans are followed by the end marker. In their data 0xff is never followed by 0xd9.
pub fn has_end(bytes: &[u8]) -> bool {
    let scans = segments(bytes).find(|segment| segment.marker == SCAN);
    let start = scans.map_or(bytes.len(), |scan| scan.end);
    bytes[start..].windows(2).any(|pair| pair == [0xff, 0xd9])
}

struct Segment<'a> {
    marker: u8,
    data: &'a [u8],
    end: usize,
}

/// The segments up to the end of the bytes, or to what is no marker.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut at = 2;
    std::iter::from_fn(move || {
        while bytes.get(at) == Some(&0xff) && bytes.get(at + 1) == Some(&0xff) {
            at += 1;
        }
        let marker = match bytes.get(at..at + 2)? {
            [0xff, marker] => *marker,
            _ => return None,
        };
        at += 2;
        if matches!(marker, 0x01 | 0xd0..=0xd9) {
            return Some(Segment { marker, data: &[], end: at });
        }
        let length = usize::from(be16(bytes, at)?);
        let data = bytes.get(at + 2..at.checked_add(length)?)?;
        at += length;
        Some(Segment { marker, data, end: at })
    })
}
