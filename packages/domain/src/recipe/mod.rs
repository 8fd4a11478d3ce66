//! The recipe: the outputs to make from a source.
//!
//! A versioned document in TOML or YAML. An unknown key is an error that names the key; a missing one
//! has the default defined here. A test checks the reference in the README against these files.

mod audio;
mod image;
mod map;
mod output;
mod poster;
mod span;
mod storyboard;
mod stream;
#[cfg(test)]
mod tests;
mod transcript;
mod unused;
mod v1;
mod video;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::DomainError;
use crate::id::OutputId;
use crate::job::JobRecord;
use crate::output::{Need, NewOutput};

pub use audio::{AudioFormat, AudioRates, AudioRecipe, EBU_R128_LUFS, MP3_KBPS, Normalize};
pub use image::{ImageFit, ImageRecipe, ImageVariant};
pub use map::{MapRecipe, default_map_attempts, default_map_timeout};
pub use output::{OutputMake, OutputSpec};
pub use poster::{PosterRecipe, StillFormat};
pub use span::Span;
pub use storyboard::{MAX_STORYBOARD_FILES, MAX_STORYBOARD_PICTURES, PreviewFormat, StoryboardRecipe};
pub use stream::{ProgressiveRecipe, StreamRecipe};
pub use transcript::{TranscriptFormat, TranscriptRecipe, WithoutSound};
pub use video::{Container, EncodeRecipe, SoundCodec, SoundRecipe, VideoCodec, VideoMode, VideoRecipe};

/// Newest recipe format that this build reads, and the one it writes. Format 1 is read and converted.
pub const RECIPE_VERSION: u32 = 2;

/// Names of the built-in recipes.
pub const BUILT_IN: [&str; 5] = ["standard", "transcript", "rejoin", "mp4", "stream"];

/// The outputs to make from a source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Document version, [`RECIPE_VERSION`].
    pub version: u32,
    /// Name, for display.
    pub name: String,
    /// Length of a segment; actual segments start at the next keyframe.
    #[serde(default = "default_segment_duration")]
    pub segment_duration: Span,
    /// The outputs by name.
    pub outputs: BTreeMap<OutputId, OutputSpec>,
}

/// The thumbnail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThumbnailRecipe {
    /// Position of the frame; absent for a tenth of the duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Span>,
    /// Maximum width in pixels.
    pub width: u32,
}

impl Default for ThumbnailRecipe {
    fn default() -> Self {
        ThumbnailRecipe { at: None, width: 1280 }
    }
}

impl ThumbnailRecipe {
    fn check(&self) -> Result<(), DomainError> {
        if (16..=8192).contains(&self.width) {
            Ok(())
        } else {
            Err(invalid("width is not between 16 and 8192"))
        }
    }
}

fn default_segment_duration() -> Span {
    Span::from_millis(300_000)
}

pub(crate) fn output_id(name: &str) -> OutputId {
    name.parse().expect("a plain name")
}

impl Recipe {
    /// Finds a built-in recipe by name.
    pub fn built_in(name: &str) -> Option<Recipe> {
        let transcript = || OutputSpec::new(OutputMake::Transcript(TranscriptRecipe::default()));
        let video = |video| OutputSpec::new(OutputMake::Video(video));
        let outputs = match name {
            "transcript" => vec![("transcript", transcript())],
            "rejoin" => vec![("video", video(VideoRecipe::default()))],
            "mp4" => {
                let encode = EncodeRecipe { pixel_format: Some("yuv420p".into()), ..EncodeRecipe::default() };
                let sound = SoundRecipe { codec: SoundCodec::Aac, ..SoundRecipe::default() };
                let recipe = VideoRecipe {
                    mode: VideoMode::Encode,
                    container: Container::Mp4,
                    encode,
                    sound,
                    ..VideoRecipe::default()
                };
                vec![("video", video(recipe))]
            }
            "standard" => {
                let joined = VideoRecipe { subtitles: true, ..VideoRecipe::default() };
                let joined = OutputSpec { needs: vec![output_id("transcript")], ..video(joined) };
                let thumbnail = OutputSpec::new(OutputMake::Thumbnail(ThumbnailRecipe::default()));
                vec![("transcript", transcript()), ("video", joined), ("thumbnail", thumbnail)]
            }
            "stream" => {
                let stream = StreamRecipe { subtitles: true, ..StreamRecipe::default() };
                let stream = OutputSpec::new(OutputMake::Stream(stream));
                let stream = OutputSpec { needs: vec![output_id("transcript")], priority: 1, ..stream };
                let progressive = OutputSpec::new(OutputMake::Progressive(ProgressiveRecipe::default()));
                let progressive = OutputSpec { needs: vec![output_id("stream")], ..progressive };
                vec![
                    ("transcript", transcript()),
                    ("stream", stream),
                    ("progressive", progressive),
                    ("poster", OutputSpec::new(OutputMake::Poster(PosterRecipe::default()))),
                    ("storyboard", OutputSpec::new(OutputMake::Storyboard(StoryboardRecipe::default()))),
                ]
            }
            _ => return None,
        };
        Some(Recipe {
            version: RECIPE_VERSION,
            name: name.to_owned(),
            segment_duration: default_segment_duration(),
            outputs: outputs.into_iter().map(|(name, spec)| (output_id(name), spec)).collect(),
        })
    }

