//! The environment table: every variable that Segue reads, written once.
//!
//! `settings` reads by it, `segue environment` prints it, and `docs/environment.md` is
//! made from it and held to it by a test.

use std::fmt::Write;

/// A variable of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    key: Option<&'static str>,
    /// What it means, for people.
    pub meaning: &'static str,
    /// What holds where it is not set, for people.
    pub default: &'static str,
}

impl Variable {
    /// The key that it sets, which `segue.toml` and a flag can set as well; absent for one
    /// that is read by itself.
    pub fn key(&self) -> Option<&'static str> {
        self.key
    }
}

const fn setting(
    name: &'static str,
    key: &'static str,
    meaning: &'static str,
    default: &'static str,
) -> Variable {
    Variable { name, key: Some(key), meaning, default }
}

const fn alone(name: &'static str, meaning: &'static str, default: &'static str) -> Variable {
    Variable { name, key: None, meaning, default }
}

/// Every variable, in the order of the documentation.
pub const VARIABLES: &[Variable] = &[
    alone(
        "SEGUE_CONFIG",
        "file with settings, in TOML",
        "`segue.toml` in the current folder, if there is one",
    ),
    setting("SEGUE_RECIPE", "recipe", "name of a built-in recipe, or a TOML or YAML file", "`standard`"),
    setting(
        "SEGUE_SEGMENT_DURATION",
        "segment_duration",
        "length of a segment: `300s`, `5m`",
        "what the recipe says",
    ),
    setting(
        "SEGUE_WORKERS",
        "workers",
        "how many workers run at the same time",
        "one for each thread, at most 8",
    ),
    setting("SEGUE_THREADS", "threads", "threads that all workers share", "one for each core"),
    setting(
        "SEGUE_MODEL",
        "model",
        "name of a speech model, or the file with its weights",
        "what the recipe says",
    ),
    setting(
        "SEGUE_LANGUAGE",
        "language",
        "`auto`, or the language spoken: `en`, `de`",
        "what the recipe says",
    ),
    setting(
        "SEGUE_MODEL_DIR",
        "model_dir",
        "folder of the speech models",
        "`segue/models` in the user's data folder (`XDG_DATA_HOME`)",
    ),
    setting(
        "SEGUE_STATE",
        "state",
        "folder that keeps unfinished work, on a local disk",
        "`.segue` in the output folder",
    ),
    setting(
        "SEGUE_FSYNC",
        "fsync",
        "`true`: `segue run` ends only when its results are on the disk, where no power cut takes them",
        "`false`",
    ),
    setting(
        "SEGUE_BACKEND",
        "backend",
        "where jobs are kept that `segue worker` works on: a folder of this machine, or `aws://`",
        "`aws://` where `INPUT_BUCKET_NAME` is set, else there is none",
    ),
    setting(
        "SEGUE_ROLES",
        "roles",
        "roles of `segue worker`, each with how many run at once: `chunker,worker=4`",
        "`chunker,worker,reassembler,sweeper`",
    ),
    setting(
        "SEGUE_SCRATCH",
        "scratch",
        "folder for unfinished work of `segue worker`, on a local disk",
        "`segue` in `TMPDIR`",
    ),
    setting(
        "SEGUE_SOURCE_CACHE",
        "source_cache",
        "bytes of downloaded sources that `segue worker` keeps for further tasks",
        "`21474836480` (20 GiB)",
    ),
    setting(
        "SEGUE_HEALTH_FILE",
        "health_file",
        "file that `segue worker` touches every 5 s while its roles run; `segue health` looks at it",
        "none is written",
    ),
    setting("SEGUE_LEASE", "lease", "how long a lease lasts without renewal", "`30s`"),
    setting("SEGUE_VISIBILITY", "visibility", "how long a message is hidden without a heartbeat", "`60s`"),
    setting(
        "SEGUE_SWEEP_EVERY",
        "sweep_every",
        "how often the sweeper looks, and how long a job may stand still",
        "`60s`",
    ),
    setting(
        "SEGUE_LATE",
        "late",
        "so many times what a task usually takes is late: it is given back or gets a spare attempt; or `off`",
        "`1.5` for `segue worker` on `aws://`, else `off`",
    ),
    setting("SEGUE_PROGRESS", "progress", "`auto`, `plain`, `json` or `none`", "`auto`"),
    setting("SEGUE_FFMPEG", "ffmpeg", "the ffmpeg program", "`ffmpeg` on the `PATH`"),
    setting("SEGUE_FFPROBE", "ffprobe", "the ffprobe program", "`ffprobe` on the `PATH`"),
    setting(
        "SEGUE_SANDBOX",
        "sandbox",
        "whether ffmpeg, ffprobe and map commands are sandboxed: `require` starts none where the kernel lacks \
         Landlock or seccomp, `best` uses what the kernel has, `off` sets no limits and no rules",
        "`best`",
    ),
    setting(
        "SEGUE_SANDBOX_READ",
        "sandbox_read",
        "further folders that sandboxed programs may read and run programs from, separated by commas",
        "system folders, those of the program and of `PATH`, and the files of the task",
    ),
    setting(
        "SEGUE_MAP_ENV",
        "map_env",
        "names of variables that map commands get in addition, separated by commas",
        "`PATH`, `HOME`, `TMPDIR`, locale, time zone, GPU",
    ),
    setting(
        "SEGUE_MAP_NETWORK",
        "map_network",
        "`true`: map commands that `segue worker` starts may use the network",
        "`false`",
    ),
    setting(
        "SEGUE_MEMORY_LIMIT",
        "memory_limit",
        "bytes of address space that one ffmpeg or ffprobe may have",
        "2 GiB for ffprobe, 4 to 8 GiB for ffmpeg, at least 16 GiB where it encodes a picture",
    ),
    setting(
        "SEGUE_LOG",
        "log",
        "what to log on stderr, as a filter: `info`, `segue_pipeline=debug`",
        "`RUST_LOG`, else `off`",
    ),
    setting("SEGUE_LOG_FORMAT", "log_format", "`text` or `json`", "`text`"),
    alone("RUST_LOG", "as `SEGUE_LOG`, which wins", "not set"),
    alone(
        "SEGUE_MARK",
        "any text; every program that Segue starts has it in its environment, so that its processes can be found",
        "not set",
    ),
    alone("TMPDIR", "folder for temporary files", "`/tmp`"),
    alone("XDG_DATA_HOME", "the user's data folder", "`~/.local/share`"),
    alone("XDG_CACHE_HOME", "the user's cache folder; versions of programs are kept there", "`~/.cache`"),
];

