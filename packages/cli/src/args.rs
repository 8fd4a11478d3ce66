//! The command line, as a newcomer reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  segue doctor                                   is everything here that is needed?
  segue models fetch                             get the speech models
  segue run talk.mp4 --out talk                  transcript, joined video, thumbnail
  segue run talk.mp4 --out talk --recipe mp4     encode all parts at once, join them
  segue run talk.mp4 --out gray --recipe rejoin \\
      --map 'ffmpeg -i {input} -vf hue=s=0 -an {output}'   your own program on every part
  segue verify talk.mp4 talk/final.mp4           is it the same, frame by frame?
  segue worker --backend aws:// --roles worker=4      one of a fleet
  segue submit s3://bucket/talk.mp4 --backend aws:// --watch

Exit codes: 0 done, 2 the command line, 3 the source, 4 this machine, 5 a fault of ours,
130 interrupted: the same command again goes on.";

/// Splits a video, works on all its parts at once, and joins the results so that nobody can
/// hear or see where the cuts were.
#[derive(Debug, Parser)]
#[command(name = "segue", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// File with settings, in TOML [default: segue.toml in this folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Show what a failing program said last
    #[arg(long, short, global = true)]
    pub verbose: bool,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Do a job: from a source to its results
    Run(RunArgs),
    /// Compare a joined file with its source: every frame, every sample, every time
    Verify(VerifyArgs),
    /// Show what would be cut where, and do nothing
    Plan(PlanArgs),
    /// The speech models on this machine
    Models(ModelsArgs),
    /// Look whether all that is needed is here, and say how to mend what is not
    Doctor(DoctorArgs),
    /// Work on jobs of a backend that others share, until it is asked to stop
    Worker(WorkerArgs),
    /// Give a job to a backend
    Submit(SubmitArgs),
    /// Show how a job stands: in a backend, or in an output folder
    Status(StatusArgs),
    /// Follow a job of a backend until it ends
    Watch(JobArgs),
    /// Add the outputs of a recipe to a job; outputs that it has already are not repeated
    Add(AddArgs),
    /// Retry the failed or cancelled outputs of a job; finished tasks are not repeated
    Retry(OutputArgs),
    /// Cancel the outputs of a job that are not published
    Cancel(OutputArgs),
    /// Delete a job with its source and everything that was made from it
    Delete(DeleteArgs),
    /// Messages of a backend that were put aside
    Dlq(DlqArgs),
    /// Say whether the `segue worker` that touches a health file is well
    Health(HealthArgs),
    /// Built-in recipes
    Recipe(RecipeArgs),
    /// Every environment variable and setting
    Environment(EnvironmentArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// `segue run`
#[derive(Debug, Args)]
#[command(after_help = "\
In DIR: final.mp4 (or .mkv, .mov), transcript.json, .srt, .vtt, .txt, thumbnail.jpg,
manifest.json (what each file is and how it was made) and certificate.json (the proof that
the joined result is whole). Ctrl-C once stops in good order; the same command goes on.")]
pub struct RunArgs {
    /// The video or sound to work on
    pub source: PathBuf,

    /// Folder for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// standard, transcript, rejoin, mp4, or a recipe file in TOML or YAML [default: standard]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,

    /// Run your own program on every part. Also: {index} {total} {start} {end} {job}
    #[arg(long, value_name = "'COMMAND {input} {output}'")]
    pub map: Option<String>,

    /// Run your own program on the whole sound, WAV in and WAV out
    #[arg(long, value_name = "'COMMAND {input} {output}'")]
    pub map_sound: Option<String>,

    #[command(flatten)]
    pub common: RecipeFlags,

    /// How many workers run at the same time [default: one for each thread, at most 8]
    #[arg(long, value_name = "N")]
    pub workers: Option<String>,

    /// Folder for unfinished work [default: .segue in DIR]
    #[arg(long, value_name = "DIR")]
    pub state: Option<String>,

    /// End only when the results are on the disk, where no power cut takes them
    #[arg(long)]
    pub fsync: bool,

    /// auto, plain, json (events on stdout) or none [default: auto]
    #[arg(long, value_name = "HOW")]
    pub progress: Option<String>,
}

/// Flags that override the recipe, and those that go with them.
#[derive(Debug, Args)]
pub struct RecipeFlags {
    /// Length of a part, such as 300s, 5m, 1.5s; parts begin at keyframes [default: 300s]
    #[arg(long, value_name = "TIME")]
    pub segment_duration: Option<String>,

    /// Speech model by name, or the file with its weights [default: base.en]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,

    /// The language spoken, such as en or de, or auto [default: auto]
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,

    /// Folder of the speech models
    #[arg(long, value_name = "DIR")]
    pub model_dir: Option<String>,

    /// Threads to use in all [default: one for each core]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
}

/// `segue verify`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 says that they differ.")]
pub struct VerifyArgs {
    /// What it was made from
    pub source: PathBuf,
    /// What was made
    #[arg(value_name = "FINAL")]
    pub joined: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The video or sound to look at
    pub source: PathBuf,
    /// As for `segue run`
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,
    #[command(flatten)]
    pub common: RecipeFlags,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue models`
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ModelsCommand,
    /// Folder of the speech models
    #[arg(long, global = true, value_name = "DIR")]
    pub model_dir: Option<String>,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Every known model and whether it is here
    List,
    /// Get models [default: base.en] and the voice model that goes with all of them
    Fetch {
        /// Names from `segue models list`
        names: Vec<String>,
    },
    /// Check byte for byte what is here
    Verify {
        /// Names from `segue models list` [default: all that are here]
        names: Vec<String>,
    },
}

/// `segue doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// Folder of the speech models
    #[arg(long, value_name = "DIR")]
    pub model_dir: Option<String>,
}

/// `segue worker`
#[derive(Debug, Args)]
#[command(after_help = "\
Roles: chunker plans, worker does tasks, gpu-worker does those that need a GPU, reassembler
joins, sweeper drives on what stalled, ingest takes in sources from notices on a queue of
their own (the chunker does where they come to its queue). SIGTERM and Ctrl-C give back within
30 s what is held; what is recorded is not done again.")]
pub struct WorkerArgs {
    #[command(flatten)]
    pub backend: BackendFlags,

    /// Which roles, and how many of each at once, such as worker=4,reassembler
    /// [default: chunker,worker,reassembler,sweeper]
    #[arg(long, value_name = "ROLE[=N],…")]
    pub roles: Option<String>,

    /// Recipe of a source that arrives without a job [default: standard]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,

    #[command(flatten)]
    pub common: RecipeFlags,

    /// Folder for unfinished work, on a local disk [default: segue in TMPDIR]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<String>,

    /// Touch this file while all is well
    #[arg(long, value_name = "FILE")]
    pub health_file: Option<String>,
}

/// Which backend.
#[derive(Debug, Args)]
pub struct BackendFlags {
    /// Where jobs are kept: a folder of this machine, or aws:// [default: aws:// where
    /// INPUT_BUCKET_NAME is set]
    #[arg(long, global = true, value_name = "URL")]
    pub backend: Option<String>,
}

/// `segue submit`
#[derive(Debug, Args)]
#[command(after_help = "\
The same source with the same recipe is the same job. With --watch the exit code is that of
the job: 0 completed, 3 the source, and so on.")]
pub struct SubmitArgs {
    /// A file, or s3://BUCKET/KEY
    pub source: String,

    #[command(flatten)]
    pub backend: BackendFlags,

    /// Id of the job [default: made of source and recipe]
    #[arg(long, value_name = "ID")]
    pub job: Option<String>,

    /// standard, transcript, rejoin, mp4, or a recipe file in TOML or YAML [default: standard]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,

    /// Run a program on every part, on the workers. Also: {index} {total} {start} {end} {job}
    #[arg(long, value_name = "'COMMAND {input} {output}'")]
    pub map: Option<String>,

    /// Run a program on the whole sound, WAV in and WAV out
    #[arg(long, value_name = "'COMMAND {input} {output}'")]
    pub map_sound: Option<String>,

    #[command(flatten)]
    pub common: RecipeFlags,

    /// Follow the job until it ends
    #[arg(long)]
    pub watch: bool,

    /// Print the job as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue watch`, `retry`, `cancel`, `delete`
#[derive(Debug, Args)]
pub struct JobArgs {
    /// Id of the job
    pub job: String,

    #[command(flatten)]
    pub backend: BackendFlags,

    /// Print the job as JSON, one line for each change
    #[arg(long)]
    pub json: bool,
}

/// `segue retry` and `segue cancel`
#[derive(Debug, Args)]
pub struct OutputArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Only the output of this name; without it every output that the command applies to
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
}

/// `segue add`
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// A built-in recipe or a recipe file; its outputs are added
    #[arg(long, value_name = "RECIPE")]
    pub recipe: String,

    /// Follow the job until its outputs have ended
    #[arg(long)]
    pub watch: bool,
}

