//! Variants: their sizes, and the resizing to them.
//!
//! Pixels are resized as they are encoded, not in linear light: as in vips, ImageMagick and browsers by default.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use crate::decode::Picture;
use crate::error::{ImageError, Result};

/// How an image fits into the size of a variant. Neither enlarges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The whole image, within width and height.
    Inside,
    /// The middle of the image in exactly the proportions of the variant; smaller than the variant where the image
    /// is.
    Cover,
}

/// A variant to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How the image fits into it.
    pub fit: Fit,
}

impl Variant {
    /// The factor by which an image of this size is scaled, at most 1.
    pub(crate) fn scale(&self, size: (u32, u32)) -> f64 {
        let wide = f64::from(self.width) / f64::from(size.0);
        let high = f64::from(self.height) / f64::from(size.1);
        let scale = if self.fit == Fit::Inside { wide.min(high) } else { wide.max(high) };
        scale.min(1.0)
    }

    /// The size of this variant of an image of this size, at least one pixel each way.
    pub(crate) fn size(&self, size: (u32, u32)) -> (u32, u32) {
        let (width, height) = (f64::from(size.0), f64::from(size.1));
        let scale = self.scale(size);
        let whole = |side: f64| side.round().max(1.0) as u32;
        match self.fit {
            Fit::Inside => (whole(width * scale), whole(height * scale)),
            Fit::Cover => {
                // of an image smaller than the variant, the largest part with the variant's proportions
                let full = (f64::from(self.width) / width).max(f64::from(self.height) / height).max(1.0);
                (whole(f64::from(self.width) / full), whole(f64::from(self.height) / full))
            }
        }
    }
}

/// A picture in another size: the whole of it (`Inside`), or its middle in the proportions of `to` (`Cover`).
///
/// # Errors
/// An internal error.
pub fn resize(picture: &Picture, to: (u32, u32), fit: Fit) -> Result<Picture> {
    if (picture.width, picture.height) == to {
        return Ok(picture.clone());
    }
    let failed = |e: &dyn std::fmt::Display| ImageError::internal(format!("resizing: {e}"));
    let kind = if picture.channels == 4 { PixelType::U8x4 } else { PixelType::U8x3 };
    let source =
        ImageRef::new(picture.width, picture.height, &picture.pixels, kind).map_err(|e| failed(&e))?;
    let mut resized = Image::new(to.0, to.1, kind);
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    if fit == Fit::Cover {
        let (width, height) = (f64::from(picture.width), f64::from(picture.height));
        let factor = (width / f64::from(to.0)).min(height / f64::from(to.1));
        let (wide, high) = (f64::from(to.0) * factor, f64::from(to.1) * factor);
        options =
            options.crop((width - wide) / 2.0, (height - high) / 2.0, wide.min(width), high.min(height));
    }
    Resizer::new().resize(&source, &mut resized, &options).map_err(|e| failed(&e))?;
    Ok(Picture {
        width: to.0,
        height: to.1,
        channels: picture.channels,
        pixels: resized.into_vec(),
        profile: picture.profile.clone(),
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_proportions_and_never_grow() {
        let inside = |width, height| Variant { width, height, fit: Fit::Inside };
        let cover = |width, height| Variant { width, height, fit: Fit::Cover };
        for (variant, source, expected) in [
            (inside(1200, 1200), (4000, 3000), (1200, 900)),
            (inside(1200, 1200), (3000, 4000), (900, 1200)),
            (inside(600, 600), (601, 599), (600, 598)),
            (inside(600, 600), (500, 400), (500, 400)),
            (inside(600, 600), (4000, 3), (600, 1)),
            (inside(600, 300), (1, 9000), (1, 300)),
            (inside(600, 600), (1, 1), (1, 1)),
            (cover(150, 150), (4000, 3000), (150, 150)),
            (cover(150, 150), (151, 9000), (150, 150)),
            (cover(150, 100), (100, 80), (100, 67)),
            (cover(150, 150), (80, 4000), (80, 80)),
            (cover(150, 150), (1, 1), (1, 1)),
            (cover(150, 150), (4000, 1), (1, 1)),
        ] {
            assert_eq!(variant.size(source), expected, "{variant:?} of {source:?}");
        }
    }
}
