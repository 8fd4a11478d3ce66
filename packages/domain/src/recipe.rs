//! The recipe: what is wanted from a source.
//!
//! A versioned document in TOML or YAML. An unknown key is an error that names the key;
//! a missing one has the default written here. The reference in the README is made from
//! this file by hand and held to it by a test.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DomainError;

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

/// How to make the transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TranscriptRecipe {
    /// `auto` or a BCP 47 language such as `en`.
    pub language: String,
    /// Name of a model or path of its weights.
    pub model: String,
    /// How many hypotheses the search for words keeps side by side, 1 to 8; 1 is greedy,
    /// the quickest. Absent for the engine's usual one (5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam_size: Option<u8>,
    /// Which files to write: `json`, `srt`, `vtt`, `txt`. JSON is always written.
    pub formats: Vec<TranscriptFormat>,
    /// What to do with a source that has no sound: `skip` or `fail`.
    pub without_sound: WithoutSound,
}

impl Default for TranscriptRecipe {
    fn default() -> Self {
        TranscriptRecipe {
            language: "auto".into(),
            model: "base.en".into(),
            beam_size: None,
            formats: vec![
                TranscriptFormat::Json,
                TranscriptFormat::Srt,
                TranscriptFormat::Vtt,
                TranscriptFormat::Txt,
            ],
            without_sound: WithoutSound::Skip,
        }
    }
}

/// A file format of the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TranscriptFormat {
    /// `transcript.json`.
    Json,
    /// `transcript.srt`.
    Srt,
    /// `transcript.vtt`.
    Vtt,
    /// `transcript.txt`.
    Txt,
}

/// What a transcript of a source without sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutSound {
    /// No transcript; the manifest says why.
    Skip,
    /// A failed job.
    Fail,
}

/// How to make the joined video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VideoRecipe {
    /// `copy` or `encode`.
    pub mode: VideoMode,
    /// Which container; `auto` is the first of MP4, MOV, Matroska that holds the codecs.
    pub container: Container,
    /// Whether the transcript becomes a selectable track.
    pub subtitles: bool,
    /// The encoder's settings, for `mode = "encode"`.
    pub encode: EncodeRecipe,
    /// The sound.
    pub sound: SoundRecipe,
}

impl Default for VideoRecipe {
    fn default() -> Self {
        VideoRecipe {
            mode: VideoMode::Copy,
            container: Container::Auto,
            subtitles: false,
            encode: EncodeRecipe::default(),
            sound: SoundRecipe::default(),
        }
    }
}

/// Whether the pictures are kept or made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoMode {
    /// The same packets.
    Copy,
    /// Encoded, segment by segment.
    Encode,
}

/// A container to publish in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// The first that holds the codecs.
    Auto,
    /// ISO MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
}

/// A picture codec to encode with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 by libx264.
    H264,
    /// HEVC by libx265.
    Hevc,
    /// AV1 by libsvtav1, or libaom where that is missing.
    Av1,
}

/// Settings of the picture encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncodeRecipe {
    /// The codec.
    pub codec: VideoCodec,
    /// Constant quality: 0 to 51 for H.264 and HEVC, 0 to 63 for AV1; absent for the
    /// codec's usual one (23, 28, 35).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
    /// The encoder's preset; absent for the usual one (`medium`, `medium`, `8`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The encoder's tune, e.g. `film`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tune: Option<String>,
    /// Longest distance of keyframes.
    pub keyframe_interval: Span,
    /// Pixel format, e.g. `yuv420p`; absent keeps the source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixel_format: Option<String>,
    /// Largest height; a larger picture is scaled down, a smaller one is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u32>,
}

impl Default for EncodeRecipe {
    fn default() -> Self {
        EncodeRecipe {
            codec: VideoCodec::H264,
            crf: None,
            preset: None,
            tune: None,
            keyframe_interval: Span::from_millis(5_000),
            pixel_format: None,
            max_height: None,
        }
    }
}

/// What to do with the sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoundRecipe {
    /// `copy`, `aac` or `opus`.
    pub codec: SoundCodec,
    /// Bits a second for each stream that is encoded, thousands.
    pub kbps: u32,
    /// The user's own program for the sound, run once on the whole of each stream: it reads
    /// the WAV `{input}` (16 bit, from the start of the film on, gaps filled with silence) and
    /// writes a WAV of the same length to `{output}`. What it gives is encoded, as AAC where
    /// `codec` is `copy`. Time limit and attempts are those of `[map]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
}

impl SoundRecipe {
    /// Whether the sound of the result is made anew.
    pub fn is_made(&self) -> bool {
        self.codec != SoundCodec::Copy || self.map.is_some()
    }
}

impl Default for SoundRecipe {
    fn default() -> Self {
        SoundRecipe { codec: SoundCodec::Copy, kbps: 128, map: None }
    }
}