    /// Parses a recipe document in TOML.
    ///
    /// # Errors
    /// A newer version, an unknown key (named), or an invalid value.
    pub fn from_toml(text: &str) -> Result<Recipe, DomainError> {
        Recipe::checked(Recipe::additions_from_toml(text)?)
    }

    /// Parses a recipe document in TOML whose outputs are added to a job, and may need outputs of that job. Its
    /// outputs are not validated.
    ///
    /// # Errors
    /// A newer version, an unknown key (named), or a value of another type.
    pub fn additions_from_toml(text: &str) -> Result<Recipe, DomainError> {
        let document = |e: toml::de::Error| unreadable(&e.to_string());
        let value: toml::Table = text.parse().map_err(document)?;
        match check_version(value.get("version").and_then(toml::Value::as_integer))? {
            1 => toml::from_str::<v1::RecipeV1>(text).map_err(document)?.try_into(),
            _ => toml::from_str(text).map_err(document),
        }
    }

    /// Parses a recipe document in YAML.
    ///
    /// # Errors
    /// As [`Recipe::from_toml`].
    pub fn from_yaml(text: &str) -> Result<Recipe, DomainError> {
        Recipe::checked(Recipe::additions_from_yaml(text)?)
    }

    /// Parses a recipe document in YAML whose outputs are added to a job.
    ///
    /// # Errors
    /// As [`Recipe::additions_from_toml`].
    pub fn additions_from_yaml(text: &str) -> Result<Recipe, DomainError> {
        let document = |e: serde_yaml_ng::Error| unreadable(&e.to_string());
        let value: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).map_err(document)?;
        match check_version(value.get("version").and_then(serde_yaml_ng::Value::as_i64))? {
            1 => serde_yaml_ng::from_str::<v1::RecipeV1>(text).map_err(document)?.try_into(),
            _ => serde_yaml_ng::from_str(text).map_err(document),
        }
    }

    /// Parses a recipe document in JSON, as stored in jobs. The version is read before anything else.
    ///
    /// # Errors
    /// As [`Recipe::from_toml`].
    pub fn from_json(text: &str) -> Result<Recipe, DomainError> {
        let document = |e: serde_json::Error| unreadable(&e.to_string());
        let value: Value = serde_json::from_str(text).map_err(document)?;
        let recipe = match check_version(value.get("version").and_then(Value::as_i64))? {
            1 => serde_json::from_value::<v1::RecipeV1>(value).map_err(document)?.try_into()?,
            _ => serde_json::from_value(value).map_err(document)?,
        };
        Recipe::checked(recipe)
    }

    /// The document in TOML, with every default.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe is a table of plain values")
    }

    /// The document in JSON, as stored in jobs.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a recipe has no key that is not a string")
    }

    fn checked(recipe: Recipe) -> Result<Recipe, DomainError> {
        recipe.check()?;
        Ok(recipe)
    }

    /// Validates its outputs, each and together.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn check(&self) -> Result<(), DomainError> {
        if self.outputs.is_empty() {
            return Err(invalid("it has no outputs; add one"));
        }
        if !self.outputs.values().any(|spec| spec.required) {
            return Err(invalid("no output is required; at least one has to be"));
        }
        // names and needs first: what an output requires of its needs depends on them
        let outputs = self.new_outputs();
        JobRecord::check_outputs(outputs.iter()).map_err(|e| invalid(e.to_string()))?;
        for (name, spec) in &self.outputs {
            self.check_output(name, spec).map_err(|e| in_output(name, e))?;
        }
        Ok(())
    }

    fn check_output(&self, name: &OutputId, spec: &OutputSpec) -> Result<(), DomainError> {
        if name.as_str().len() > 40 {
            return Err(invalid("its name has more than 40 characters"));
        }
        match &spec.make {
            OutputMake::Transcript(transcript) => transcript.check(),
            OutputMake::Thumbnail(thumbnail) => thumbnail.check(),
            OutputMake::Audio(audio) => audio.check(),
            OutputMake::Poster(poster) => poster.check(),
            OutputMake::Storyboard(storyboard) => storyboard.check(),
            OutputMake::Stream(stream) => {
                stream.check()?;
                if stream.subtitles && self.needed(spec, |need| need.transcript().is_some()) != 1 {
                    return Err(invalid(
                        "subtitles = true needs one transcript: add needs = [\"transcript\"]",
                    ));
                }
                Ok(())
            }
            OutputMake::Progressive(progressive) => {
                progressive.check()?;
                if self.needed(spec, |need| need.stream().is_some()) != 1 {
                    return Err(invalid("it is made from one stream: add needs = [\"stream\"]"));
                }
                Ok(())
            }
            OutputMake::Image(image) => image.check(),
            OutputMake::Video(video) => {
                video.check()?;
                if video.subtitles && self.needed(spec, |need| need.transcript().is_some()) != 1 {
                    return Err(invalid(
                        "subtitles = true needs one transcript: add needs = [\"transcript\"]",
                    ));
                }
                Ok(())
            }
        }
    }

    /// Number of needs of an output that are of some kind.
    fn needed(&self, spec: &OutputSpec, is_of_kind: impl Fn(&OutputSpec) -> bool) -> usize {
        let needed = spec.needs.iter().filter_map(|need| self.outputs.get(need));
        needed.filter(|need| is_of_kind(need)).count()
    }

    /// The requests for the outputs, as in a new job.
    pub fn new_outputs(&self) -> Vec<NewOutput> {
        let mut outputs: Vec<NewOutput> =
            self.outputs.iter().map(|(id, spec)| self.new_output(id, spec)).collect();
        outputs.sort_by_key(|output| std::cmp::Reverse(output.priority));
        outputs
    }

    fn new_output(&self, id: &OutputId, spec: &OutputSpec) -> NewOutput {
        let gate = spec.make.gate();
        let document = serde_json::to_vec(&(self.segment_duration, spec));
        let document = document.expect("an output has no key that is not a string");
        NewOutput {
            id: id.clone(),
            kind: spec.make.kind().to_owned(),
            needs: spec.needs.iter().map(|need| Need { output: need.clone(), gate }).collect(),
            required: spec.required,
            priority: spec.priority,
            spec: blake3::hash(&document).to_hex().to_string(),
        }
    }

    /// The first transcript, in order of the outputs' names.
    pub fn transcript(&self) -> Option<&TranscriptRecipe> {
        self.outputs.values().find_map(OutputSpec::transcript)
    }

    /// The first video, in order of the outputs' names.
    pub fn video(&self) -> Option<&VideoRecipe> {
        self.outputs.values().find_map(OutputSpec::video)
    }

    /// Every transcript, mutably.
    pub fn transcripts_mut(&mut self) -> impl Iterator<Item = &mut TranscriptRecipe> {
        self.outputs.values_mut().filter_map(|spec| match &mut spec.make {
            OutputMake::Transcript(transcript) => Some(transcript),
            _ => None,
        })
    }

    /// Every video, mutably.
    pub fn videos_mut(&mut self) -> impl Iterator<Item = &mut VideoRecipe> {
        self.outputs.values_mut().filter_map(|spec| match &mut spec.make {
            OutputMake::Video(video) => Some(video),
            _ => None,
        })
    }
}

fn in_output(name: &OutputId, error: DomainError) -> DomainError {
    match error {
        DomainError::Invalid { document: "recipe", why } => invalid(format!("output {name}: {why}")),
        other => other,
    }
}

fn unreadable(why: &str) -> DomainError {
    DomainError::Document { document: "recipe", why: one_line(why) }
}

fn invalid(why: impl Into<String>) -> DomainError {
    DomainError::Invalid { document: "recipe", why: why.into() }
}

/// The version, if this build supports it.
fn check_version(version: Option<i64>) -> Result<i64, DomainError> {
    match version {
        Some(v) if (1..=i64::from(RECIPE_VERSION)).contains(&v) => Ok(v),
        Some(v) => {
            let found = u32::try_from(v).unwrap_or(u32::MAX);
            Err(DomainError::Version { document: "recipe", found, newest: RECIPE_VERSION })
        }
        None => Err(invalid("it needs version = 2")),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
