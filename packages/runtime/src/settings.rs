//! Settings: default, file, environment and flag, merged, then checked as a whole.
//!
//! Nothing starts before every value is known to make sense; an error names the value and
//! where it came from.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};
use segue_domain::Failure;
use segue_domain::recipe::Span;
use serde::Deserialize;

use crate::backend::BackendUrl;
use crate::children;
use crate::environment::{VARIABLES, Variable};
use crate::failure;

/// Name of the file that is read from the current folder.
pub const FILE_NAME: &str = "segue.toml";

const MOST_WORKERS: usize = 256;
const MOST_THREADS: usize = 1024;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum ProgressMode {
    /// Bars on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A line now and then.
    Plain,
    /// Events, one JSON document a line, on stdout.
    Json,
    /// Nothing.
    None,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
}

impl TryFrom<String> for ProgressMode {
    type Error = String;

    fn try_from(text: String) -> Result<ProgressMode, String> {
        match text.as_str() {
            "auto" => Ok(ProgressMode::Auto),
            "plain" => Ok(ProgressMode::Plain),
            "json" => Ok(ProgressMode::Json),
            "none" => Ok(ProgressMode::None),
            _ => Err(format!("{text:?} is none of auto, plain, json, none")),
        }
    }
}

impl TryFrom<String> for LogFormat {
    type Error = String;

    fn try_from(text: String) -> Result<LogFormat, String> {
        match text.as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("{text:?} is neither text nor json")),
        }
    }
}

/// When an attempt at a task counts as late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Late {
    /// Never: nothing is done about attempts that take long.
    Off,
    /// When it has taken so many hundredths of what such tasks usually take.
    Percent(u32),
}

/// Least and most times of what is usual that may be set.
const LATE: std::ops::RangeInclusive<f64> = 1.1..=1000.0;

impl TryFrom<String> for Late {
    type Error = String;

    fn try_from(text: String) -> Result<Late, String> {
        if text == "off" {
            return Ok(Late::Off);
        }
        match text.parse::<f64>() {
            Ok(times) if LATE.contains(&times) => Ok(Late::Percent((times * 100.0).round() as u32)),
            _ => Err(format!("{text:?} is neither off nor a number from {} to {}", LATE.start(), LATE.end())),
        }
    }
}

/// What was asked for, every value checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Name or file of the recipe.
    pub recipe: String,
    /// Length of a segment, instead of the recipe's.
    pub segment_duration: Option<Span>,
    /// Workers at the same time, at least 1.
    pub workers: usize,
    /// Threads for all workers, at least 1.
    pub threads: usize,
    /// Speech model, instead of the recipe's.
    pub model: Option<String>,
    /// Language, instead of the recipe's.
    pub language: Option<String>,
    /// Folder of the speech models.
    pub model_dir: PathBuf,
    /// Folder or URL that keeps unfinished work; absent for the default.
    pub state: Option<String>,
    /// Whether a run waits until its results are on the disk.
    pub fsync: bool,
    /// Folder or URL of the backend that jobs are given to; absent where none is named.
    pub backend: Option<String>,
    /// Roles of this process and how many of each.
    pub roles: Option<String>,
    /// Folder for unfinished work of this process; absent for the system's own.
    pub scratch: Option<PathBuf>,
    /// Bytes of sources that are kept for further tasks, at most.
    pub source_cache: Option<u64>,
    /// File that is touched while all roles run.
    pub health_file: Option<PathBuf>,
    /// How long a lease lasts without renewal.
    pub lease: Option<Span>,
    /// How long a message is hidden without a heartbeat.
    pub visibility: Option<Span>,
    /// How often the sweeper looks.
    pub sweep_every: Option<Span>,
    /// When an attempt counts as late; absent for what the backend's machines are best served by.
    pub late: Option<Late>,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// The ffmpeg program.
    pub ffmpeg: PathBuf,
    /// The ffprobe program.
    pub ffprobe: PathBuf,
    /// What the programs that are started may use.
    pub children: segue_process::Policy,
    /// Log filter; absent for none.
    pub log: Option<String>,
    /// How logs are written.
    pub log_format: LogFormat,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    recipe: Option<String>,
    segment_duration: Option<Span>,
    workers: Option<usize>,
    threads: Option<usize>,
    model: Option<String>,
    language: Option<String>,
    model_dir: Option<PathBuf>,
    state: Option<String>,
    fsync: Option<bool>,
    backend: Option<String>,
    roles: Option<String>,
    scratch: Option<PathBuf>,
    source_cache: Option<u64>,
    health_file: Option<PathBuf>,
    lease: Option<Span>,
    visibility: Option<Span>,
    sweep_every: Option<Span>,
    late: Option<Late>,
    progress: Option<ProgressMode>,
    ffmpeg: Option<PathBuf>,
    ffprobe: Option<PathBuf>,
    sandbox: Option<segue_process::SandboxMode>,
    sandbox_read: Option<String>,
    map_env: Option<String>,
    map_network: Option<bool>,
    memory_limit: Option<u64>,
    log: Option<String>,
    log_format: Option<LogFormat>,
}

