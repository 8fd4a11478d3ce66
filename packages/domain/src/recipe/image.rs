//! Settings of an output of kind `image`: an image source in several sizes as WebP.

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::DomainError;

/// Maximum width and height of a WebP file, pixels.
const MAX_SIDE: u32 = 16_383;

/// An image source in several sizes, without its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageRecipe {
    /// Quality of the files, 1 to 100.
    pub quality: u8,
    /// Maximum size of the source in millions of pixels, checked before it is decoded.
    pub max_megapixels: u32,
    /// Maximum number of frames of the source, checked before it is decoded.
    pub max_frames: u32,
    /// The files to write.
    pub variants: Vec<ImageVariant>,
}

/// One size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageVariant {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How the image fits.
    #[serde(default)]
    pub fit: ImageFit,
}

/// How an image fits into the size of a variant. Neither enlarges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFit {
    /// The whole image, within width and height.
    #[default]
    Inside,
    /// The middle of the image in the proportions of the variant.
    Cover,
}

impl Default for ImageRecipe {
    fn default() -> Self {
        let variant = |side, fit| ImageVariant { width: side, height: side, fit };
        ImageRecipe {
            quality: 80,
            max_megapixels: 100,
            max_frames: 500,
            variants: vec![
                variant(150, ImageFit::Cover),
                variant(600, ImageFit::Inside),
                variant(1200, ImageFit::Inside),
            ],
        }
    }
}

impl ImageVariant {
    /// The name of its file: `image-150.webp`, or `image-150x100.webp` where the sides differ.
    pub fn file_name(&self) -> String {
        if self.width == self.height {
            format!("image-{}.webp", self.width)
        } else {
            format!("image-{}x{}.webp", self.width, self.height)
        }
    }
}

impl ImageRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        if !(1..=100).contains(&self.quality) {
            return Err(invalid("quality is not between 1 and 100"));
        }
        if !(1..=1_000).contains(&self.max_megapixels) {
            return Err(invalid("max_megapixels is not between 1 and 1000"));
        }
        if !(1..=100_000).contains(&self.max_frames) {
            return Err(invalid("max_frames is not between 1 and 100000"));
        }
        if self.variants.is_empty() || self.variants.len() > 20 {
            return Err(invalid("variants does not name 1 to 20 sizes"));
        }
        for (at, variant) in self.variants.iter().enumerate() {
            let sides = [variant.width, variant.height];
            if sides.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
                return Err(invalid(format!("a variant's width or height is not between 1 and {MAX_SIDE}")));
            }
            if self.variants[..at].iter().any(|other| [other.width, other.height] == sides) {
                return Err(invalid(format!("variants names {}x{} twice", variant.width, variant.height)));
            }
        }
        Ok(())
    }
}