/// A variable of a backend, which reads it by itself.
struct OfBackend {
    name: &'static str,
    meaning: &'static str,
    default: &'static str,
}

/// What the AWS backend reads.
#[cfg(feature = "aws")]
fn of_aws() -> Vec<OfBackend> {
    let of = |variable: &segue_adapter_aws::Variable| OfBackend {
        name: variable.name,
        meaning: variable.meaning,
        default: variable.default.unwrap_or("has to be set"),
    };
    segue_adapter_aws::VARIABLES.iter().map(of).collect()
}

#[cfg(not(feature = "aws"))]
fn of_aws() -> Vec<OfBackend> {
    Vec::new()
}

/// The table as plain text for a terminal.
pub fn plain() -> String {
    let mut text = String::new();
    for Variable { name, meaning, default, .. } in VARIABLES {
        let _ = writeln!(text, "{name}\n    {}\n    default: {}", unmarked(meaning), unmarked(default));
    }
    for OfBackend { name, meaning, default } in of_aws() {
        let (meaning, default) = (unmarked(meaning), unmarked(default));
        let _ = writeln!(text, "{name}\n    aws://: {meaning}\n    default: {default}");
    }
    text
}

fn unmarked(text: &str) -> String {
    text.replace('`', "")
}

/// The table as a page of the documentation.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Settings\n\nEvery setting has a default. `segue.toml` (or the file that `SEGUE_CONFIG` names) overrides the\n\
         default, the environment overrides the file, a flag overrides them all. This page is printed by\n\
         `segue environment --markdown`.\n\n\
         | variable | key in `segue.toml` | meaning | default |\n|---|---|---|---|\n",
    );
    for Variable { name, key, meaning, default } in VARIABLES {
        let key = key.map(|key| format!("`{key}`")).unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | {key} | {meaning} | {default} |");
    }
    let aws = of_aws();
    if !aws.is_empty() {
        text.push_str(
            "\n## The AWS backend\n\n`aws://` reads these from the environment, and from nowhere else. Credentials come \
             from the SDK's\ndefault chain: environment, profile, SSO, web identity, the role of a task or of an \
             instance.\n\n| variable | meaning | default |\n|---|---|---|\n",
        );
    }
    for OfBackend { name, meaning, default } in aws {
        let _ = writeln!(text, "| `{name}` | {meaning} | {default} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_keys_stand_once_and_belong_together() {
        let names: HashSet<_> = VARIABLES.iter().map(|v| v.name).collect();
        assert_eq!(names.len(), VARIABLES.len());
        for variable in VARIABLES {
            if let Some(key) = variable.key {
                assert_eq!(variable.name, format!("SEGUE_{}", key.to_uppercase()));
            }
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn the_documentation_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/environment.md");
        let page = std::fs::read_to_string(path).expect("docs/environment.md is there");
        assert!(
            page == markdown(),
            "docs/environment.md is old; write it anew: segue environment --markdown > docs/environment.md"
        );
    }
}