/// Where settings come from. [`Sources::of_process`] reads the real ones.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Text of the settings file and what to call it.
    pub file: Option<(String, String)>,
    /// Variables of the environment.
    pub environment: BTreeMap<String, String>,
    /// Flags: key to value.
    pub flags: BTreeMap<&'static str, String>,
}

impl Sources {
    /// The file that `config`, `SEGUE_CONFIG` or the current folder names, the process's
    /// environment, and these flags.
    ///
    /// # Errors
    /// A file that was named and cannot be read.
    pub fn of_process(
        config: Option<&Path>,
        flags: BTreeMap<&'static str, String>,
    ) -> Result<Sources, Failure> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let environment: BTreeMap<_, _> =
            VARIABLES.iter().filter_map(|v| Some((v.name.to_owned(), read(v.name)?))).collect();
        let named = config.map(Path::to_owned).or_else(|| environment.get("SEGUE_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| FILE_NAME.into());
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(failure::usage(format!("settings file {}: {error}", path.display())));
            }
        };
        Ok(Sources { file, environment, flags })
    }
}

/// Values with the name of where each came from.
#[derive(Debug, Clone)]
struct Layer(Vec<(String, String, String)>);

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

fn environment_layer(environment: &BTreeMap<String, String>) -> Layer {
    let of = |variable: &Variable| {
        let key = variable.key()?.to_owned();
        Some((key, environment.get(variable.name)?.clone(), variable.name.to_owned()))
    };
    Layer(VARIABLES.iter().filter_map(of).collect())
}

fn flag_layer(flags: &BTreeMap<&'static str, String>) -> Layer {
    let of = |(key, value): (&&'static str, &String)| {
        ((*key).to_owned(), value.clone(), format!("--{}", key.replace('_', "-")))
    };
    Layer(flags.iter().map(of).collect())
}

impl Settings {
    /// Merges the sources and checks the result.
    ///
    /// # Errors
    /// The first value that makes no sense, with its name and its origin.
    pub fn load(sources: &Sources) -> Result<Settings, Failure> {
        let mut builder = Config::builder();
        if let Some((name, text)) = &sources.file {
            check_file_keys(name, text)?;
            builder = builder.add_source(FileLayer { name: name.clone(), text: text.clone() });
        }
        let merged = builder
            .add_source(environment_layer(&sources.environment))
            .add_source(flag_layer(&sources.flags))
            .build()
            .and_then(Config::try_deserialize::<Raw>)
            .map_err(|error| failure::usage(format!("settings: {error}")))?;
        let log = merged.log.clone().or_else(|| sources.environment.get("RUST_LOG").cloned());
        complete(merged, log)
    }
}

impl Settings {
    /// The backend that jobs are given to.
    ///
    /// # Errors
    /// None is named, and the environment is not that of a deployment; a URL that is none.
    pub fn backend(&self) -> Result<BackendUrl, Failure> {
        match &self.backend {
            Some(url) => url.parse(),
            None if in_environment("INPUT_BUCKET_NAME").is_some() => "aws://".parse(),
            None => Err(failure::usage(
                "no backend is named; give --backend, a folder or aws://, or set SEGUE_BACKEND",
            )),
        }
    }

