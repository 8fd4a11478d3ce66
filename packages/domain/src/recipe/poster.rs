//! Settings of an output of kind `poster`: one frame in full size that is sharp and not black.

use serde::{Deserialize, Serialize};

use super::{Span, invalid};
use crate::error::DomainError;

/// One frame in full size, chosen for sharpness, with a BlurHash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PosterRecipe {
    /// Position of the frame; absent for a choice among frames of the whole length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// Maximum width in pixels; absent for the source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The files to write.
    pub formats: Vec<StillFormat>,
}

impl Default for PosterRecipe {
    fn default() -> Self {
        PosterRecipe { at: None, width: None, formats: vec![StillFormat::Jpg, StillFormat::Webp] }
    }
}

/// Format of a still picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StillFormat {
    /// JPEG.
    Jpg,
    /// WebP.
    Webp,
}

impl StillFormat {
    /// The extension of its files, which is the name in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            StillFormat::Jpg => "jpg",
            StillFormat::Webp => "webp",
        }
    }
}

impl PosterRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        if self.width.is_some_and(|width| !(16..=8192).contains(&width)) {
            return Err(invalid("width is not between 16 and 8192"));
        }
        if self.formats.is_empty() {
            return Err(invalid("formats is empty; name at least one"));
        }
        if self.formats.iter().enumerate().any(|(at, format)| self.formats[..at].contains(format)) {
            return Err(invalid("formats names a format twice"));
        }
        Ok(())
    }
}
