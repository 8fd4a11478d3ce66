//! Recipe format 1, which had one video, one transcript and one thumbnail; read and converted.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    MapRecipe, OutputMake, OutputSpec, RECIPE_VERSION, Recipe, Span, ThumbnailRecipe, TranscriptRecipe,
    VideoMode, VideoRecipe, default_segment_duration, invalid, output_id,
};
use crate::error::DomainError;

/// A recipe of format 1.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipeV1 {
    #[expect(dead_code, reason = "checked before")]
    version: u32,
    name: String,
    #[serde(default = "default_segment_duration")]
    segment_duration: Span,
    transcript: Option<TranscriptRecipe>,
    video: Option<VideoRecipe>,
    thumbnail: Option<ThumbnailRecipe>,
    map: Option<MapRecipe>,
}

impl TryFrom<RecipeV1> for Recipe {
    type Error = DomainError;

    fn try_from(old: RecipeV1) -> Result<Recipe, DomainError> {
        let mut outputs = BTreeMap::new();
        let spec = |make| OutputSpec { required: true, needs: Vec::new(), priority: 0, make };
        let transcript = old.transcript.map(|transcript| spec(OutputMake::Transcript(transcript)));
        if let Some(mut video) = old.video {
            if video.map.is_some() {
                return Err(invalid("video.map is a key of format 2; write a [map] section, or version = 2"));
            }
            video.map = old.map;
            if video.map.is_some() && video.mode == VideoMode::Encode {
                return Err(invalid("[map] replaces video.mode = \"encode\"; let the command encode"));
            }
            let needs = if video.subtitles { vec![output_id("transcript")] } else { Vec::new() };
            if video.subtitles && transcript.is_none() {
                return Err(invalid("video.subtitles = true needs a [transcript]"));
            }
            let video = OutputSpec { needs, ..spec(OutputMake::Video(video)) };
            outputs.insert(output_id("video"), video);
        } else if old.map.is_some() {
            return Err(invalid("[map] needs a [video] to join its results into"));
        }
        outputs.extend(transcript.map(|transcript| (output_id("transcript"), transcript)));
        let thumbnail = old.thumbnail.map(|thumbnail| spec(OutputMake::Thumbnail(thumbnail)));
        outputs.extend(thumbnail.map(|thumbnail| (output_id("thumbnail"), thumbnail)));
        if outputs.is_empty() {
            return Err(invalid("it has no outputs; add a [transcript], a [video] or a [thumbnail]"));
        }
        let (name, segment_duration) = (old.name, old.segment_duration);
        Ok(Recipe { version: RECIPE_VERSION, name, segment_duration, outputs })
    }
}