    /// The same settings with the length of a segment that the deployment has, where none is
    /// asked for.
    ///
    /// # Errors
    /// A length that makes no sense.
    pub fn of_deployment(&self) -> Result<Settings, Failure> {
        let mut settings = self.clone();
        if let (None, Some(text)) = (self.segment_duration, in_environment(SEGMENT_SECONDS)) {
            let span = text.parse::<u32>().ok().filter(|seconds| *seconds > 0);
            let span = span.ok_or_else(|| {
                failure::usage(format!("{SEGMENT_SECONDS} is {text:?}, a number of seconds is wanted"))
            })?;
            settings.segment_duration = Some(Span::from_millis(u64::from(span) * 1000));
        }
        Ok(settings)
    }
}

/// Length of a segment in a deployment on AWS, seconds.
const SEGMENT_SECONDS: &str = "CHUNK_SEGMENT_DURATION_SEC";

fn in_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn complete(raw: Raw, log: Option<String>) -> Result<Settings, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = in_range("threads", raw.threads.unwrap_or(cores), MOST_THREADS)?;
    let workers = in_range("workers", raw.workers.unwrap_or(threads.min(8)), MOST_WORKERS)?;
    if let Some(language) = &raw.language {
        check_language(language)?;
    }
    let children = children::policy(
        raw.sandbox,
        raw.sandbox_read.as_deref(),
        raw.map_env.as_deref(),
        raw.map_network,
        raw.memory_limit,
    );
    Ok(Settings {
        recipe: raw.recipe.unwrap_or_else(|| "standard".to_owned()),
        segment_duration: raw.segment_duration,
        workers,
        threads,
        model: raw.model,
        language: raw.language,
        model_dir: match raw.model_dir {
            Some(dir) => dir,
            None => default_model_dir()?,
        },
        state: raw.state,
        fsync: raw.fsync.unwrap_or_default(),
        backend: raw.backend,
        roles: raw.roles,
        scratch: raw.scratch,
        source_cache: raw.source_cache,
        health_file: raw.health_file,
        lease: raw.lease,
        visibility: raw.visibility,
        sweep_every: raw.sweep_every,
        late: raw.late,
        progress: raw.progress.unwrap_or_default(),
        ffmpeg: raw.ffmpeg.unwrap_or_else(|| "ffmpeg".into()),
        ffprobe: raw.ffprobe.unwrap_or_else(|| "ffprobe".into()),
        children,
        log,
        log_format: raw.log_format.unwrap_or_default(),
    })
}

fn in_range(name: &str, value: usize, most: usize) -> Result<usize, Failure> {
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(failure::usage(format!("settings: {name} is {value}, not between 1 and {most}")))
    }
}

/// `auto`, or a language as whisper names it: 2 or 3 small letters.
fn check_language(language: &str) -> Result<(), Failure> {
    let plain = (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    if language == "auto" || plain {
        Ok(())
    } else {
        Err(failure::usage(format!("language {language:?} is neither auto nor a code such as en, de or yue")))
    }
}

/// Where models lie unless somebody says otherwise.
pub(crate) fn default_model_dir() -> Result<PathBuf, Failure> {
    use etcetera::BaseStrategy;
    let base = etcetera::choose_base_strategy().map_err(|error| {
        failure::environment(format!("no home folder ({error}); set SEGUE_MODEL_DIR to a folder for models"))
    })?;
    Ok(base.data_dir().join("segue").join("models"))
}

#[derive(Debug, Clone)]
struct FileLayer {
    name: String,
    text: String,
}

impl Source for FileLayer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        use config::{FileFormat, Format};
        FileFormat::Toml
            .parse(Some(&self.name), &self.text)
            .map_err(|cause| ConfigError::FileParse { uri: Some(self.name.clone()), cause })
    }
}

/// The merge itself would name an unknown key without the file that it stands in.
fn check_file_keys(name: &str, text: &str) -> Result<(), Failure> {
    let layer = FileLayer { name: name.to_owned(), text: text.to_owned() };
    let one_line = |error: ConfigError| {
        let said = error.to_string();
        let words: Vec<&str> = said.split_whitespace().collect();
        failure::usage(format!("settings file {}", words.join(" ")))
    };
    let known: Vec<&str> = VARIABLES.iter().filter_map(Variable::key).collect();
    match layer.collect().map_err(one_line)?.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(failure::usage(format!(
            "settings file {name} has the unknown key {key:?}; known are {}",
            known.join(", ")
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
