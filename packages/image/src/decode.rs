//! Pixels of an image: 8 bits per channel, RGB or RGBA, as stored, with the colour profile.
//!
//! Every decoder checks its own idea of the size against the limit before it allocates: a file can be made such
//! that two readers of its header find different sizes.

use std::io::Cursor;
use std::num::NonZeroU64;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::{ImageError, Result};
use crate::facts::{ImageFormat, Limits};
use crate::header;

/// Bytes that a decoder may allocate per pixel: two copies of 16-bit RGBA.
const BYTES_PER_PIXEL: u64 = 16;
/// What a decoder may allocate in any case, for tables and profiles.
const SMALL: u64 = 64 << 20;

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes per pixel: 3 for RGB, 4 for RGBA (not premultiplied).
    pub channels: usize,
    /// The pixels, row by row.
    pub pixels: Vec<u8>,
    /// The ICC profile of the pixels; sRGB without one.
    pub profile: Option<Vec<u8>>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

impl Picture {
    /// A picture whose number of pixels is checked.
    fn checked(
        size: (u32, u32),
        channels: usize,
        pixels: Vec<u8>,
        profile: Option<Vec<u8>>,
    ) -> Result<Picture> {
        let (width, height) = size;
        if pixels.len() as u64 != u64::from(width) * u64::from(height) * channels as u64 {
            return Err(ImageError::internal(format!(
                "{} bytes for {width}x{height} pixels of {channels} bytes",
                pixels.len()
            )));
        }
        Ok(Picture { width, height, channels, pixels, profile, notes: Vec::new() })
    }
}

/// Decodes the first frame of an image that needs no program.
///
/// # Errors
/// An image that is damaged, cut off, or of a kind that its decoder does not support.
pub fn decode(format: ImageFormat, bytes: &[u8], limits: &Limits) -> Result<Picture> {
    match format {
        ImageFormat::Jpeg => jpeg(bytes, limits),
        ImageFormat::Png => png(bytes, limits),
        ImageFormat::Webp => webp(bytes, limits),
        ImageFormat::Gif => gif(bytes, limits),
        ImageFormat::Heic | ImageFormat::Avif => {
            Err(ImageError::internal(format!("{format} is not decoded in this process")))
        }
    }
}

fn damaged(format: ImageFormat, why: impl std::fmt::Display) -> ImageError {
    ImageError::source(format!("the {format} cannot be decoded: {why}; copy or export the file again"))
}

fn cut_off(format: ImageFormat) -> ImageError {
    damaged(format, "its end is missing")
}

fn allowance(limits: &Limits) -> u64 {
    limits.pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(SMALL)
}

fn jpeg(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let wrong = |why: &dyn std::fmt::Display| damaged(ImageFormat::Jpeg, why);
    // the decoder fills what is missing with grey
    if !header::jpeg::has_end(bytes) {
        return Err(cut_off(ImageFormat::Jpeg));
    }
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| wrong(&e))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| wrong(&"it has no size"))?;
    let size = (width as u32, height as u32);
    limits.check_size(size.0, size.1)?;
    let inks = matches!(decoder.input_colorspace(), Some(ColorSpace::CMYK | ColorSpace::YCCK));
    let pixels = decoder.decode().map_err(|e| wrong(&e))?;
    let profile = header::jpeg::profile(bytes).filter(|_| !inks);
    let mut picture = Picture::checked(size, 3, pixels, profile)?;
    if inks {
        picture
            .notes
            .push("the image is in CMYK; its colours are approximated without its profile".to_owned());
    }
    Ok(picture)
}

fn png(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let wrong = |why: &dyn std::fmt::Display| damaged(ImageFormat::Png, why);
    let bytes_limit = usize::try_from(allowance(limits)).unwrap_or(usize::MAX);
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: bytes_limit });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| wrong(&e))?;
    let size = (reader.info().width, reader.info().height);
    limits.check_size(size.0, size.1)?;
    let profile = reader.info().icc_profile.as_ref().map(|profile| profile.to_vec());
    let length = reader.output_buffer_size().ok_or_else(|| wrong(&"it is too large"))?;
    let mut pixels = vec![0; length];
    reader.next_frame(&mut pixels).map_err(|e| wrong(&e))?;
    let (colours, _) = reader.output_color_type();
    let (channels, pixels) = match colours {
        png::ColorType::Grayscale => (3, pixels.iter().flat_map(|v| [*v; 3]).collect()),
        png::ColorType::GrayscaleAlpha => {
            (4, pixels.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect())
        }
        png::ColorType::Rgb => (3, pixels),
        png::ColorType::Rgba => (4, pixels),
        png::ColorType::Indexed => return Err(ImageError::internal("a PNG with a palette was not expanded")),
    };
    Picture::checked(size, channels, pixels, profile)
}

fn webp(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let wrong = |why: &dyn std::fmt::Display| damaged(ImageFormat::Webp, why);
    if header::le32(bytes, 4).is_none_or(|length| u64::from(length) + 8 > bytes.len() as u64) {
        return Err(cut_off(ImageFormat::Webp));
    }
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(|e| wrong(&e))?;
    decoder.set_memory_limit(usize::try_from(allowance(limits)).unwrap_or(usize::MAX));
    let size = decoder.dimensions();
    limits.check_size(size.0, size.1)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let profile = decoder.icc_profile().map_err(|e| wrong(&e))?;
    let length = decoder.output_buffer_size().ok_or_else(|| wrong(&"it is too large"))?;
    let mut pixels = vec![0; length];
    decoder.read_image(&mut pixels).map_err(|e| wrong(&e))?;
    Picture::checked(size, channels, pixels, profile)
}

fn gif(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    let wrong = |why: &dyn std::fmt::Display| damaged(ImageFormat::Gif, why);
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    if let Some(bytes) = NonZeroU64::new(allowance(limits)) {
        options.set_memory_limit(gif::MemoryLimit::Bytes(bytes));
    }
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(|e| wrong(&e))?;
    let size = (u32::from(decoder.width()), u32::from(decoder.height()));
    limits.check_size(size.0, size.1)?;
    let info = decoder.next_frame_info().map_err(|e| wrong(&e))?.ok_or_else(|| wrong(&"it has no frame"))?;
    limits.check_size(u32::from(info.width), u32::from(info.height))?;
    let (left, top, width) = (usize::from(info.left), usize::from(info.top), usize::from(info.width));
    let mut frame = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut frame).map_err(|e| wrong(&e))?;
    // a frame may cover a part of the image, or reach past it
    let (wide, high) = (size.0 as usize, size.1 as usize);
    let mut pixels = vec![0; wide * high * 4];
    let visible = width.min(wide.saturating_sub(left));
    for (row, line) in frame.chunks_exact(width * 4).enumerate() {
        if top + row < high && visible > 0 {
            let at = ((top + row) * wide + left) * 4;
            pixels[at..at + visible * 4].copy_from_slice(&line[..visible * 4]);
        }
    }
    Picture::checked(size, 4, pixels, None)
}
