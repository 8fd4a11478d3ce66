//! The output `image`: an image source in several sizes as WebP, with a document.

use std::path::Path;

use segue_domain::recipe::{ImageFit, ImageRecipe, ImageVariant};
use segue_domain::{FileKind, TaskKind, Timebase};
use segue_image::{Colour, Fit, ImageFacts, ImageFormat, Limits, Request, Variant};
use segue_media::{Container, SourceFacts};
use segue_ports::{AssembleRequest, AssembledFile, EngineError};
use serde::{Deserialize, Serialize};

use super::{OutputRequest, Tasks, public_name, task};
use crate::media_plan::{MediaPlan, internal};
use crate::{errors, files, work};

/// Name of the document with sizes, BlurHash and colours.
const DOCUMENT: &str = "image.json";

/// Maximum size of an image file, bytes; it is read into memory.
pub const MAX_BYTES: u64 = 1 << 30;

/// First bytes that tell the format of an image.
const MAGIC: usize = 64;

/// Record of the image's task, for the assembly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// What the header of the source states.
    pub facts: ImageFacts,
    /// The BlurHash.
    pub blurhash: String,
    /// The mean colour; absent where all is transparent.
    pub mean: Option<String>,
    /// The most frequent colours.
    pub colours: Vec<Colour>,
    /// The files, in the order of the recipe.
    pub files: Vec<ImageFile>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Its name.
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Size in bytes.
    pub bytes: u64,
}

/// The format of a source that is an image, by its first bytes; `None` for any other source.
///
/// # Errors
/// A file that cannot be read.
pub fn format(path: &Path) -> Result<Option<ImageFormat>, EngineError> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| errors::io(path.display(), &e))?;
    file.take(MAGIC as u64).read_to_end(&mut head).map_err(|e| errors::io(path.display(), &e))?;
    Ok(ImageFormat::from_magic(&head))
}

/// The facts of an image that ffprobe is not asked for: no streams, so that outputs of other kinds have no files.
/// `None` for a source that is no image, and for GIF, which is a film too.
///
/// # Errors
/// A file that cannot be read.
pub fn facts(path: &Path) -> Result<Option<SourceFacts>, EngineError> {
    let Some(format) = format(path)?.filter(|format| *format != ImageFormat::Gif) else { return Ok(None) };
    let size = std::fs::metadata(path).map_err(|e| errors::io(path.display(), &e))?.len();
    Ok(Some(SourceFacts {
        size_bytes: size,
        format: format.as_str().to_owned(),
        container: Container::Other,
        start_time_us: 0,
        duration_us: None,
        streams: Vec::new(),
        chapters: 0,
        tags: std::collections::BTreeMap::new(),
        short_by_bytes: None,
        first_packets: std::collections::BTreeMap::new(),
    }))
}

/// Plans one task for an image; any other source gets none.
///
/// # Errors
/// An image above the limits of the recipe, or whose header is damaged.
pub fn plan(request: &OutputRequest<'_>, source: &Path, recipe: &ImageRecipe) -> Result<Tasks, EngineError> {
    if format(source)?.is_none() {
        return Ok(Tasks::none(request, "no image: the source is not an image"));
    }
    let found = segue_image::describe(&read(source)?, &limits(recipe)).map_err(errors::image)?;
    let pixels = u64::from(found.width) * u64::from(found.height);
    Ok(Tasks {
        media: MediaPlan::new(request.facts.clone(), None, None),
        timebase: Timebase::MICROS,
        segments: Vec::new(),
        tasks: vec![task(TaskKind::Image, None, work::image_ms(pixels))],
        files: Vec::new(),
        reason: None,
    })
}

/// The bytes of an image.
///
/// # Errors
/// A file that is too large, or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    let size = std::fs::metadata(path).map_err(|e| errors::io(path.display(), &e))?.len();
    if size > MAX_BYTES {
        return Err(super::source_error(&format!(
            "the image has {} MiB; the limit is {} MiB: use a smaller file",
            size >> 20,
            MAX_BYTES >> 20
        )));
    }
    std::fs::read(path).map_err(|e| errors::io(path.display(), &e))
}

/// The limits of a recipe.
pub fn limits(recipe: &ImageRecipe) -> Limits {
    Limits { pixels: u64::from(recipe.max_megapixels) * 1_000_000, frames: recipe.max_frames }
}

/// What a recipe asks for.
pub fn request_of(recipe: &ImageRecipe) -> Request {
    let variant = |variant: &ImageVariant| Variant {
        width: variant.width,
        height: variant.height,
        fit: match variant.fit {
            ImageFit::Inside => Fit::Inside,
            ImageFit::Cover => Fit::Cover,
        },
    };
    Request {
        variants: recipe.variants.iter().map(variant).collect(),
        quality: recipe.quality,
        limits: limits(recipe),
    }
}

/// The image's files and their document, with notes for the user.
///
/// # Errors
/// A part without the files of its record.
pub fn assemble(request: &AssembleRequest) -> Result<(Vec<AssembledFile>, Vec<String>), EngineError> {
    let part = request.parts.first().ok_or_else(|| internal("the image's task left no part"))?;
    let image: ImageRecord = serde_json::from_value(part.facts.clone())
        .map_err(|e| internal(format!("the record of the image cannot be read: {e}")))?;
    let mut published = Vec::new();
    for file in &image.files {
        let path = part.files.get(&file.name);
        let path = path.ok_or_else(|| internal(format!("the image's task left no {}", file.name)))?;
        let own = files::borrow(path, request.run.scratch.join(&file.name))?;
        let how = format!("{}x{} pixels in sRGB, without metadata", file.width, file.height);
        let name = public_name(&request.plan, &file.name);
        published.push(files::finished(&name, own, FileKind::Thumbnail, "image/webp", how)?);
    }
    published.push(document(request, &image)?);
    Ok((published, image.notes))
}

fn document(request: &AssembleRequest, image: &ImageRecord) -> Result<AssembledFile, EngineError> {
    let document = serde_json::json!({
        "version": 1,
        "format": image.facts.format,
        "width": image.facts.width,
        "height": image.facts.height,
        "frames": image.facts.frames,
        "has_alpha": image.facts.has_alpha,
        "blurhash": image.blurhash,
        "mean": image.mean,
        "colours": image.colours,
        "files": image.files,
    });
    let text = serde_json::to_string_pretty(&document).map_err(|e| internal(e.to_string()))? + "\n";
    let path = request.run.scratch.join(DOCUMENT);
    std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
    let name = public_name(&request.plan, DOCUMENT);
    let how = "size, BlurHash and colours of the image, and the sizes of its files";
    files::finished(&name, path, FileKind::Description, "application/json", how)
}
