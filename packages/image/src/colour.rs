//! Colours in sRGB: pixels with an ICC profile are converted.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::decode::Picture;
use crate::error::{ImageError, Result};

/// Converts a picture to sRGB; its profile is gone afterwards. A profile that cannot be used leaves the pixels
/// as they are, as in viewers, with a note.
///
/// # Errors
/// An internal error.
pub fn to_srgb(picture: &mut Picture) -> Result<()> {
    let Some(profile) = picture.profile.take() else { return Ok(()) };
    if let Err(why) = convert(picture, &profile)? {
        picture.notes.push(format!("the colour profile cannot be used ({why}); the image is taken for sRGB"));
    }
    Ok(())
}

/// Converts the pixels; the inner error is why the profile cannot be used.
fn convert(picture: &mut Picture, profile: &[u8]) -> Result<Result<(), String>> {
    let source = match ColorProfile::new_from_slice(profile) {
        Ok(source) => source,
        Err(e) => return Ok(Err(e.to_string())),
    };
    let own = if picture.channels == 4 { Layout::Rgba } else { Layout::Rgb };
    let (from, to) = match (source.color_space, picture.channels) {
        (DataColorSpace::Rgb, _) => (own, own),
        (DataColorSpace::Gray, 4) => (Layout::GrayAlpha, own),
        (DataColorSpace::Gray, _) => (Layout::Gray, own),
        (other, _) => return Ok(Err(format!("it is for {other:?}"))),
    };
    let transform =
        source.create_transform_8bit(from, &ColorProfile::new_srgb(), to, TransformOptions::default());
    let transform = match transform {
        Ok(transform) => transform,
        Err(e) => return Ok(Err(e.to_string())),
    };
    let channels = picture.channels;
    // of grey pixels all three colours are the same
    let pixels = match from {
        Layout::Gray => picture.pixels.chunks_exact(channels).map(|p| p[0]).collect(),
        Layout::GrayAlpha => picture.pixels.chunks_exact(channels).flat_map(|p| [p[0], p[3]]).collect(),
        _ => std::mem::take(&mut picture.pixels),
    };
    let mut converted = vec![0; picture.width as usize * picture.height as usize * channels];
    transform
        .transform(&pixels, &mut converted)
        .map_err(|e| ImageError::internal(format!("colours: {e}")))?;
    picture.pixels = converted;
    Ok(Ok(()))
}
