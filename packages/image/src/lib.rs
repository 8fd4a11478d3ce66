//! Images: facts from their headers, and variants as WebP in sRGB without metadata.
//!
//! [`describe`] reads headers only and refuses images above [`Limits`]. [`variants`] decodes once,
//! and makes all variants: resized, in sRGB, turned as the source's orientation says. Only pixels
//! reach an encoder, so no output has EXIF, position, XMP or any other metadata of its source.
//!
//! JPEG, PNG, WebP and GIF are decoded in this process by decoders written in safe Rust. HEIC and AVIF are
//! decoded by `vipsthumbnail` as a sandboxed child ([`heif::convert`]), as their decoders are C and C++.

mod colour;
mod decode;
mod encode;
mod error;
mod facts;
mod header;
pub mod heif;
mod orientation;
mod resize;
mod summary;
mod variants;

pub use error::{ImageError, ImageErrorKind, Result};
pub use facts::{ImageFacts, ImageFormat, Limits, describe};
pub use orientation::Orientation;
pub use resize::{Fit, Variant};
pub use summary::{Colour, Summary};
pub use variants::{EncodedImage, ImageSet, Request, variants, variants_of_converted};
