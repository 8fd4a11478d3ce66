//! Finds a recipe by name or file and applies the overrides.

use std::path::Path;

use segue_domain::recipe::{BUILT_IN, MapRecipe, Span, VideoRecipe};
use segue_domain::{DomainError, Failure, Recipe};

use crate::failure;

/// Size limit of a recipe document, bytes.
const LARGEST: u64 = 1 << 20;

/// Values of flags, environment and settings that replace those of the recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Length of a segment.
    pub segment_duration: Option<Span>,
    /// Speech model; without effect where the recipe has no transcript.
    pub model: Option<String>,
    /// Language; likewise.
    pub language: Option<String>,
    /// Command to run on every segment.
    pub map: Option<String>,
    /// Command to run on the whole audio track.
    pub map_sound: Option<String>,
}

/// Loads the recipe of that name or in that file, applies the overrides and validates it.
///
/// # Errors
/// A name that is neither, a document that cannot be parsed, or a recipe that is not valid with the
/// overrides.
pub fn resolve(name: &str, overrides: &Overrides) -> Result<Recipe, Failure> {
    let mut recipe = find(name)?;
    if let Some(duration) = overrides.segment_duration {
        recipe.segment_duration = duration;
    }
    for transcript in recipe.transcripts_mut() {
        if let Some(model) = &overrides.model {
            transcript.model.clone_from(model);
        }
        if let Some(language) = &overrides.language {
            transcript.language.clone_from(language);
        }
    }
    if let Some(command) = &overrides.map {
        for video in videos(&mut recipe, name, "--map")? {
            match &mut video.map {
                Some(map) => map.command.clone_from(command),
                None => video.map = Some(map_of(command)?),
            }
        }
    }
    if let Some(command) = &overrides.map_sound {
        for video in videos(&mut recipe, name, "--map-sound")? {
            video.sound.map = Some(command.clone());
        }
    }
    recipe
        .check()
        .and_then(|()| recipe.check_unused())
        .map_err(|error| failure::usage(format!("recipe {name}: {error}")))?;
    Ok(recipe)
}

/// The video outputs of a recipe, which `flag` changes.
fn videos<'a>(recipe: &'a mut Recipe, name: &str, flag: &str) -> Result<Vec<&'a mut VideoRecipe>, Failure> {
    let videos: Vec<&mut VideoRecipe> = recipe.videos_mut().collect();
    if videos.is_empty() {
        return Err(failure::usage(format!("recipe {name}: {flag} needs an output of kind video")));
    }
    Ok(videos)
}

/// A map step with the defaults of the recipe document.
fn map_of(command: &str) -> Result<MapRecipe, Failure> {
    let document = serde_json::json!({ "command": command });
    serde_json::from_value(document).map_err(|error| failure::internal(format!("map step: {error}")))
}

/// Loads the recipe of that name or in that file for an addition to a job: its outputs may need those of
/// the job, and are validated together with them.
///
/// # Errors
/// A name that is neither, or a document that cannot be parsed.
pub fn additions(name: &str) -> Result<Recipe, Failure> {
    load(name, Recipe::additions_from_toml, Recipe::additions_from_yaml)
}

fn find(name: &str) -> Result<Recipe, Failure> {
    load(name, Recipe::from_toml, Recipe::from_yaml)
}

type Parse = fn(&str) -> Result<Recipe, DomainError>;

fn load(name: &str, from_toml: Parse, from_yaml: Parse) -> Result<Recipe, Failure> {
    if let Some(recipe) = Recipe::built_in(name) {
        return Ok(recipe);
    }
    let path = Path::new(name);
    if !path.is_file() {
        return Err(failure::usage(format!(
            "there is no recipe {name:?}: the built-in ones are {}, and there is no file of that name",
            BUILT_IN.join(", ")
        )));
    }
    let cannot = |why: String| failure::usage(format!("recipe {}: {why}", path.display()));
    let size = path.metadata().map_err(|error| cannot(error.to_string()))?.len();
    if size > LARGEST {
        return Err(cannot(format!("it has {size} bytes, a recipe has at most {LARGEST}")));
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| cannot("it is not text".to_owned()))?;
    let yaml = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    let read = if yaml { from_yaml(&text) } else { from_toml(&text) };
    read.map_err(|error| cannot(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_domain::FaultKind;

    #[test]
    fn flags_override_the_recipe() {
        let overrides = Overrides {
            segment_duration: Some(Span::from_millis(2000)),
            model: Some("tiny".into()),
            language: Some("de".into()),
            map: Some("cp {input} {output}".into()),
            map_sound: Some("sox {input} {output}".into()),
        };
        let recipe = resolve("standard", &overrides).unwrap();
        assert_eq!(recipe.segment_duration.millis(), 2000);
        let transcript = recipe.transcript().unwrap();
        assert_eq!((transcript.model.as_str(), transcript.language.as_str()), ("tiny", "de"));
        let map = recipe.video().unwrap().map.as_ref().unwrap();
        assert_eq!((map.command.as_str(), map.attempts), ("cp {input} {output}", 3));
        assert_eq!(
            resolve("standard", &Overrides::default()).unwrap(),
            Recipe::built_in("standard").unwrap()
        );
    }

    #[test]
    fn a_file_is_read_by_its_ending_and_keeps_its_own_map_settings() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let yaml = file("mine.yaml", "version: 1\nname: mine\nvideo: {}\n");
        assert_eq!(resolve(&yaml, &Overrides::default()).unwrap().name, "mine");

        let mapped =
            "version = 1\nname = \"m\"\n[video]\n[map]\ncommand = \"a {input} {output}\"\nattempts = 7\n";
        let overrides = Overrides { map: Some("b {input} {output}".into()), ..Overrides::default() };
        let recipe = resolve(&file("mine.toml", mapped), &overrides).unwrap();
        let map = recipe.video().unwrap().map.as_ref().unwrap();
        assert_eq!((map.command.as_str(), map.attempts), ("b {input} {output}", 7));
    }

    #[test]
    fn what_makes_no_sense_is_said_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.toml");
        std::fs::write(&path, "version = 1\nname = \"x\"\ncolour = 1\n[video]\n").unwrap();
        let unused = dir.path().join("unused.toml");
        std::fs::write(&unused, "version = 1\nname = \"x\"\n[video]\n[video.encode]\ncrf = 20\n").unwrap();
        let bytes = dir.path().join("bytes.toml");
        std::fs::write(&bytes, [0xff, 0xfe, 0]).unwrap();
        let map = |command: &str| Overrides { map: Some(command.into()), ..Overrides::default() };
        let cases = [
            ("no-such".to_owned(), Overrides::default(), "standard, transcript, rejoin, mp4"),
            (path.display().to_string(), Overrides::default(), "colour"),
            (bytes.display().to_string(), Overrides::default(), "not text"),
            (unused.display().to_string(), Overrides::default(), "output video: encode.crf has no effect"),
            ("rejoin".to_owned(), map("cat"), "{input}"),
            ("transcript".to_owned(), map("cp {input} {output}"), "kind video"),
            ("mp4".to_owned(), map("cp {input} {output}"), "let the command encode"),
        ];
        for (name, overrides, expected) in cases {
            let failure = resolve(&name, &overrides).unwrap_err();
            assert_eq!(failure.kind, FaultKind::Usage);
            assert!(failure.cause.contains(expected), "{:?} does not say {expected:?}", failure.cause);
            assert!(!failure.cause.contains('\n'), "{:?}", failure.cause);
        }
    }
}
