//! What a page shows before an image is loaded: BlurHash, mean colour, and the most frequent colours.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::decode::Picture;
use crate::error::{ImageError, Result};
use crate::orientation::Orientation;
use crate::resize::{Fit, resize};

/// Longer side of the picture that is summarised, pixels.
const SIDE: u32 = 64;
/// Components of the BlurHash along the longer side, and the shorter.
const COMPONENTS: (u32, u32) = (4, 3);
/// Number of colours.
const COLOURS: usize = 5;
/// Bits of a channel that colours of one group share.
const SHARED_BITS: u32 = 3;
/// Opacity from which a pixel counts.
const OPAQUE: u8 = 128;

/// A summary of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The BlurHash; transparent pixels are black in it.
    pub blurhash: String,
    /// The mean colour as `#rrggbb`; absent for an image that is transparent everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<String>,
    /// Up to five colours, the most frequent first.
    pub colours: Vec<Colour>,
}

/// A colour of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Colour {
    /// `#rrggbb` in sRGB.
    pub colour: String,
    /// Share of the pixels, 0 to 1.
    pub share: f64,
}

/// Summarises a picture in sRGB that is displayed in this orientation.
///
/// # Errors
/// An internal error.
pub fn summarise(picture: &Picture, orientation: Orientation) -> Result<Summary> {
    let longer = picture.width.max(picture.height);
    let side = |pixels: u32| {
        if longer <= SIDE {
            pixels
        } else {
            (u64::from(pixels) * u64::from(SIDE) / u64::from(longer)).max(1) as u32
        }
    };
    let small = resize(picture, (side(picture.width), side(picture.height)), Fit::Inside)?;
    let (width, height) = orientation.turned((small.width, small.height));
    let pixels = orientation.apply(small.pixels, (small.width, small.height), small.channels);
    let rgba: Vec<u8> = pixels
        .chunks_exact(small.channels)
        .flat_map(|p| match p.get(3) {
            Some(alpha) if *alpha < OPAQUE => [0, 0, 0, 0],
            _ => [p[0], p[1], p[2], 255],
        })
        .collect();
    let (long, short) = COMPONENTS;
    let (x, y) = if width >= height { (long, short) } else { (short, long) };
    let blurhash = blurhash::encode(x, y, width, height, &rgba)
        .map_err(|e| ImageError::internal(format!("the BlurHash: {e}")))?;
    let opaque: Vec<[u8; 3]> =
        rgba.chunks_exact(4).filter(|p| p[3] > 0).map(|p| [p[0], p[1], p[2]]).collect();
    Ok(Summary { blurhash, mean: mean(&opaque), colours: frequent(&opaque) })
}

fn mean(pixels: &[[u8; 3]]) -> Option<String> {
    if pixels.is_empty() {
        return None;
    }
    let channel = |at: usize| {
        let sum: u64 = pixels.iter().map(|p| u64::from(p[at])).sum();
        (sum + pixels.len() as u64 / 2) / pixels.len() as u64
    };
    Some(format!("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2)))
}

/// The most frequent groups of similar colours, each by its mean.
fn frequent(pixels: &[[u8; 3]]) -> Vec<Colour> {
    let mut groups = HashMap::<[u8; 3], Vec<[u8; 3]>>::new();
    for pixel in pixels {
        groups.entry(pixel.map(|value| value >> (8 - SHARED_BITS))).or_default().push(*pixel);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(key, members)| (std::cmp::Reverse(members.len()), *key));
    let colour = |members: &Vec<[u8; 3]>| {
        let share = members.len() as f64 / pixels.len() as f64;
        Some(Colour { colour: mean(members)?, share: (share * 1000.0).round() / 1000.0 })
    };
    groups.iter().take(COLOURS).filter_map(|(_, members)| colour(members)).collect()
}