/// `segue delete`
#[derive(Debug, Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Keep the source
    #[arg(long)]
    pub keep_source: bool,
}

/// `segue status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The folder that was given as --out, or the id of a job; without it the jobs of a backend
    pub job: Option<String>,

    #[command(flatten)]
    pub backend: BackendFlags,

    /// Only jobs in this state: awaiting, created, mapping, assembling, publishing, completed,
    /// failed, cancelled, deleting
    #[arg(long, value_name = "STATE", conflicts_with = "job")]
    pub state: Option<String>,

    /// Most jobs that are listed
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub max: usize,

    /// Print what is known as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue dlq`
#[derive(Debug, Args)]
pub struct DlqArgs {
    /// What to do
    #[command(subcommand)]
    pub command: DlqCommand,

    #[command(flatten)]
    pub backend: BackendFlags,

    /// Only this queue: chunk, map, reassemble, and where there are such map-gpu, ingest
    #[arg(long, global = true, value_name = "QUEUE")]
    pub queue: Option<String>,

    /// Most messages of a queue
    #[arg(long, global = true, value_name = "N", default_value_t = 100)]
    pub max: usize,

    /// Print the findings as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do with messages that were put aside.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum DlqCommand {
    /// Show them, and why they were put aside
    List,
    /// Send them to their queues again
    Redrive,
    /// Remove them for good
    Purge,
}

