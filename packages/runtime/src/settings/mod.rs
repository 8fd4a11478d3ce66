//! Settings: defaults, files, environment and flags, merged, then checked as a whole.
//!
//! Each setting is declared once, below. The declaration makes the struct, the parser of all
//! sources, the defaults, the flags of the command line and `docs/environment.md`. A command
//! starts only after every value was checked; an error names the value and where it came from.

mod declare;
mod sources;
#[cfg(test)]
mod tests;
mod values;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use config::Config;
use segue_backends::{BackendUrls, PartUrls};
use segue_domain::Failure;
use segue_domain::recipe::Span;
use segue_process::SandboxMode;
use serde::Deserialize;

use segue_engines::models::default_model_dir;

use crate::failure;
use declare::settings;

pub use declare::{Trust, Variable};
pub use segue_engines::AllowMap;
pub use sources::{FILE_NAME, SettingsFile, Sources};
pub use values::{Late, LogFormat, ProgressMode};

const MAX_WORKERS: usize = 256;
const MAX_THREADS: usize = 1024;

settings! {
    /// Recipe: name of a built-in recipe (`standard`, `transcript`, `rejoin`, `mp4`), or a TOML or
    /// YAML file.
    recipe: String, "SEGUE_RECIPE" "NAME|FILE", BuiltInNames, "`standard`" => "standard".to_owned();
    /// Length of a segment, such as `300s`, `5m`, `1.5s`; segments start at keyframes.
    segment_duration: Option<Span>, "SEGUE_SEGMENT_DURATION" "TIME", AnyFile, "that of the recipe" => None;
    /// Threads that all workers share.
    threads: usize, "SEGUE_THREADS" "N", AnyFile, "one for each core" => cores();
    /// Number of workers that run at the same time.
    workers: usize, "SEGUE_WORKERS" "N", AnyFile, "one for each thread, at most 8" => threads.min(8);
    /// Speech model: its name, or the file with its weights.
    model: Option<String>, "SEGUE_MODEL" "NAME|FILE", BuiltInNames, "that of the recipe" => None;
    /// Language spoken, such as `en` or `de`, or `auto`.
    language: Option<String>, "SEGUE_LANGUAGE" "LANGUAGE", AnyFile, "that of the recipe" => None;
    /// Folder of the speech models.
    model_dir: PathBuf, "SEGUE_MODEL_DIR" "DIR", NamedFile,
        "`segue/models` in the user's data folder (`XDG_DATA_HOME`)" => default_model_dir()?;
    /// Folder for unfinished work of `segue run`, on a local disk.
    state: Option<String>, "SEGUE_STATE" "DIR", NamedFile, "`.segue` in the output folder" => None;
    /// End `segue run` only when its results are flushed to the disk, so that a power cut cannot
    /// lose them.
    fsync: bool, "SEGUE_FSYNC" "", NamedFile, "`false`" => false;
    /// Backend that holds the jobs: a folder of this machine, or `aws://`. Sets ledger, queue and
    /// store at once.
    backend: Option<String>, "SEGUE_BACKEND" "URL", NamedFile,
        "`aws://` where `INPUT_BUCKET_NAME` is set, else none" => None;
    /// Ledger, instead of that of the backend: a folder, or `dynamodb://`.
    ledger: Option<String>, "SEGUE_LEDGER" "URL", NamedFile, "that of `SEGUE_BACKEND`" => None;
    /// Work queue, instead of that of the backend: a folder, or `sqs://`.
    queue: Option<String>, "SEGUE_QUEUE" "URL", NamedFile, "that of `SEGUE_BACKEND`" => None;
    /// Media store, instead of that of the backend: a folder, or `s3://`.
    store: Option<String>, "SEGUE_STORE" "URL", NamedFile, "that of `SEGUE_BACKEND`" => None;
    /// Roles of `segue worker`, each with the number that run at once: `chunker,worker=4`.
    roles: Option<String>, "SEGUE_ROLES" "ROLE[=N],…", NamedFile,
        "`chunker,worker,reassembler,sweeper`" => None;
    /// Map commands that recipes may run: `none`, `any`, or a comma-separated list of programs. A
    /// worker runs programs that the submitters of jobs name, so on a backend the operator must
    /// allow them.
    allow_map: Option<AllowMap>, "SEGUE_ALLOW_MAP" "none|any|PROGRAM,…", NamedFile,
        "`none` for `segue submit` and `segue worker`, `any` for `segue run`" => None;
    /// Folder for unfinished work of `segue worker`, on a local disk.
    scratch: Option<PathBuf>, "SEGUE_SCRATCH" "DIR", NamedFile,
        "`segue-UID` in `TMPDIR`, which only this user can enter" => None;
    /// Downloaded sources that `segue worker` keeps for further tasks, in bytes.
    source_cache: Option<u64>, "SEGUE_SOURCE_CACHE" "BYTES", NamedFile, "`21474836480` (20 GiB)" => None;
    /// File that `segue worker` touches every 5 s while its roles run; `segue health` checks it.
    health_file: Option<PathBuf>, "SEGUE_HEALTH_FILE" "FILE", NamedFile, "no file" => None;
    /// Duration of a lease without renewal.
    lease: Option<Span>, "SEGUE_LEASE" "TIME", NamedFile, "`30s`" => None;
    /// Time for which a message stays hidden without a heartbeat.
    visibility: Option<Span>, "SEGUE_VISIBILITY" "TIME", NamedFile, "`60s`" => None;
    /// Interval of the sweeper, and the time without progress after which it wakes a job.
    sweep_every: Option<Span>, "SEGUE_SWEEP_EVERY" "TIME", NamedFile, "`60s`" => None;
    /// Retry a task elsewhere when it runs longer than this factor of its usual time (1.1 to 1000),
    /// or `off`.
    late: Option<Late>, "SEGUE_LATE" "FACTOR", NamedFile,
        "`1.5` for `segue worker` on `aws://`, else `off`" => None;
    /// Progress: `auto`, `plain`, `json` (events on stdout) or `none`.
    progress: ProgressMode, "SEGUE_PROGRESS" "MODE", AnyFile, "`auto`" => ProgressMode::default();
    /// The ffmpeg program.
    ffmpeg: PathBuf, "SEGUE_FFMPEG" "FILE", NamedFile, "`ffmpeg` on the `PATH`" => "ffmpeg".into();
    /// The ffprobe program.
    ffprobe: PathBuf, "SEGUE_FFPROBE" "FILE", NamedFile, "`ffprobe` on the `PATH`" => "ffprobe".into();
    /// Sandbox of ffmpeg, ffprobe and map commands: `require` starts none where the kernel lacks Landlock or
    /// seccomp, `best` uses what the kernel has, `off` sets no limits and no rules.
    sandbox: SandboxMode, "SEGUE_SANDBOX" "MODE", NamedFile, "`best`" => SandboxMode::default();
    /// Further folders that sandboxed programs may read and run programs from, separated by commas.
    sandbox_read: Option<String>, "SEGUE_SANDBOX_READ" "FOLDERS", NamedFile,
        "system folders, those of the program and of `PATH`, and the files of the task" => None;
    /// Names of variables that map commands get in addition, separated by commas.
    map_env: Option<String>, "SEGUE_MAP_ENV" "NAMES", NamedFile,
        "`PATH`, `HOME`, `TMPDIR`, locale, time zone, GPU" => None;
    /// Let map commands that `segue worker` starts use the network.
    map_network: bool, "SEGUE_MAP_NETWORK" "BOOL", NamedFile, "`false`" => false;
    /// Bytes of address space that one ffmpeg or ffprobe may have.
    memory_limit: Option<u64>, "SEGUE_MEMORY_LIMIT" "BYTES", NamedFile,
        "2 GiB for ffprobe, 4 to 8 GiB for ffmpeg, at least 16 GiB where it encodes a picture" => None;
    /// Log filter for stderr: `info`, `segue_pipeline=debug`.
    log: Option<String>, "SEGUE_LOG" "FILTER", NamedFile, "`RUST_LOG`, else `off`" => None;
    /// Log format: `text` or `json`.
    log_format: LogFormat, "SEGUE_LOG_FORMAT" "FORMAT", NamedFile, "`text`" => LogFormat::default();
}

