//! Headers of the formats. They read only what precedes or describes the pixels, never past the end of the
//! bytes, and allocate nothing that a header asks for.

pub mod exif;
pub mod gif;
pub mod heif;
pub mod jpeg;
pub mod png;
pub mod webp;

use crate::error::{ImageError, Result};
use crate::facts::{ImageFormat, Limits};
use crate::orientation::Orientation;

/// What a header states; sizes are of the stored pixels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of frames.
    pub frames: u32,
    /// Orientation.
    pub orientation: Orientation,
    /// Whether pixels may be transparent.
    pub has_alpha: bool,
    /// Whether it has a colour profile.
    pub has_profile: bool,
}

/// Reads the header of an image in this format.
pub fn read(format: ImageFormat, bytes: &[u8], limits: &Limits) -> Result<Header> {
    let found = match format {
        ImageFormat::Jpeg => jpeg::read(bytes),
        ImageFormat::Png => png::read(bytes),
        ImageFormat::Webp => webp::read(bytes, limits.frames),
        ImageFormat::Gif => return gif::read(bytes, limits),
        ImageFormat::Heic | ImageFormat::Avif => heif::read(bytes),
    };
    found.ok_or_else(|| cut_off(format))
}

/// A header that is cut off or damaged.
pub fn cut_off(format: ImageFormat) -> ImageError {
    ImageError::source(format!(
        "the header of the {format} is damaged or cut off; copy or export the file again"
    ))
}

/// A big-endian number of two bytes.
pub fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// A big-endian number of four bytes.
pub fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A little-endian number of two bytes.
pub fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// A little-endian number of three bytes.
pub fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    let found = bytes.get(at..at.checked_add(3)?)?;
    Some(u32::from_le_bytes([found[0], found[1], found[2], 0]))
}

/// A little-endian number of four bytes.
pub fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
