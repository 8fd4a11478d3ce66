//! HEIC and AVIF: `vipsthumbnail` of libvips decodes them, as a sandboxed child.
//!
//! It applies the container's rotation and scales to the largest variant. The result is a PNG with the source's
//! colour profile, from which the variants are made as from any other image. Its own conversion to sRGB is not
//! used: version 8.14 changes the colours of an image that has no profile.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use segue_process::{Invocation, Limits, ProcessErrorKind};

use crate::error::{ImageError, ImageErrorKind, Result};
use crate::facts::ImageFacts;
use crate::resize::Variant;

/// The program, found on the `PATH`.
pub const PROGRAM: &str = "vipsthumbnail";

/// Name of the link to the source. What vips reads as options of a loader, such as `[page=1]`, must not be in a
/// file's name.
const SOURCE: &str = "source";
/// Name of the converted image.
const CONVERTED: &str = "converted.png";
/// Address space of the child, bytes; a picture of 100 megapixels takes 1.5 GB.
const MEMORY: u64 = 6 << 30;

/// Decodes `source` and writes a PNG into `folder`, large enough for every variant and never larger than the
/// image; returns its path.
///
/// # Errors
/// An image that is damaged or of an unsupported kind, or a machine without the program.
pub async fn convert(
    program: &Path,
    source: &Path,
    facts: &ImageFacts,
    variants: &[Variant],
    folder: &Path,
    limits: &Limits,
) -> Result<PathBuf> {
    let source = std::path::absolute(source).map_err(|e| ImageError::io(source.display(), &e))?;
    let link = folder.join(SOURCE);
    std::os::unix::fs::symlink(&source, &link).map_err(|e| ImageError::io(link.display(), &e))?;
    let call = Invocation::new(format!("decoding the {}", facts.format), program, arguments(facts, variants));
    let mut call = call.reading(source).writing(folder).with_memory(MEMORY).with_file_size(file_size(facts));
    call.dir = Some(folder.to_owned());
    // large images are buffered in temporary files; loaders that were never fuzzed stay off
    call.envs.push(("TMPDIR".to_owned(), folder.into()));
    call.envs.push(("VIPS_BLOCK_UNTRUSTED".to_owned(), "1".into()));
    let ended = segue_process::run(&call, limits, |_| segue_process::Heard::Progress).await;
    std::fs::remove_file(&link).map_err(|e| ImageError::io(link.display(), &e))?;
    ended.map_err(|error| explained(&ImageError::process(&error), error.kind(), program, facts))?;
    let converted = folder.join(CONVERTED);
    // it exits with 0 when it could not read the image
    if std::fs::metadata(&converted).map_or(0, |made| made.len()) == 0 {
        return Err(ImageError::source(format!(
            "the {} cannot be decoded; export it again, or as JPEG",
            facts.format
        )));
    }
    Ok(converted)
}

/// Adds what the program is needed for to the error of a machine that lacks it.
fn explained(error: &ImageError, kind: ProcessErrorKind, program: &Path, facts: &ImageFacts) -> ImageError {
    if kind == ProcessErrorKind::Environment && !error.is_retryable() && error.stderr_tail().is_empty() {
        return error.with_message(format!(
            "{error} ({} is needed for {}; Debian's package is libvips-tools)",
            program.display(),
            facts.format
        ));
    }
    if error.kind() == ImageErrorKind::Source {
        return error.with_message(format!("{error}; export it again, or as JPEG"));
    }
    error.clone()
}

/// The arguments; file names are relative to the folder.
fn arguments(facts: &ImageFacts, variants: &[Variant]) -> Vec<OsString> {
    let size = (facts.width, facts.height);
    let scale = variants.iter().map(|variant| variant.scale(size)).fold(0.0, f64::max);
    let side = |pixels: u32| (f64::from(pixels) * scale).ceil().max(1.0) as u32;
    vec![
        "--size".into(),
        format!("{}x{}>", side(size.0), side(size.1)).into(),
        "--output".into(),
        format!("{CONVERTED}[compression=1]").into(),
        SOURCE.into(),
    ]
}

/// Bytes that a converted image can have: 16 bits for each of four channels, hardly compressed.
fn file_size(facts: &ImageFacts) -> u64 {
    (u64::from(facts.width) * u64::from(facts.height)).saturating_mul(9).saturating_add(16 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fit, ImageFormat, Orientation};

    #[test]
    fn the_child_scales_to_what_the_largest_variant_needs() {
        let facts = ImageFacts {
            format: ImageFormat::Heic,
            width: 4032,
            height: 3024,
            frames: 1,
            orientation: Orientation::default(),
            has_alpha: false,
            has_profile: true,
        };
        let of = |width, height, fit| {
            let words = arguments(&facts, &[Variant { width, height, fit }]);
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            of(1200, 1200, Fit::Inside),
            "--size 1200x900> --output converted.png[compression=1] source"
        );
        assert!(of(150, 150, Fit::Cover).starts_with("--size 200x150> "));
        assert!(of(9000, 9000, Fit::Inside).starts_with("--size 4032x3024> "));
    }
}
