//! The model folder: which speech models are installed, complete, and where.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use segue_domain::recipe::TranscriptRecipe;
use segue_domain::{Failure, FaultKind, OutputSpec, Recipe};
use segue_speech::{Checksum, KNOWN_MODELS, KnownModel, ModelUse};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Default model folder.
///
/// # Errors
/// An environment failure when this user has no home folder.
pub fn default_model_dir() -> Result<PathBuf, Failure> {
    use etcetera::BaseStrategy;
    let base = etcetera::choose_base_strategy().map_err(|error| {
        environment(format!("no home folder ({error}); set SEGUE_MODEL_DIR to a folder for models"))
    })?;
    Ok(base.data_dir().join("segue").join("models"))
}

fn usage(cause: impl Into<String>) -> Failure {
    Failure::new(FaultKind::Usage, cause)
}

fn environment(cause: impl Into<String>) -> Failure {
    Failure::new(FaultKind::Environment, cause)
}

/// A folder of models.
#[derive(Debug, Clone)]
pub struct ModelShelf {
    dir: PathBuf,
}

/// A known model and whether it is installed.
#[derive(Debug, Clone)]
pub struct ModelOnShelf {
    /// Its registry entry.
    pub model: &'static KnownModel,
    /// Its path, installed or not.
    pub path: PathBuf,
    /// Its size in bytes; absent when it is not installed.
    pub bytes: Option<u64>,
}

impl ModelOnShelf {
    /// Whether it detects voice activity instead of transcribing.
    pub fn is_voice_activity(&self) -> bool {
        self.model.used_for == ModelUse::VoiceActivity
    }
}

impl ModelShelf {
    /// The model folder `dir`, which need not exist.
    pub fn new(dir: impl Into<PathBuf>) -> ModelShelf {
        ModelShelf { dir: dir.into() }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of a known model, installed or not.
    pub fn path_of(&self, model: &KnownModel) -> PathBuf {
        self.dir.join(model.file_name)
    }

    /// Every known model.
    pub fn list(&self) -> Vec<ModelOnShelf> {
        let look = |model: &'static KnownModel| {
            let path = self.path_of(model);
            let bytes = path.metadata().ok().filter(std::fs::Metadata::is_file).map(|found| found.len());
            ModelOnShelf { model, path, bytes }
        };
        KNOWN_MODELS.iter().map(look).collect()
    }

    /// The weights of a speech model: a known name, or a path.
    ///
    /// # Errors
    /// A usage failure for a name that is neither; an environment failure for a known
    /// model that is not installed.
    pub fn transcription(&self, name: &str) -> Result<PathBuf, Failure> {
        match KnownModel::find(name).filter(|model| model.used_for == ModelUse::Transcription) {
            Some(model) => self.present(model),
            None if Path::new(name).is_file() => Ok(name.into()),
            None => Err(usage(format!(
                "there is no model {name:?}: known are {}, and there is no file of that name",
                names(ModelUse::Transcription).join(", ")
            ))),
        }
    }

    /// The weights of the voice activity model.
    ///
    /// # Errors
    /// An environment failure when it is not installed.
    pub fn voice_activity(&self) -> Result<PathBuf, Failure> {
        self.present(voice_activity_model()?)
    }

    fn present(&self, model: &KnownModel) -> Result<PathBuf, Failure> {
        let path = self.path_of(model);
        if path.is_file() {
            return Ok(path);
        }
        Err(environment(format!(
            "model {} is not in {}; fetch it with: {}",
            model.name,
            self.dir.display(),
            self.fetch_command(model.name)
        )))
    }

    /// The command that installs a model in this folder.
    pub fn fetch_command(&self, name: &str) -> String {
        let usual = default_model_dir().is_ok_and(|usual| usual == self.dir);
        let dir = if usual { String::new() } else { format!(" --model-dir {}", self.dir.display()) };
        format!("segue models fetch {name}{dir}")
    }

    /// Checks that the transcripts of a recipe can be made with the installed models.
    ///
    /// # Errors
    /// An unknown or missing model, or a language that the model does not support.
    pub fn check(&self, recipe: &Recipe) -> Result<(), Failure> {
        let mut transcripts = recipe.outputs.values().filter_map(OutputSpec::transcript);
        transcripts.try_for_each(|transcript| self.check_transcript(transcript))
    }

    /// The same for one transcript.
    ///
    /// # Errors
    /// As [`ModelShelf::check`].
    pub fn check_transcript(&self, recipe: &TranscriptRecipe) -> Result<(), Failure> {
        let TranscriptRecipe { model, language, .. } = recipe;
        let english_only = KnownModel::find(model).is_some_and(|known| !known.multilingual);
        if english_only && language != "auto" && language != "en" {
            return Err(usage(format!(
                "model {model} knows English only, not {language:?}; take --model {}",
                model.trim_end_matches(".en")
            )));
        }
        self.transcription(model)?;
        self.voice_activity().map(|_| ())
    }
}

