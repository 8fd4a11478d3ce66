//! The recipe: what is wanted from a source.
//!
//! A versioned document in TOML or YAML. An unknown key is an error that names the key;
//! a missing one has the default written here. The reference in the README is made from
//! these files by hand and held to them by a test.

mod map;
mod span;
#[cfg(test)]
mod tests;
mod transcript;
mod unused;
mod video;

use serde::{Deserialize, Serialize};

use crate::error::DomainError;

pub use map::{MapRecipe, default_map_attempts, default_map_timeout};
pub use span::Span;
pub use transcript::{TranscriptFormat, TranscriptRecipe, WithoutSound};
pub use video::{Container, EncodeRecipe, SoundCodec, SoundRecipe, VideoCodec, VideoMode, VideoRecipe};

/// Newest recipe this build reads.
pub const RECIPE_VERSION: u32 = 1;

/// Names of the built-in recipes.
pub const BUILT_IN: [&str; 4] = ["standard", "transcript", "rejoin", "mp4"];

/// What is wanted from a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Document version, [`RECIPE_VERSION`].
    pub version: u32,
    /// Name, for people.
    pub name: String,
    /// Length of a segment; the real ones begin at the next keyframe.
    #[serde(default = "default_segment_duration")]
    pub segment_duration: Span,
    /// The transcript; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<TranscriptRecipe>,
    /// The joined video; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoRecipe>,
    /// The still picture; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<ThumbnailRecipe>,
    /// The user's own program on every segment; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<MapRecipe>,
}

/// The still picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThumbnailRecipe {
    /// Where to look for it; absent for a tenth of the length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// Largest width in pixels.
    pub width: u32,
}

impl Default for ThumbnailRecipe {
    fn default() -> Self {
        ThumbnailRecipe { at: None, width: 1280 }
    }
}

fn default_segment_duration() -> Span {
    Span::from_millis(300_000)
}

impl Recipe {
    /// The built-in recipe of that name.
    pub fn built_in(name: &str) -> Option<Recipe> {
        let mut recipe = Recipe {
            version: RECIPE_VERSION,
            name: name.to_owned(),
            segment_duration: default_segment_duration(),
            transcript: None,
            video: None,
            thumbnail: None,
            map: None,
        };
        match name {
            "transcript" => recipe.transcript = Some(TranscriptRecipe::default()),
            "rejoin" => recipe.video = Some(VideoRecipe::default()),
            "mp4" => {
                let encode = EncodeRecipe { pixel_format: Some("yuv420p".into()), ..EncodeRecipe::default() };
                let sound = SoundRecipe { codec: SoundCodec::Aac, ..SoundRecipe::default() };
                recipe.video = Some(VideoRecipe {
                    mode: VideoMode::Encode,
                    container: Container::Mp4,
                    encode,
                    sound,
                    ..VideoRecipe::default()
                });
            }
            "standard" => {
                recipe.transcript = Some(TranscriptRecipe::default());
                recipe.video = Some(VideoRecipe { subtitles: true, ..VideoRecipe::default() });
                recipe.thumbnail = Some(ThumbnailRecipe::default());
            }
            _ => return None,
        }
        Some(recipe)
    }

    /// Reads a recipe document in TOML.
    ///
    /// # Errors
    /// A newer version, an unknown key (named), or a value that makes no sense.
    pub fn from_toml(text: &str) -> Result<Recipe, DomainError> {
        let said =
            |e: toml::de::Error| DomainError::Document { document: "recipe", why: one_line(&e.to_string()) };
        let value: toml::Table = text.parse().map_err(said)?;
        check_version(value.get("version").and_then(toml::Value::as_integer))?;
        let recipe: Recipe = toml::from_str(text).map_err(said)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Reads a recipe document in YAML.
    ///
    /// # Errors
    /// As [`Recipe::from_toml`].
    pub fn from_yaml(text: &str) -> Result<Recipe, DomainError> {
        let said = |e: serde_yaml_ng::Error| DomainError::Document {
            document: "recipe",
            why: one_line(&e.to_string()),
        };
        let value: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).map_err(said)?;
        check_version(value.get("version").and_then(serde_yaml_ng::Value::as_i64))?;
        let recipe: Recipe = serde_yaml_ng::from_str(text).map_err(said)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The document in TOML, every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe is a table of plain values")
    }

    /// Whether what it asks for makes sense together.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), DomainError> {
        if self.transcript.is_none() && self.video.is_none() && self.thumbnail.is_none() {
            return Err(invalid("it asks for nothing; give it a [transcript], a [video] or a [thumbnail]"));
        }
        if let Some(transcript) = &self.transcript {
            transcript.check()?;
        }
        if let Some(video) = &self.video {
            video.check()?;
        }
        if self.thumbnail.as_ref().is_some_and(|t| !(16..=8192).contains(&t.width)) {
            return Err(invalid("thumbnail.width is not between 16 and 8192"));
        }
        let Some(map) = &self.map else { return Ok(()) };
        map.check()?;
        match &self.video {
            None => Err(invalid("[map] needs a [video] to join its results into")),
            Some(video) if video.mode == VideoMode::Encode => {
                Err(invalid("[map] takes the place of video.mode = \"encode\"; let the command encode"))
            }
            Some(_) => Ok(()),
        }
    }
}

fn invalid(why: impl Into<String>) -> DomainError {
    DomainError::Invalid { document: "recipe", why: why.into() }
}

fn check_version(version: Option<i64>) -> Result<(), DomainError> {
    match version {
        Some(v) if (1..=i64::from(RECIPE_VERSION)).contains(&v) => Ok(()),
        Some(v) => {
            let found = u32::try_from(v).unwrap_or(u32::MAX);
            Err(DomainError::Version { document: "recipe", found, newest: RECIPE_VERSION })
        }
        None => Err(invalid("it needs version = 1")),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