/// How the sound gets into the result. It is never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoundCodec {
    /// The same packets.
    Copy,
    /// AAC, encoded once for the whole length.
    Aac,
    /// Opus, encoded once for the whole length.
    Opus,
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

/// The user's own program, run on every segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapRecipe {
    /// The command line with `{input}` and `{output}`; also `{index} {total} {start} {end}
    /// {job}`. It is split like a shell would and run without one.
    pub command: String,
    /// Longest time for one segment.
    #[serde(default = "default_map_timeout")]
    pub timeout: Span,
    /// How often one segment is tried.
    #[serde(default = "default_map_attempts")]
    pub attempts: u32,
    /// Extension of `{output}` without a dot; absent for that of `{input}`, which is an MP4 or
    /// a QuickTime file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

fn default_segment_duration() -> Span {
    Span::from_millis(300_000)
}

/// The longest a user's program may run, where the recipe says nothing.
pub fn default_map_timeout() -> Span {
    Span::from_millis(3_600_000)
}

/// How often a user's program is tried, where the recipe says nothing.
pub fn default_map_attempts() -> u32 {
    3
}

/// A length of time in a recipe or a flag: `300s`, `1.5s`, `250ms`, `5m`, `2h`, `300`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SpanText", into = "String")]
pub struct Span {
    millis: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpanText {
    Seconds(u64),
    Text(String),
}

impl TryFrom<SpanText> for Span {
    type Error = DomainError;