/// `segue health`
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The file that was given as --health-file [default: SEGUE_HEALTH_FILE]
    pub file: Option<PathBuf>,
}

/// `segue recipe`
#[derive(Debug, Args)]
pub struct RecipeArgs {
    /// What to do
    #[command(subcommand)]
    pub command: RecipeCommand,
}

/// What to do with recipes.
#[derive(Debug, Subcommand)]
pub enum RecipeCommand {
    /// Names of the built-in recipes
    List,
    /// Print a recipe as TOML, every default written out
    Show {
        /// A built-in name or a file
        name: String,
    },
}

/// `segue environment`
#[derive(Debug, Args)]
pub struct EnvironmentArgs {
    /// Print it as a page of the documentation
    #[arg(long)]
    pub markdown: bool,
}

/// Flags as settings: those that were given.
pub type Flags = BTreeMap<&'static str, String>;

impl Cli {
    /// The flags of the command that are settings.
    pub fn flags(&self) -> Flags {
        match &self.command {
            Command::Run(args) => {
                let more = [
                    ("recipe", &args.recipe),
                    ("workers", &args.workers),
                    ("state", &args.state),
                    ("fsync", &args.fsync.then(|| "true".to_owned())),
                    ("progress", &args.progress),
                ];
                args.common.flags(&more)
            }
            Command::Worker(args) => {
                let more = [
                    ("recipe", &args.recipe),
                    ("backend", &args.backend.backend),
                    ("roles", &args.roles),
                    ("scratch", &args.scratch),
                    ("health_file", &args.health_file),
                ];
                args.common.flags(&more)
            }
            Command::Submit(args) => {
                args.common.flags(&[("recipe", &args.recipe), ("backend", &args.backend.backend)])
            }
            Command::Status(StatusArgs { backend, .. })
            | Command::Dlq(DlqArgs { backend, .. })
            | Command::Watch(JobArgs { backend, .. })
            | Command::Add(AddArgs { job: JobArgs { backend, .. }, .. })
            | Command::Retry(OutputArgs { job: JobArgs { backend, .. }, .. })
            | Command::Cancel(OutputArgs { job: JobArgs { backend, .. }, .. })
            | Command::Delete(DeleteArgs { job: JobArgs { backend, .. }, .. }) => given(&[("backend", &backend.backend)]),
            Command::Plan(args) => args.common.flags(&[("recipe", &args.recipe)]),
            Command::Models(ModelsArgs { model_dir, .. }) | Command::Doctor(DoctorArgs { model_dir, .. }) => {
                given(&[("model_dir", model_dir)])
            }
            _ => Flags::new(),
        }
    }
}

impl RecipeFlags {
    fn flags(&self, more: &[(&'static str, &Option<String>)]) -> Flags {
        let mut all = vec![
            ("segment_duration", &self.segment_duration),
            ("model", &self.model),
            ("language", &self.language),
            ("model_dir", &self.model_dir),
            ("threads", &self.threads),
        ];
        all.extend_from_slice(more);
        given(&all)
    }
}

fn given(flags: &[(&'static str, &Option<String>)]) -> Flags {
    flags.iter().filter_map(|(key, value)| Some((*key, (*value).clone()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_that_is_a_setting_is_one_of_the_table() {
        let line = "segue run a --out b --recipe r --segment-duration 1s --model m --language l \
                    --model-dir d --threads 1 --workers 2 --state s --fsync --progress none";
        let flags = Cli::parse_from(line.split_whitespace()).flags();
        assert_eq!(flags.len(), 10, "{flags:?}");
        let line = "segue worker --backend b --roles r --scratch s --health-file h --recipe r";
        let more = Cli::parse_from(line.split_whitespace()).flags();
        assert_eq!(more.len(), 5, "{more:?}");
        let known: Vec<_> =
            segue_runtime::environment::VARIABLES.iter().filter_map(|variable| variable.key()).collect();
        for key in flags.keys().chain(more.keys()) {
            assert!(known.contains(key), "{key}");
        }
    }
}
