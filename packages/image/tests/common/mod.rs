//! Fixtures that the tests write themselves, and a reader of the results.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::Cursor;

use segue_image::{EncodedImage, Request, Variant};

/// A colour for each pixel.
pub type Painter<'a> = &'a dyn Fn(u32, u32) -> [u8; 3];

/// Pixels of a picture, row by row.
pub fn rgb(size: (u32, u32), paint: Painter<'_>) -> Vec<u8> {
    (0..size.1).flat_map(|y| (0..size.0).map(move |x| (x, y))).flat_map(|(x, y)| paint(x, y)).collect()
}

/// A JPEG of high quality; `segments` are pairs of a marker's number (APPn) and its data.
pub fn jpeg(size: (u32, u32), paint: Painter<'_>, segments: &[(u8, Vec<u8>)], progressive: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
    encoder.set_progressive(progressive);
    for (number, data) in segments {
        encoder.add_app_segment(*number, data.clone()).unwrap();
    }
    let (width, height) = (size.0 as u16, size.1 as u16);
    encoder.encode(&rgb(size, paint), width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

/// A segment with a whole colour profile.
pub fn profile_segment(profile: &[u8]) -> (u8, Vec<u8>) {
    (2, [b"ICC_PROFILE\0\x01\x01".as_slice(), profile].concat())
}

/// EXIF with an orientation, a maker's name and a position.
pub fn exif(orientation: u16, little: bool) -> Vec<u8> {
    let short = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let long = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let mut tiff = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
    tiff.extend(long(8));
    tiff.extend(short(3));
    // maker: 16 bytes of text behind the directory
    for (tag, kind, count, value) in
        [(0x010fu16, 2u16, 16u32, long(50)), (0x0112, 3, 1, [0; 4]), (0x8825, 4, 1, long(66))]
    {
        tiff.extend(short(tag));
        tiff.extend(short(kind));
        tiff.extend(long(count));
        if tag == 0x0112 {
            tiff.extend(short(orientation));
            tiff.extend([0; 2]);
        } else {
            tiff.extend(value);
        }
    }
    tiff.extend(long(0));
    assert_eq!(tiff.len(), 50);
    tiff.extend(b"PRIVATE-MAKER\0\0\0");
    // the directory of the position: latitude reference, and latitude as text
    tiff.extend(short(1));
    tiff.extend(short(1));
    tiff.extend(short(2));
    tiff.extend(long(16));
    tiff.extend(long(84));
    tiff.extend(long(0));
    tiff.extend(b"PRIVATE-POSITION");
    tiff
}

/// The same as a segment of a JPEG.
pub fn exif_segment(orientation: u16, little: bool) -> (u8, Vec<u8>) {
    (1, [b"Exif\0\0".to_vec(), exif(orientation, little)].concat())
}

/// A PNG with chunks of its own before the pixels.
pub fn png(size: (u32, u32), channels: usize, pixels: &[u8], chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(if channels == 4 { png::ColorType::Rgba } else { png::ColorType::Rgb });
    let mut writer = encoder.write_header().unwrap();
    for (kind, data) in chunks {
        writer.write_chunk(png::chunk::ChunkType(**kind), data).unwrap();
    }
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A PNG with a colour profile.
pub fn png_with_profile(size: (u32, u32), colour: png::ColorType, pixels: &[u8], profile: &[u8]) -> Vec<u8> {
    let mut info = png::Info::with_size(size.0, size.1);
    info.color_type = colour;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = Some(profile.to_vec().into());
    let mut bytes = Vec::new();
    let encoder = png::Encoder::with_info(&mut bytes, info).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A frame of a GIF: place, size, and the number of its colour; 0 is red, 1 green, 2 blue.
pub struct GifFrame {
    pub place: (u16, u16),
    pub size: (u16, u16),
    pub colour: u8,
}

/// A GIF with these frames.
pub fn gif(size: (u16, u16), frames: &[GifFrame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let colours = [255, 0, 0, 0, 255, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(&mut bytes, size.0, size.1, &colours).unwrap();
    for wanted in frames {
        let pixels = vec![wanted.colour; usize::from(wanted.size.0) * usize::from(wanted.size.1)];
        let (left, top) = wanted.place;
        let frame = gif::Frame {
            left,
            top,
            width: wanted.size.0,
            height: wanted.size.1,
            buffer: pixels.into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// A WebP file of chunks.
pub fn riff(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, data) in chunks {
        body.extend(*kind);
        body.extend((data.len() as u32).to_le_bytes());
        body.extend(data);
        body.extend(vec![0; data.len() & 1]);
    }
    [b"RIFF".to_vec(), (body.len() as u32).to_le_bytes().to_vec(), body].concat()
}

/// Kinds and data of the chunks of a WebP file.
pub fn chunks(webp: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 12;
    while at + 8 <= webp.len() {
        let length = u32::from_le_bytes(webp[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push((webp[at..at + 4].try_into().unwrap(), webp[at + 8..at + 8 + length].to_vec()));
        at += 8 + length + (length & 1);
    }
    found
}

/// The flags and size of an extended WebP.
pub fn extended(flags: u8, size: (u32, u32)) -> Vec<u8> {
    let mut data = vec![flags, 0, 0, 0];
    data.extend(&(size.0 - 1).to_le_bytes()[..3]);
    data.extend(&(size.1 - 1).to_le_bytes()[..3]);
    data
}

/// A decoded result.
pub struct Shown {
    pub size: (u32, u32),
    pub channels: usize,
    pub pixels: Vec<u8>,
}

impl Shown {
    pub fn new(encoded: &EncodedImage) -> Shown {
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(&encoded.bytes)).unwrap();
        let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
        decoder.read_image(&mut pixels).unwrap();
        assert_eq!(decoder.dimensions(), (encoded.width, encoded.height));
        let channels = if decoder.has_alpha() { 4 } else { 3 };
        Shown { size: decoder.dimensions(), channels, pixels }
    }

    pub fn at(&self, x: u32, y: u32) -> Vec<u8> {
        let at = (y * self.size.0 + x) as usize * self.channels;
        self.pixels[at..at + self.channels].to_vec()
    }

    /// Checks a pixel: WebP and JPEG change colours a little.
    #[track_caller]
    pub fn assert_at(&self, (x, y): (u32, u32), expected: &[u8], what: &str) {
        let found = self.at(x, y);
        let off = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(
            found.len() == expected.len() && off <= 8,
            "{what}: {found:?} is not {expected:?} at {x},{y}"
        );
    }
}

/// One variant, of the best quality.
pub fn request(variant: Variant) -> Request {
    Request { variants: vec![variant], quality: 100, ..Request::default() }
}

/// A colour of Display P3 in sRGB, by the matrices of the two spaces.
pub fn from_display_p3(colour: [u8; 3]) -> [u8; 3] {
    let light = colour.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    });
    let rows = [[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0982]];
    rows.map(|row: [f64; 3]| {
        let v: f64 = row.iter().zip(light).map(|(a, b)| a * b).sum();
        let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (v.clamp(0.0, 1.0) * 255.0).round() as u8
    })
}