    fn try_from(text: SpanText) -> Result<Span, DomainError> {
        match text {
            SpanText::Seconds(seconds) => seconds.to_string().parse(),
            SpanText::Text(text) => text.parse(),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl Span {
    /// A length of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Span {
        Span { millis }
    }

    /// Its length in milliseconds.
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// Its length in microseconds.
    pub const fn micros(self) -> i64 {
        (self.millis * 1000) as i64
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis.is_multiple_of(1000) {
            write!(f, "{}s", self.millis / 1000)
        } else {
            write!(f, "{}ms", self.millis)
        }
    }
}

impl FromStr for Span {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Span, DomainError> {
        let bad = || DomainError::Invalid {
            document: "length of time",
            why: format!(
                "{text:?} is not one between 1ms and 1000h; write it as 300s, 1.5s, 250ms, 5m or 2h"
            ),
        };
        let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let scale = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |s: &str| !s.is_empty() && s.len() <= 9 && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let fraction: u64 = part.parse().map_err(|_| bad())?;
        let millis = whole * scale + fraction * scale / 10u64.pow(part.len() as u32);
        if (1..=3_600_000_000).contains(&millis) { Ok(Span { millis }) } else { Err(bad()) }
    }
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
        let bad = |why: &str| Err(DomainError::Invalid { document: "recipe", why: why.to_owned() });
        if self.transcript.is_none() && self.video.is_none() && self.thumbnail.is_none() {
            return bad("it asks for nothing; give it a [transcript], a [video] or a [thumbnail]");
        }
        if let Some(map) = &self.map {
            check_map(map)?;
            match &self.video {
                None => return bad("[map] needs a [video] to join its results into"),
                Some(video) if video.mode == VideoMode::Encode => {
                    return bad("[map] takes the place of video.mode = \"encode\"; let the command encode");
                }
                Some(_) => {}
            }
        }
        if let Some(video) = &self.video {
            video.encode.check()?;
            if !(8..=1024).contains(&video.sound.kbps) {
                return bad("video.sound.kbps is not between 8 and 1024");
            }
            if video.sound.map.as_ref().is_some_and(|map| !reads_and_writes(map)) {
                return bad("video.sound.map must name {input} and {output}");
            }
        }
        if self.thumbnail.as_ref().is_some_and(|t| !(16..=8192).contains(&t.width)) {
            return bad("thumbnail.width is not between 16 and 8192");
        }
        if self.transcript.as_ref().is_some_and(|t| t.model.is_empty() || t.language.is_empty()) {
            return bad("transcript.model and transcript.language may not be empty");
        }
        let beam_size = self.transcript.as_ref().and_then(|t| t.beam_size);
        if beam_size.is_some_and(|size| !(1..=8).contains(&size)) {
            return bad("transcript.beam_size is not between 1 and 8");
        }
        Ok(())
    }
}

fn reads_and_writes(command: &str) -> bool {
    command.contains("{input}") && command.contains("{output}")
}

fn check_map(map: &MapRecipe) -> Result<(), DomainError> {
    let bad = |why: &str| Err(DomainError::Invalid { document: "recipe", why: why.to_owned() });
    if !reads_and_writes(&map.command) {
        return bad("map.command must name {input} and {output}");
    }
    if !(1..=20).contains(&map.attempts) {
        return bad("map.attempts is not between 1 and 20");
    }
    let plain = |e: &String| (1..=8).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_alphanumeric());
    if map.extension.as_ref().is_some_and(|e| !plain(e)) {
        return bad("map.extension is not 1 to 8 letters or digits");
    }
    Ok(())
}

impl EncodeRecipe {
    fn check(&self) -> Result<(), DomainError> {
        let bad = |why: String| Err(DomainError::Invalid { document: "recipe", why });
        let most = if self.codec == VideoCodec::Av1 { 63 } else { 51 };
        if self.crf.is_some_and(|crf| crf > most) {
            return bad(format!("video.encode.crf is above {most}"));
        }
        if self.max_height.is_some_and(|h| !(16..=16384).contains(&h)) {
            return bad("video.encode.max_height is not between 16 and 16384".into());
        }
        let word = |s: &String| {
            !s.is_empty()
                && s.len() <= 40
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let texts = [("preset", &self.preset), ("tune", &self.tune), ("pixel_format", &self.pixel_format)];
        for (name, text) in texts {
            if text.as_ref().is_some_and(|t| !word(t)) {
                return bad(format!("video.encode.{name} is not a plain word"));
            }
        }
        Ok(())
    }
}

fn check_version(version: Option<i64>) -> Result<(), DomainError> {
    match version {
        Some(v) if (1..=i64::from(RECIPE_VERSION)).contains(&v) => Ok(()),
        Some(v) => {
            let found = u32::try_from(v).unwrap_or(u32::MAX);
            Err(DomainError::Version { document: "recipe", found, newest: RECIPE_VERSION })
        }
        None => Err(DomainError::Invalid { document: "recipe", why: "it needs version = 1".into() }),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn built_in_recipes_survive_both_formats() {
        for name in BUILT_IN {
            let recipe = Recipe::built_in(name).unwrap();
            recipe.check().unwrap();
            assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
            let yaml = serde_yaml_ng::to_string(&recipe).unwrap();
            assert_eq!(Recipe::from_yaml(&yaml).unwrap(), recipe);
        }
        assert!(Recipe::built_in("nothing").is_none());
    }

    #[test]
    fn errors_name_the_key() {
        let cases = [
            ("version = 1\nname = \"x\"\n[video]\ncolour = 1\n", "colour"),
            ("version = 1\nname = \"x\"\nvidoe = 1\n", "vidoe"),
            ("version = 9\nname = \"x\"\n", "version 9"),
            ("name = \"x\"\n", "version = 1"),
            ("version = 1\nname = \"x\"\n", "asks for nothing"),
            ("version = 1\nname = \"x\"\n[video]\n[map]\ncommand = \"cp a b\"\n", "{input}"),
            ("version = 1\nname = \"x\"\n[video]\n[video.encode]\ncrf = 60\n", "crf"),
            ("version = 1\nname = \"x\"\nsegment_duration = \"0s\"\n[video]\n", "0s"),
            ("version = 1\nname = \"x\"\n[transcript]\nbeam_size = 0\n", "transcript.beam_size"),
            ("version = 1\nname = \"x\"\n[transcript]\nbeam_size = 9\n", "transcript.beam_size"),
            ("version = 1\nname = \"x\"\n[video]\n[video.encode]\npreset = \"a b\"\n", "preset"),
        ];
        for (text, expected) in cases {
            let said = Recipe::from_toml(text).unwrap_err().to_string();
            assert!(said.contains(expected), "{text:?} said {said:?}");
            assert!(!said.contains('\n'), "{said:?}");
        }
        let said = Recipe::from_yaml("version: 1\nname: x\nvideo:\n  colour: 1\n").unwrap_err().to_string();
        assert!(said.contains("colour"), "{said}");
    }

    #[test]
    fn the_reference_in_the_readme_is_of_this_file() {
        let readme = include_str!("../../../README.md");
        let (_, section) = readme.split_once("\n## Recipes\n").unwrap();
        let (_, block) = section.split_once("```toml\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let recipe = Recipe::from_toml(block).unwrap();
        assert!(!format!("{recipe:?}").contains("None"), "a key is not in the README: {recipe:?}");
        let written = recipe.to_toml();
        let keys = written.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
        for key in keys {
            assert!(
                block.lines().any(|line| line.starts_with(&format!("{key} ="))),
                "{key} is not in the README"
            );
        }
    }

    #[test]
    fn spans() {
        for (text, millis) in [
            ("300s", 300_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7", 7_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.millis(), millis, "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for bad in
            ["", "s", "-1s", "0s", "0", "1e3s", "1 s", "1.s", ".5s", "99999999999s", "1001h", "1d", "٣s"]
        {
            assert!(bad.parse::<Span>().is_err(), "{bad:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".{0,200}") {
            let _ = Recipe::from_toml(&text);
            let _ = Recipe::from_yaml(&text);
            let _ = text.parse::<Span>();
        }
    }
}
