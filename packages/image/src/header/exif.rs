//! EXIF: of all its tags only the orientation is read.

use super::{be16, be32, le16, le32};
use crate::orientation::Orientation;

/// Tag of the orientation.
const ORIENTATION: u16 = 0x0112;
/// Type of a number of two bytes.
const SHORT: u16 = 3;

/// Reads a number at a place.
type Read<T> = fn(&[u8], usize) -> Option<T>;

/// The orientation in a TIFF structure, with or without the prefix `Exif\0\0`; 1 where there is none.
pub fn orientation(exif: &[u8]) -> Orientation {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    find(tiff).unwrap_or_default()
}

fn find(tiff: &[u8]) -> Option<Orientation> {
    let (short, long): (Read<u16>, Read<u32>) = match tiff.get(..4)? {
        b"II*\0" => (le16, le32),
        b"MM\0*" => (be16, be32),
        _ => return None,
    };
    let directory = usize::try_from(long(tiff, 4)?).ok()?;
    let count = usize::from(short(tiff, directory)?);
    let entry =
        (0..count).map(|i| directory + 2 + i * 12).find(|at| short(tiff, *at) == Some(ORIENTATION))?;
    if short(tiff, entry + 2)? != SHORT {
        return None;
    }
    Some(Orientation::from_number(short(tiff, entry + 8)?))
}
