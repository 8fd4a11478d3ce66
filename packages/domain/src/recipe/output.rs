//! One output of a recipe: its kind, its needs, and whether it is required.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    AudioRecipe, ImageRecipe, PosterRecipe, ProgressiveRecipe, StoryboardRecipe, StreamRecipe,
    ThumbnailRecipe, TranscriptRecipe, VideoRecipe, invalid,
};
use crate::error::DomainError;
use crate::id::OutputId;
use crate::output::Gate;

/// Specification of one output: a table `[outputs.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct OutputSpec {
    /// Whether its failure fails the job; `true` by default.
    pub required: bool,
    /// Outputs of the recipe that it reads.
    pub needs: Vec<OutputId>,
    /// Outputs of higher priority are planned and sent first; 0 by default.
    pub priority: i32,
    /// Its kind, with the settings.
    pub make: OutputMake,
}

/// Kind of an output.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputMake {
    /// `transcript`: words with timestamps, subtitles and text.
    Transcript(TranscriptRecipe),
    /// `video`: the joined video, or the joined audio of a source without video.
    Video(VideoRecipe),
    /// `thumbnail`: one still picture.
    Thumbnail(ThumbnailRecipe),
    /// `audio`: one track as audio files, with measured loudness.
    Audio(AudioRecipe),
    /// `poster`: one sharp frame in full size, with a BlurHash.
    Poster(PosterRecipe),
    /// `storyboard`: pictures at an interval on sheets, with a WebVTT index.
    Storyboard(StoryboardRecipe),
    /// `stream`: HLS and DASH in several sizes, with a page that plays them.
    Stream(StreamRecipe),
    /// `progressive`: one size of a stream as one MP4.
    Progressive(ProgressiveRecipe),
    /// `image`: an image source in several sizes, without its metadata.
    Image(ImageRecipe),
}

/// The kinds, as they are listed in errors.
const KINDS: &str = "transcript, video, thumbnail, audio, poster, storyboard, stream, progressive and image";

impl OutputMake {
    /// The name of the kind in recipes.
    pub fn kind(&self) -> &'static str {
        match self {
            OutputMake::Transcript(_) => "transcript",
            OutputMake::Video(_) => "video",
            OutputMake::Thumbnail(_) => "thumbnail",
            OutputMake::Audio(_) => "audio",
            OutputMake::Poster(_) => "poster",
            OutputMake::Storyboard(_) => "storyboard",
            OutputMake::Stream(_) => "stream",
            OutputMake::Progressive(_) => "progressive",
            OutputMake::Image(_) => "image",
        }
    }

    /// Whether the plan or only the assembly waits for the output's needs.
    pub fn gate(&self) -> Gate {
        match self {
            OutputMake::Video(_) | OutputMake::Transcript(_) | OutputMake::Thumbnail(_) => Gate::Assembly,
            OutputMake::Audio(_) | OutputMake::Poster(_) | OutputMake::Storyboard(_) => Gate::Assembly,
            OutputMake::Stream(_) | OutputMake::Progressive(_) => Gate::Assembly,
            OutputMake::Image(_) => Gate::Assembly,
        }
    }

    /// Whether it is made by tasks; otherwise it is assembled from its needs alone.
    pub fn has_tasks(&self) -> bool {
        !matches!(self, OutputMake::Progressive(_))
    }

    fn parse(kind: &str, settings: Value) -> Result<OutputMake, DomainError> {
        let text = |e: serde_json::Error| invalid(e.to_string());
        Ok(match kind {
            "transcript" => OutputMake::Transcript(serde_json::from_value(settings).map_err(text)?),
            "video" => OutputMake::Video(serde_json::from_value(settings).map_err(text)?),
            "thumbnail" => OutputMake::Thumbnail(serde_json::from_value(settings).map_err(text)?),
            "audio" => OutputMake::Audio(serde_json::from_value(settings).map_err(text)?),
            "poster" => OutputMake::Poster(serde_json::from_value(settings).map_err(text)?),
            "storyboard" => OutputMake::Storyboard(serde_json::from_value(settings).map_err(text)?),
            "stream" => OutputMake::Stream(serde_json::from_value(settings).map_err(text)?),
            "progressive" => OutputMake::Progressive(serde_json::from_value(settings).map_err(text)?),
            "image" => OutputMake::Image(serde_json::from_value(settings).map_err(text)?),
            other => {
                return Err(invalid(format!(
                    "there is no kind of output {other:?}; this build makes {KINDS}"
                )));
            }
        })
    }

    fn settings(&self) -> serde_json::Result<Value> {
        match self {
            OutputMake::Transcript(transcript) => serde_json::to_value(transcript),
            OutputMake::Video(video) => serde_json::to_value(video),
            OutputMake::Thumbnail(thumbnail) => serde_json::to_value(thumbnail),
            OutputMake::Audio(audio) => serde_json::to_value(audio),
            OutputMake::Poster(poster) => serde_json::to_value(poster),
            OutputMake::Storyboard(storyboard) => serde_json::to_value(storyboard),
            OutputMake::Stream(stream) => serde_json::to_value(stream),
            OutputMake::Progressive(progressive) => serde_json::to_value(progressive),
            OutputMake::Image(image) => serde_json::to_value(image),
        }
    }
}