/// The known model with that name, of either kind.
///
/// # Errors
/// A usage failure that lists the known ones.
pub fn find(name: &str) -> Result<&'static KnownModel, Failure> {
    KnownModel::find(name).ok_or_else(|| {
        let known: Vec<_> = KNOWN_MODELS.iter().map(|model| model.name).collect();
        usage(format!("there is no model {name:?}: known are {}", known.join(", ")))
    })
}

/// The names of the known models for one use.
pub fn names(used_for: ModelUse) -> Vec<&'static str> {
    KNOWN_MODELS.iter().filter(|model| model.used_for == used_for).map(|model| model.name).collect()
}

/// The voice activity model.
///
/// # Errors
/// None in practice: the registry has one.
pub fn voice_activity_model() -> Result<&'static KnownModel, Failure> {
    KNOWN_MODELS
        .iter()
        .find(|model| model.used_for == ModelUse::VoiceActivity)
        .ok_or_else(|| Failure::new(FaultKind::Internal, "no voice activity model is known"))
}

/// Verifies that the file at `path` is complete: its size and checksum, as far as they are known.
///
/// # Errors
/// A file that cannot be read or does not match.
pub fn check_file(model: &KnownModel, path: &Path) -> Result<(), Failure> {
    let wrong = |what: String| environment(format!("{}: {what}", path.display()));
    let measured = match model.checksum {
        Checksum::Sha256(_) => measure::<Sha256>(path),
        Checksum::UpstreamSha1(_) => measure::<Sha1>(path),
    };
    let (size, found) = measured.map_err(|error| wrong(error.to_string()))?;
    if let Some(expected) = model.size.filter(|expected| *expected != size) {
        return Err(wrong(format!("model {} has {size} bytes instead of {expected}", model.name)));
    }
    let (kind, expected) = match model.checksum {
        Checksum::Sha256(hex) => ("sha256", hex),
        Checksum::UpstreamSha1(hex) => ("sha1", hex),
    };
    if found != expected {
        return Err(wrong(format!("model {} has {kind} {found} instead of {expected}", model.name)));
    }
    Ok(())
}

fn measure<D: Digest>(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, hex(&digest.finalize())));
        }
        size += read as u64;
        digest.update(&buffer[..read]);
    }
}

/// The SHA-256 of a file, hex, and its size.
///
/// # Errors
/// A file that cannot be read.
pub fn sha256_of(path: &Path) -> std::io::Result<(u64, String)> {
    measure::<Sha256>(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_model_and_a_missing_one_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = ModelShelf::new(dir.path());
        let unknown = shelf.transcription("huge").unwrap_err();
        assert_eq!(unknown.kind, FaultKind::Usage);
        assert!(unknown.cause.contains("base.en, "), "{}", unknown.cause);
        assert!(!unknown.cause.contains("silero"), "{}", unknown.cause);

        let missing = shelf.transcription("base.en").unwrap_err();
        assert_eq!(missing.kind, FaultKind::Environment);
        assert!(missing.cause.contains("segue models fetch base.en"), "{}", missing.cause);

        let own = dir.path().join("own.bin");
        std::fs::write(&own, "x").unwrap();
        assert_eq!(shelf.transcription(own.to_str().unwrap()).unwrap(), own);
    }

    #[test]
    fn an_english_model_is_not_asked_for_german() {
        let mut recipe = Recipe::built_in("transcript").unwrap();
        recipe.transcripts_mut().for_each(|transcript| transcript.language = "de".into());
        let failure = ModelShelf::new("/nowhere").check(&recipe).unwrap_err();
        assert_eq!(failure.kind, FaultKind::Usage);
        assert!(failure.cause.contains("--model base"), "{}", failure.cause);
        recipe.transcripts_mut().for_each(|transcript| transcript.model = "base".into());
        let missing = ModelShelf::new("/nowhere").check(&recipe).unwrap_err();
        assert_eq!(missing.kind, FaultKind::Environment, "{}", missing.cause);
        assert!(ModelShelf::new("/nowhere").check(&Recipe::built_in("rejoin").unwrap()).is_ok());
    }

    #[test]
    fn a_file_that_is_not_the_model_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ggml-tiny.bin");
        std::fs::write(&path, "abc").unwrap();
        let tiny = KnownModel::find("tiny").unwrap();
        let cause = check_file(tiny, &path).unwrap_err().cause;
        assert!(cause.contains("sha1 a9993e364706816aba3e25717850c26c9cd0d89d"), "{cause}");
        let base = KnownModel::find("base.en").unwrap();
        let cause = check_file(base, &path).unwrap_err().cause;
        assert!(cause.contains("3 bytes"), "{cause}");
    }
}
