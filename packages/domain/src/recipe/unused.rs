//! Rejects keys of a recipe that no step reads: a mistake of its author, reported while the author
//! can still change it.

use super::{
    AudioRecipe, EncodeRecipe, OutputMake, Recipe, SoundRecipe, StoryboardRecipe, StreamRecipe, VideoMode,
    VideoRecipe, in_output, invalid,
};
use crate::error::DomainError;

impl Recipe {
    /// Fails for a value that differs from its default and that no step of this recipe reads. Not
    /// part of [`Recipe::check`]: a recipe that was accepted once stays valid.
    ///
    /// # Errors
    /// The first such key, by name.
    pub fn check_unused(&self) -> Result<(), DomainError> {
        for (name, spec) in &self.outputs {
            let checked = match &spec.make {
                OutputMake::Video(video) => check_video(video),
                OutputMake::Audio(audio) => check_audio(audio),
                OutputMake::Storyboard(storyboard) => check_storyboard(storyboard),
                OutputMake::Stream(stream) => check_stream(stream),
                OutputMake::Transcript(_) | OutputMake::Thumbnail(_) | OutputMake::Image(_) => Ok(()),
                OutputMake::Poster(_) | OutputMake::Progressive(_) => Ok(()),
            };
            checked.map_err(|e| in_output(name, e))?;
        }
        Ok(())
    }
}

fn check_video(video: &VideoRecipe) -> Result<(), DomainError> {
    if let Some(key) = unused_encode_key(video) {
        return Err(invalid(format!(
            "encode.{key} has no effect with mode = \"copy\"; remove it or set mode = \"encode\""
        )));
    }
    if video.sound.kbps != SoundRecipe::default().kbps && !video.sound.is_made() {
        return Err(invalid(
            "sound.kbps has no effect with sound.codec = \"copy\"; remove it or set a codec",
        ));
    }
    Ok(())
}

fn check_audio(audio: &AudioRecipe) -> Result<(), DomainError> {
    audio.unused_rate().map_or(Ok(()), |format| {
        Err(invalid(format!(
            "kbps.{format} has no effect without {format:?} in formats; remove it or add the format"
        )))
    })
}

fn check_storyboard(storyboard: &StoryboardRecipe) -> Result<(), DomainError> {
    if !storyboard.files && storyboard.files_width != StoryboardRecipe::default().files_width {
        return Err(invalid("files_width has no effect with files = false; remove it or set files = true"));
    }
    Ok(())
}

fn check_stream(stream: &StreamRecipe) -> Result<(), DomainError> {
    if stream.kbps.is_some() && stream.crf.is_some() {
        return Err(invalid("crf has no effect with kbps; remove one of them"));
    }
    Ok(())
}

fn unused_encode_key(video: &VideoRecipe) -> Option<&'static str> {
    if video.mode == VideoMode::Encode {
        return None;
    }
    let (given, usual) = (&video.encode, EncodeRecipe::default());
    [
        ("codec", given.codec != usual.codec),
        ("crf", given.crf != usual.crf),
        ("preset", given.preset != usual.preset),
        ("tune", given.tune != usual.tune),
        ("keyframe_interval", given.keyframe_interval != usual.keyframe_interval),
        ("pixel_format", given.pixel_format != usual.pixel_format),
        ("max_height", given.max_height != usual.max_height),
    ]
    .into_iter()
    .find_map(|(key, differs)| differs.then_some(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::BUILT_IN;

    #[test]
    fn a_key_without_effect_is_named() {
        let cases = [
            ("[video]\n[video.encode]\ncrf = 20\n", "encode.crf"),
            ("[video]\n[video.encode]\ncodec = \"av1\"\n", "encode.codec"),
            ("[video]\n[video.encode]\nmax_height = 720\n", "encode.max_height"),
            ("[video]\n[video.sound]\nkbps = 96\n", "sound.kbps"),
        ];
        for (text, key) in cases {
            let recipe = Recipe::from_toml(&format!("version = 1\nname = \"x\"\n{text}")).unwrap();
            let cause = recipe.check_unused().unwrap_err().to_string();
            assert!(cause.contains(key), "{text:?}: {cause}");
        }
    }

    #[test]
    fn a_key_that_is_read_may_be_given() {
        let used = [
            "[video]\nmode = \"encode\"\n[video.encode]\ncrf = 20\n",
            "[video]\n[video.sound]\ncodec = \"aac\"\nkbps = 96\n",
            "[video]\n[video.sound]\nmap = \"sox {input} {output}\"\nkbps = 96\n",
            "[transcript]\n[video]\nsubtitles = true\n",
        ];
        for text in used {
            let recipe = Recipe::from_toml(&format!("version = 1\nname = \"x\"\n{text}")).unwrap();
            recipe.check_unused().unwrap();
        }
        for name in BUILT_IN {
            let recipe = Recipe::built_in(name).unwrap();
            recipe.check_unused().unwrap();
            Recipe::from_toml(&recipe.to_toml()).unwrap().check_unused().unwrap();
        }
    }

    #[test]
    fn a_key_of_a_file_that_is_not_written_is_named() {
        let cases = [
            ("kind = \"audio\"\nkbps = { mp3 = 320 }", Some("kbps.mp3")),
            ("kind = \"audio\"\nformats = [\"mp3\"]\nkbps = { mp3 = 320 }", None),
            ("kind = \"audio\"\nformats = [\"flac\"]\nkbps = { m4a = 96 }", Some("kbps.m4a")),
            ("kind = \"storyboard\"\nfiles_width = 640", Some("files_width")),
            ("kind = \"storyboard\"\nfiles = true\nfiles_width = 640", None),
        ];
        for (text, key) in cases {
            let text = format!("version = 2\nname = \"x\"\n[outputs.mine]\n{text}\n");
            let cause = Recipe::from_toml(&text).unwrap().check_unused().err().map(|e| e.to_string());
            let named = cause.as_ref().map(|cause| key.is_some_and(|key| cause.contains(key)));
            assert_eq!(named, key.map(|_| true), "{text:?}: {cause:?}");
        }
    }

    #[test]
    fn limits_of_a_map_do_not_stand_without_its_command() {
        let text = "version = 1\nname = \"x\"\n[video]\n[map]\ntimeout = \"9s\"\n";
        assert!(Recipe::from_toml(text).unwrap_err().to_string().contains("command"));
    }
}
