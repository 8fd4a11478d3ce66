//! From the bytes of an image to its variants: decode once, resize, convert the colours, turn, encode.

use crate::colour::to_srgb;
use crate::decode::{Picture, decode};
use crate::encode;
use crate::error::{ImageError, Result};
use crate::facts::{ImageFacts, ImageFormat, Limits, describe};
use crate::orientation::Orientation;
use crate::resize::{Fit, Variant, resize};
use crate::summary::{Summary, summarise};

/// What to make of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The variants.
    pub variants: Vec<Variant>,
    /// Quality of the WebP files, 0 to 100.
    pub quality: u8,
    /// Limits of the image.
    pub limits: Limits,
}

impl Default for Request {
    /// 150x150 cropped, and the whole image within 600x600 and within 1200x1200.
    fn default() -> Self {
        let variant = |side, fit| Variant { width: side, height: side, fit };
        let variants = vec![variant(150, Fit::Cover), variant(600, Fit::Inside), variant(1200, Fit::Inside)];
        Request { variants, quality: 80, limits: Limits::default() }
    }
}

/// A variant as a WebP file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedImage {
    /// The requested variant.
    pub variant: Variant,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The file.
    pub bytes: Vec<u8>,
}

/// The variants of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSet {
    /// What the header states.
    pub facts: ImageFacts,
    /// BlurHash and colours.
    pub summary: Summary,
    /// The variants in the order of the request.
    pub files: Vec<EncodedImage>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// Makes the variants of an image in JPEG, PNG, WebP or GIF; of an animated one those of its first frame.
///
/// # Errors
/// An image above the limits, damaged or cut off; HEIC and AVIF, which need [`crate::heif::convert`].
pub fn variants(bytes: &[u8], request: &Request) -> Result<ImageSet> {
    let facts = describe(bytes, &request.limits)?;
    let picture = decode(facts.format, bytes, &request.limits)?;
    if (picture.width, picture.height) != facts.stored_size() {
        return Err(ImageError::source(format!(
            "the header of the {} states {:?} pixels and it has {:?}; export the file again",
            facts.format,
            facts.stored_size(),
            (picture.width, picture.height)
        )));
    }
    make(facts, picture, request)
}

/// Makes the variants from the PNG that [`crate::heif::convert`] made of an image with these facts.
///
/// # Errors
/// As [`variants`].
pub fn variants_of_converted(png: &[u8], facts: &ImageFacts, request: &Request) -> Result<ImageSet> {
    let picture = decode(ImageFormat::Png, png, &request.limits)?;
    let proportions = |width: u32, height: u32| f64::from(width) / f64::from(height);
    let (stated, found) =
        (proportions(facts.width, facts.height), proportions(picture.width, picture.height));
    // a side of the converted picture is rounded, by up to one pixel
    let rounding = 1.0 + 1.0 / f64::from(picture.width.min(picture.height));
    if stated / found > rounding * 1.02 || found / stated > rounding * 1.02 {
        return Err(ImageError::source(format!(
            "the header of the {} states {}x{} pixels, and its pixels have other proportions; export the file again",
            facts.format, facts.width, facts.height
        )));
    }
    make(ImageFacts { orientation: Orientation::default(), ..facts.clone() }, picture, request)
}

fn make(facts: ImageFacts, source: Picture, request: &Request) -> Result<ImageSet> {
    let mut notes = source.notes.clone();
    if facts.frames > 1 {
        notes.push(format!("the image is animated: the first of its {} frames is used", facts.frames));
    }
    let (shown, orientation) = ((facts.width, facts.height), facts.orientation);
    let scales = || request.variants.iter().map(|variant| variant.scale(shown));
    let largest = scales().fold(0.0, f64::max);
    let side = |pixels: u32| (f64::from(pixels) * largest).round().max(1.0) as u32;
    let stored = facts.stored_size();
    // the whole image in the size of the largest variant
    let mut base = resize(&source, (side(stored.0), side(stored.1)), Fit::Inside)?;
    to_srgb(&mut base)?;
    let mut files = Vec::new();
    for (variant, scale) in request.variants.iter().zip(scales()) {
        let size = variant.size(shown);
        let stored = orientation.turned(size);
        // less than half of the base is made from the base; in between, resizing twice would blur it
        let resized = if scale == largest || scale * 2.0 <= largest {
            resize(&base, stored, variant.fit)?
        } else {
            let mut resized = resize(&source, stored, variant.fit)?;
            to_srgb(&mut resized)?;
            resized
        };
        let pixels = orientation.apply(resized.pixels, stored, resized.channels);
        let bytes = encode::webp(&pixels, size, resized.channels, request.quality)?;
        files.push(EncodedImage { variant: *variant, width: size.0, height: size.1, bytes });
    }
    let summary = summarise(&base, orientation)?;
    notes.extend(base.notes);
    Ok(ImageSet { facts, summary, files, notes })
}