impl Settings {
    /// Merges the sources and checks the result.
    ///
    /// # Errors
    /// The first value that is not valid, with its name and its origin.
    pub fn load(sources: &Sources) -> Result<Settings, Failure> {
        let mut builder = Config::builder();
        for file in &sources.files {
            builder = builder.add_source(file.checked()?);
        }
        let given = builder
            .add_source(sources.environment_layer())
            .add_source(sources.flag_layer())
            .build()
            .and_then(Config::try_deserialize::<Given>)
            .map_err(|error| failure::usage(format!("settings: {error}")))?;
        let mut settings = given.complete()?;
        if settings.log.is_none() {
            settings.log = sources.environment.get("RUST_LOG").cloned();
        }
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Failure> {
        in_range("threads", self.threads, MAX_THREADS)?;
        in_range("workers", self.workers, MAX_WORKERS)?;
        self.language.as_deref().map_or(Ok(()), check_language)
    }

    /// The URLs of the backend's ledger, queue and store.
    ///
    /// # Errors
    /// A part without a URL where the environment is not that of a deployment; a URL that is not
    /// valid, or whose scheme is not compiled in.
    pub fn backend(&self) -> Result<BackendUrls, Failure> {
        let deployment = in_environment("INPUT_BUCKET_NAME").map(|_| "aws://");
        BackendUrls::new(PartUrls {
            backend: self.backend.as_deref().or(deployment),
            ledger: self.ledger.as_deref(),
            queue: self.queue.as_deref(),
            store: self.store.as_deref(),
        })
    }

    /// Whether a backend is named by the settings themselves, and not by a deployment's
    /// environment.
    pub fn names_backend(&self) -> bool {
        [&self.backend, &self.ledger, &self.queue, &self.store].iter().any(|url| url.is_some())
    }

    /// These settings with the deployment's segment length where none is given.
    ///
    /// # Errors
    /// A length that is not a positive number of seconds.
    pub fn of_deployment(&self) -> Result<Settings, Failure> {
        let mut settings = self.clone();
        if let (None, Some(text)) = (self.segment_duration, in_environment(SEGMENT_SECONDS)) {
            let span = text.parse::<u32>().ok().filter(|seconds| *seconds > 0);
            let span = span.ok_or_else(|| {
                failure::usage(format!("{SEGMENT_SECONDS} is {text:?}, which is not a number of seconds"))
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

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn in_range(name: &str, value: usize, max: usize) -> Result<(), Failure> {
    if (1..=max).contains(&value) {
        Ok(())
    } else {
        Err(failure::usage(format!("settings: {name} is {value}, not between 1 and {max}")))
    }
}

/// `auto`, or a language as whisper names it: 2 or 3 lower-case letters.
fn check_language(language: &str) -> Result<(), Failure> {
    let plain = (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    if language == "auto" || plain {
        Ok(())
    } else {
        Err(failure::usage(format!("language {language:?} is neither auto nor a code such as en, de or yue")))
    }
}
