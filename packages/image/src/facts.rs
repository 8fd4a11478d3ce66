//! What the headers of an image state, and the limits that are checked on it before decoding.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{ImageError, Result};
use crate::header;
use crate::orientation::Orientation;

/// Formats that are recognised, by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// JPEG.
    Jpeg,
    /// PNG, APNG among them.
    Png,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
    /// HEIC and other images in HEIF whose codec is not AV1.
    Heic,
    /// AVIF.
    Avif,
}

impl ImageFormat {
    /// The format of a file by its first bytes, of which 32 are enough; `None` for what is no image.
    pub fn from_magic(head: &[u8]) -> Option<ImageFormat> {
        if head.starts_with(&[0xff, 0xd8, 0xff]) {
            return Some(ImageFormat::Jpeg);
        }
        if head.starts_with(header::png::SIGNATURE) {
            return Some(ImageFormat::Png);
        }
        if head.starts_with(b"GIF87a") || head.starts_with(b"GIF89a") {
            return Some(ImageFormat::Gif);
        }
        if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            return Some(ImageFormat::Webp);
        }
        header::heif::format(head)
    }

    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            ImageFormat::Jpeg => "jpeg",
            ImageFormat::Png => "png",
            ImageFormat::Webp => "webp",
            ImageFormat::Gif => "gif",
            ImageFormat::Heic => "heic",
            ImageFormat::Avif => "avif",
        }
    }

    /// Whether [`heif::convert`](crate::heif::convert) has to decode it.
    pub fn needs_program(self) -> bool {
        matches!(self, ImageFormat::Heic | ImageFormat::Avif)
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Limits that an image must keep to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of pixels of the whole image and of one frame.
    pub pixels: u64,
    /// Maximum number of frames.
    pub frames: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pixels: 100_000_000, frames: 500 }
    }
}

impl Limits {
    /// Checks a size in pixels.
    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<()> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(ImageError::source("the image has a width or height of 0; export it again"));
        }
        if pixels > self.pixels {
            return Err(ImageError::source(format!(
                "the image has {width}x{height} pixels, {:.1} megapixels; the limit is {:.1}: \
                 raise max_megapixels in the recipe or use a smaller image",
                pixels as f64 / 1e6,
                self.pixels as f64 / 1e6
            )));
        }
        Ok(())
    }

    pub(crate) fn check_frames(&self, frames: u32) -> Result<()> {
        if frames > self.frames {
            return Err(ImageError::source(format!(
                "the image has more than {} frames; raise max_frames in the recipe or use a shorter animation",
                self.frames
            )));
        }
        Ok(())
    }
}

/// What the headers of an image state. No private metadata: neither position nor time nor device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Format.
    pub format: ImageFormat,
    /// Width in pixels as displayed, with the orientation applied.
    pub width: u32,
    /// Height in pixels as displayed.
    pub height: u32,
    /// Number of frames; 1 unless it is animated.
    pub frames: u32,
    /// Orientation of the stored pixels. 1 for HEIC and AVIF, whose decoder applies it.
    pub orientation: Orientation,
    /// Whether pixels may be transparent.
    pub has_alpha: bool,
    /// Whether it has a colour profile (ICC).
    pub has_profile: bool,
}

impl ImageFacts {
    /// Width and height of the stored pixels.
    pub(crate) fn stored_size(&self) -> (u32, u32) {
        self.orientation.turned((self.width, self.height))
    }
}

/// Reads the facts of an image from its headers; no pixel is decoded.
///
/// # Errors
/// Bytes that are no image of a supported format, a header that is damaged or cut off, or an image above `limits`.
pub fn describe(bytes: &[u8], limits: &Limits) -> Result<ImageFacts> {
    let Some(format) = ImageFormat::from_magic(bytes) else {
        return Err(ImageError::source(
            "the file is no image in JPEG, PNG, WebP, AVIF, GIF or HEIC; convert it to one of them",
        ));
    };
    let found = header::read(format, bytes, limits)?;
    limits.check_size(found.width, found.height)?;
    limits.check_frames(found.frames)?;
    let (width, height) = found.orientation.turned((found.width, found.height));
    Ok(ImageFacts {
        format,
        width,
        height,
        frames: found.frames,
        orientation: found.orientation,
        has_alpha: found.has_alpha,
        has_profile: found.has_profile,
    })
}