impl OutputSpec {
    /// A required output without needs.
    pub fn new(make: OutputMake) -> OutputSpec {
        OutputSpec { required: true, needs: Vec::new(), priority: 0, make }
    }

    /// The transcript's settings, if it is one.
    pub fn transcript(&self) -> Option<&TranscriptRecipe> {
        match &self.make {
            OutputMake::Transcript(transcript) => Some(transcript),
            _ => None,
        }
    }

    /// The video's settings, if it is one.
    pub fn video(&self) -> Option<&VideoRecipe> {
        match &self.make {
            OutputMake::Video(video) => Some(video),
            _ => None,
        }
    }

    /// The thumbnail's settings, if it is one.
    pub fn thumbnail(&self) -> Option<&ThumbnailRecipe> {
        match &self.make {
            OutputMake::Thumbnail(thumbnail) => Some(thumbnail),
            _ => None,
        }
    }

    /// The audio's settings, if it is one.
    pub fn audio(&self) -> Option<&AudioRecipe> {
        match &self.make {
            OutputMake::Audio(audio) => Some(audio),
            _ => None,
        }
    }

    /// The poster's settings, if it is one.
    pub fn poster(&self) -> Option<&PosterRecipe> {
        match &self.make {
            OutputMake::Poster(poster) => Some(poster),
            _ => None,
        }
    }

    /// The storyboard's settings, if it is one.
    pub fn storyboard(&self) -> Option<&StoryboardRecipe> {
        match &self.make {
            OutputMake::Storyboard(storyboard) => Some(storyboard),
            _ => None,
        }
    }

    /// The stream's settings, if it is one.
    pub fn stream(&self) -> Option<&StreamRecipe> {
        match &self.make {
            OutputMake::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// The image's settings, if it is one.
    pub fn image(&self) -> Option<&ImageRecipe> {
        match &self.make {
            OutputMake::Image(image) => Some(image),
            _ => None,
        }
    }
}

fn take<T: serde::de::DeserializeOwned>(
    table: &mut Map<String, Value>,
    key: &str,
    default: T,
) -> Result<T, DomainError> {
    let Some(value) = table.remove(key) else { return Ok(default) };
    serde_json::from_value(value).map_err(|e| invalid(format!("{key}: {e}")))
}

impl TryFrom<Value> for OutputSpec {
    type Error = DomainError;

    fn try_from(value: Value) -> Result<OutputSpec, DomainError> {
        let Value::Object(mut table) = value else { return Err(invalid("an output is a table")) };
        let kind: Option<String> = take(&mut table, "kind", None)?;
        let kind = kind.ok_or_else(|| invalid(format!("an output needs a kind, one of {KINDS}")))?;
        let required = take(&mut table, "required", true)?;
        let needs = take(&mut table, "needs", Vec::new())?;
        let priority = take(&mut table, "priority", 0)?;
        let make = OutputMake::parse(&kind, Value::Object(table))?;
        Ok(OutputSpec { required, needs, priority, make })
    }
}

impl From<OutputSpec> for Value {
    fn from(spec: OutputSpec) -> Value {
        let settings = spec.make.settings().expect("settings have no key that is not a string");
        let mut table = Map::new();
        table.insert("kind".into(), spec.make.kind().into());
        if !spec.required {
            table.insert("required".into(), false.into());
        }
        if !spec.needs.is_empty() {
            table.insert("needs".into(), spec.needs.iter().map(|need| Value::from(need.as_str())).collect());
        }
        if spec.priority != 0 {
            table.insert("priority".into(), spec.priority.into());
        }
        if let Value::Object(settings) = settings {
            table.extend(settings);
        }
        Value::Object(table)
    }
}
