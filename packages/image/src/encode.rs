//! Encoding as lossy WebP. The file has the pixels only: no EXIF, no XMP, no profile.

use crate::error::{ImageError, Result};

/// Encodes RGB or RGBA pixels in sRGB.
///
/// # Errors
/// An internal error.
pub fn webp(pixels: &[u8], size: (u32, u32), channels: usize, quality: u8) -> Result<Vec<u8>> {
    let failed = |why: String| ImageError::internal(format!("encoding WebP: {why}"));
    let mut config = webp::WebPConfig::new().map_err(|()| failed("no configuration".to_owned()))?;
    config.quality = f32::from(quality.min(100));
    let encoder = match channels {
        4 => webp::Encoder::from_rgba(pixels, size.0, size.1),
        _ => webp::Encoder::from_rgb(pixels, size.0, size.1),
    };
    let encoded = encoder.encode_advanced(&config).map_err(|e| failed(format!("{e:?}")))?;
    Ok(encoded.to_vec())
}
