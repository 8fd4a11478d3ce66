//! Where settings come from: files, environment, flags; each value keeps the name of its origin.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use config::{ConfigError, FileFormat, Format, Map, Source, Value, ValueKind};
use segue_domain::Failure;
use segue_domain::recipe::BUILT_IN;
use segue_speech::KnownModel;

use super::{SETTINGS, Trust, Variable};
use crate::environment;
use crate::failure;

/// Name of a settings file: in the current folder, and in `segue` below the user's configuration
/// folder.
pub const FILE_NAME: &str = "segue.toml";

/// A settings file as it was read.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    /// Its name, for messages.
    pub name: String,
    /// Its text, TOML.
    pub text: String,
    /// Whether the user chose it. A file that was only found in the current folder may come from an
    /// untrusted archive, so it may neither name programs nor choose where data are written.
    pub trusted: bool,
}

/// Sources of settings. [`Sources::of_process`] reads the real ones.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Settings files; a later one overrides an earlier one.
    pub files: Vec<SettingsFile>,
    /// Variables of the environment.
    pub environment: BTreeMap<String, String>,
    /// Flags: key to value.
    pub flags: BTreeMap<&'static str, String>,
}

impl Sources {
    /// The file that `config` or `SEGUE_CONFIG` names, else the user's own and that of the current
    /// folder; the process's environment; these flags.
    ///
    /// # Errors
    /// A named file that cannot be read, or an existing one that cannot be.
    pub fn of_process(
        config: Option<&Path>,
        flags: BTreeMap<&'static str, String>,
    ) -> Result<Sources, Failure> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let environment: BTreeMap<_, _> =
            environment::all().filter_map(|v| Some((v.name.to_owned(), read(v.name)?))).collect();
        let named = config.map(Path::to_owned).or_else(|| environment.get("SEGUE_CONFIG").map(PathBuf::from));
        let files = match named {
            Some(path) => vec![read_file(&path, true)?.ok_or_else(|| {
                failure::usage(format!("settings file {}: there is no such file", path.display()))
            })?],
            None => {
                let own = user_file().map_or(Ok(None), |path| read_file(&path, true))?;
                own.into_iter().chain(read_file(Path::new(FILE_NAME), false)?).collect()
            }
        };
        Ok(Sources { files, environment, flags })
    }

    pub(super) fn environment_layer(&self) -> Layer {
        let of = |setting: &Variable| {
            let key = setting.key()?.to_owned();
            Some((key, self.environment.get(setting.name)?.clone(), setting.name.to_owned()))
        };
        Layer(SETTINGS.iter().filter_map(of).collect())
    }

    pub(super) fn flag_layer(&self) -> Layer {
        let of = |(key, value): (&&'static str, &String)| {
            ((*key).to_owned(), value.clone(), format!("--{}", key.replace('_', "-")))
        };
        Layer(self.flags.iter().map(of).collect())
    }
}

fn user_file() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("segue").join(FILE_NAME))
}

fn read_file(path: &Path, trusted: bool) -> Result<Option<SettingsFile>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(SettingsFile { name: path.display().to_string(), text, trusted })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure::usage(format!("settings file {}: {error}", path.display()))),
    }
}

/// Values with the name of their origin.
#[derive(Debug, Clone)]
pub(super) struct Layer(Vec<(String, String, String)>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |(key, text, origin): &(String, String, String)| {
            (key.clone(), Value::new(Some(origin), ValueKind::String(text.clone())))
        };
        Ok(self.0.iter().map(value).collect())
    }
}

impl Source for SettingsFile {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        FileFormat::Toml
            .parse(Some(&self.name), &self.text)
            .map_err(|cause| ConfigError::FileParse { uri: Some(self.name.clone()), cause })
    }
}

impl SettingsFile {
    /// The file, when every key in it is known and allowed in it.
    pub(super) fn checked(&self) -> Result<SettingsFile, Failure> {
        let one_line = |error: ConfigError| {
            let text = error.to_string();
            let words: Vec<&str> = text.split_whitespace().collect();
            failure::usage(format!("settings file {}", words.join(" ")))
        };
        for (key, value) in self.collect().map_err(one_line)? {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key() == Some(key.as_str())) else {
                let known: Vec<&str> = SETTINGS.iter().filter_map(Variable::key).collect();
                return Err(failure::usage(format!(
                    "settings file {} has the unknown key {key:?}; known are {}",
                    self.name,
                    known.join(", ")
                )));
            };
            if !self.trusted && !is_harmless(setting, &key, &value) {
                return Err(failure::usage(format!(
                    "{name} here {what}; confirm with --config {name} (key {key})",
                    name = self.name,
                    what = danger(&key)
                )));
            }
        }
        Ok(self.clone())
    }
}

/// Whether a file that the user did not name may set this.
fn is_harmless(setting: &Variable, key: &str, value: &Value) -> bool {
    let text = value.to_string();
    match setting.trust {
        Trust::AnyFile => true,
        Trust::BuiltInNames if key == "recipe" => BUILT_IN.contains(&text.as_str()),
        Trust::BuiltInNames => KnownModel::find(&text).is_some(),
        Trust::NamedFile => false,
    }
}

fn danger(key: &str) -> &'static str {
    match key {
        "ffmpeg" | "ffprobe" => "names a program",
        "recipe" => "names a recipe file, which can name programs",
        "model" => "names a file of weights",
        _ => "sets what only a file that you name may set",
    }
}
