//! Settings of an output of kind `storyboard`: pictures at an interval, on sheets with an index.

use serde::{Deserialize, Serialize};

use super::{Span, invalid};
use crate::error::DomainError;

/// Maximum number of pictures of a storyboard.
pub const MAX_STORYBOARD_PICTURES: u64 = 10_000;

/// Maximum number of pictures where each is also a file.
pub const MAX_STORYBOARD_FILES: u64 = 1_000;

/// Interval of a storyboard whose recipe states none, milliseconds.
const USUAL_MS: u64 = 10_000;

/// Number of pictures below which a storyboard without a stated interval gets a shorter one.
const FEW: u64 = 20;

/// Number of pictures above which it gets a longer one.
const MANY: u64 = 1_000;

/// Shortest interval that is chosen, milliseconds.
const SHORTEST_MS: u64 = 500;

/// Pictures at an interval on sheets, with a WebVTT index; on request also as files, and a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoryboardRecipe {
    /// Time between two pictures; absent for 10 s, shorter in short videos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// Width of a picture on a sheet, pixels.
    pub width: u32,
    /// Pictures in a row of a sheet.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
    /// Whether each picture is also a file of its own.
    pub files: bool,
    /// Width of these files, pixels.
    pub files_width: u32,
    /// Animated preview; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<PreviewFormat>,
}

impl Default for StoryboardRecipe {
    fn default() -> Self {
        StoryboardRecipe {
            interval: None,
            width: 160,
            columns: 10,
            rows: 10,
            files: false,
            files_width: 320,
            preview: None,
        }
    }
}

/// Format of an animated preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewFormat {
    /// Animated WebP.
    Webp,
    /// H.264 in MP4, without sound.
    Mp4,
}

impl PreviewFormat {
    /// The extension of its file, which is the name in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            PreviewFormat::Webp => "webp",
            PreviewFormat::Mp4 => "mp4",
        }
    }
}

impl StoryboardRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        for (key, width, most) in [("width", self.width, 640), ("files_width", self.files_width, 1920)] {
            if !(16..=most).contains(&width) {
                return Err(invalid(format!("{key} is not between 16 and {most}")));
            }
        }
        for (key, count) in [("columns", self.columns), ("rows", self.rows)] {
            if !(1..=25).contains(&count) {
                return Err(invalid(format!("{key} is not between 1 and 25")));
            }
        }
        if self.width * self.columns > 8192 {
            return Err(invalid("a sheet of width times columns has more than 8192 pixels"));
        }
        if self.interval.is_some_and(|interval| interval.millis() < 100) {
            return Err(invalid("interval is below 100ms"));
        }
        Ok(())
    }

    /// Time between two pictures of a video of this length, milliseconds.
    ///
    /// # Errors
    /// A stated interval that makes more pictures than [`MAX_STORYBOARD_PICTURES`], or with `files`
    /// more than [`MAX_STORYBOARD_FILES`].
    pub fn interval_ms(&self, length_ms: u64) -> Result<u64, DomainError> {
        let Some(stated) = self.interval else {
            let least = length_ms.div_ceil(MANY).max(SHORTEST_MS);
            return Ok((length_ms / FEW).min(USUAL_MS).max(least));
        };
        let count = length_ms.div_ceil(stated.millis());
        let most = if self.files { MAX_STORYBOARD_FILES } else { MAX_STORYBOARD_PICTURES };
        if count > most {
            return Err(invalid(format!(
                "interval = \"{stated}\" makes {count} pictures of this source; the limit is {most}: use a longer one"
            )));
        }
        Ok(stated.millis())
    }
}
