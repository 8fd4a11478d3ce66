//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::settings_flags::{
    Flags, OfBackend, OfModels, OfPlan, OfRecipe, OfRun, OfSubmit, OfWorker, SettingFlags,
};

const EXAMPLES: &str = "\
Examples:
  segue doctor                                   check that everything needed is installed
  segue models fetch                             download the speech models
  segue run talk.mp4 --out talk                  transcript, joined video, thumbnail
  segue run talk.mp4 --out talk --recipe mp4     encode all segments at once, join them
  segue run talk.mp4 --out gray --recipe rejoin \\
      --map 'ffmpeg -i {input} -vf hue=s=0 -an {output}'   run a program on every segment
  segue verify talk.mp4 talk/final.mp4           compare source and result frame by frame
  segue worker --backend aws:// --roles worker=4      one process of a fleet
  segue submit s3://bucket/talk.mp4 --backend aws:// --watch

Exit codes: 0 success; 2 the command line, the settings or the recipe are not valid; 3 the source
cannot be used; 4 this machine or a service does not work; 5 an internal error (a bug in Segue);
130 interrupted: the same command resumes the job.";

/// Splits a video into segments, processes them in parallel, and joins the results without a
/// visible or audible cut.
#[derive(Debug, Parser)]
#[command(name = "segue", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Settings file, in TOML [default: segue.toml in this folder, over segue/segue.toml in the
    /// user's configuration folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print the last output of a program that failed
    #[arg(long, short, global = true)]
    pub verbose: bool,

    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job on this machine: from a source to its results
    Run(RunArgs),
    /// Compare a joined file with its source: every frame, every sample, every timestamp
    Verify(VerifyArgs),
    /// Print the segments and tasks of a job without running it
    Plan(PlanArgs),
    /// Manage the speech models on this machine
    Models(ModelsArgs),
    /// Check that everything Segue needs is installed, and how to fix what is missing
    Doctor(DoctorArgs),
    /// Run the roles of a fleet on the jobs of a backend until SIGTERM or Ctrl-C
    Worker(WorkerArgs),
    /// Submit a job to a backend
    Submit(SubmitArgs),
    /// Show the state of jobs: of a backend, or of an output folder
    Status(StatusArgs),
    /// Follow a job of a backend until it ends
    Watch(JobArgs),
    /// Add the outputs of a recipe to a job; outputs that it has already are not repeated
    Add(AddArgs),
    /// Retry the failed or cancelled outputs of a job; finished tasks are not repeated
    Retry(OutputArgs),
    /// Cancel the outputs of a job that are not published
    Cancel(OutputArgs),
    /// Delete a job with its results; its source is kept unless --with-source is given
    Delete(DeleteArgs),
    /// Manage the dead letters of a backend: messages that could not be processed
    Dlq(DlqArgs),
    /// Check the health file of a `segue worker`
    Health(HealthArgs),
    /// Print built-in recipes
    Recipe(RecipeArgs),
    /// Print every environment variable and setting
    Environment(EnvironmentArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Recipe of a job: flags of `segue run` and `segue submit`.
#[derive(Debug, Args)]
pub struct JobFlags {
    #[command(flatten)]
    pub recipe: SettingFlags<OfRecipe>,

    /// Run a program on every segment. More placeholders: {index} {total} {start} {end} {job}
    #[arg(long, value_name = "'COMMAND {input} {output}'")]
    pub map: Option<String>,

    /// Run a program on the whole audio track, from a WAV file to a WAV file
    #[arg(long, value_name = "'COMMAND {input} {output}'")]
    pub map_sound: Option<String>,
}

/// `segue run`
#[derive(Debug, Args)]
#[command(after_help = "\
In DIR: final.mp4 (or .mkv, .mov), transcript.json, .srt, .vtt, .txt, thumbnail.jpg, those of a
recipe's other outputs (such as audio.mp3, poster.jpg, storyboard.vtt with storyboard-000.jpg),
manifest.json (what each file is and how it was made) and a certificate for each output, such as
video.certificate.json (the proof that the joined video is complete). Ctrl-C once stops and keeps
what is done; the same command resumes the job.")]
pub struct RunArgs {
    /// The video or audio file to process
    pub source: PathBuf,

    /// Folder for the results; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    #[command(flatten)]
    pub job: JobFlags,

    #[command(flatten)]
    pub machine: SettingFlags<OfRun>,
}

/// `segue verify`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 means that they differ.")]
pub struct VerifyArgs {
    /// The source
    pub source: PathBuf,
    /// The result
    #[arg(value_name = "FINAL")]
    pub joined: PathBuf,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The video or audio file to plan for
    pub source: PathBuf,
    #[command(flatten)]
    pub settings: SettingFlags<OfPlan>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue models`
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// The subcommand
    #[command(subcommand)]
    pub command: ModelsCommand,
    #[command(flatten)]
    pub settings: SettingFlags<OfModels>,
}

/// Subcommands of `segue models`.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the known models and which of them are installed
    List,
    /// Download models [default: base.en], and the voice activity model that every one needs
    Fetch {
        /// Names from `segue models list`
        names: Vec<String>,
    },
    /// Check the checksums of installed models
    Verify {
        /// Names from `segue models list` [default: all that are installed]
        names: Vec<String>,
    },
}

/// `segue doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub settings: SettingFlags<OfModels>,
}

/// `segue worker`
#[derive(Debug, Args)]
#[command(after_help = "\
Roles: planner plans jobs, worker runs tasks, gpu-worker runs tasks that need a GPU, assembler
joins, sweeper wakes jobs that made no progress, ingest creates jobs from upload notices on a queue
of their own (without such a queue the planner does). The older names chunker and reassembler are
understood. On SIGTERM or Ctrl-C the process releases within 30 s what it works on; recorded results
are not made again.")]
pub struct WorkerArgs {
    #[command(flatten)]
    pub backend: SettingFlags<OfBackend>,

    #[command(flatten)]
    pub settings: SettingFlags<OfWorker>,
}

/// `segue submit`
#[derive(Debug, Args)]
#[command(after_help = "\
The same source with the same recipe is the same job. With --watch the exit code is that of
the job: 0 completed, 3 the source cannot be used, and so on.")]
pub struct SubmitArgs {
    /// A file, or s3://BUCKET/KEY
    pub source: String,

    #[command(flatten)]
    pub backend: SettingFlags<OfBackend>,

    /// Id of the job [default: derived from source and recipe]
    #[arg(long = "job", value_name = "ID")]
    pub id: Option<String>,

    #[command(flatten)]
    pub job: JobFlags,

    #[command(flatten)]
    pub settings: SettingFlags<OfSubmit>,

    /// Follow the job until it ends
    #[arg(long)]
    pub watch: bool,

    /// Print the job as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue watch`
#[derive(Debug, Args)]
pub struct JobArgs {
    /// Id of the job
    pub job: String,

    #[command(flatten)]
    pub backend: SettingFlags<OfBackend>,

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

    /// Delete the source too
    #[arg(long)]
    pub with_source: bool,
}

/// `segue status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The folder that was given as --out, or the id of a job [default: every job of the backend]
    pub job: Option<String>,

    #[command(flatten)]
    pub backend: SettingFlags<OfBackend>,

    /// Only jobs in this state: awaiting, created, mapping, assembling, publishing, completed,
    /// failed, cancelled, deleting
    #[arg(long, value_name = "STATE", conflicts_with = "job")]
    pub state: Option<String>,

    /// Maximum number of jobs to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub max: usize,

    /// Print the jobs as JSON
    #[arg(long)]
    pub json: bool,
}

/// `segue dlq`
#[derive(Debug, Args)]
pub struct DlqArgs {
    /// The subcommand
    #[command(subcommand)]
    pub command: DlqCommand,

    #[command(flatten)]
    pub backend: SettingFlags<OfBackend>,

    /// Only this queue: plan, task-cpu, assemble; task-gpu, task-net, ingest, notify and study where the
    /// backend has them
    #[arg(long, global = true, value_name = "QUEUE")]
    pub queue: Option<String>,

    /// Maximum number of messages of each queue, for list and redrive [default: 100]
    #[arg(long, global = true, value_name = "N")]
    pub max: Option<usize>,

    /// Print the findings as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// Subcommands of `segue dlq`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum DlqCommand {
    /// List dead letters with the reason of each
    List,
    /// Send dead letters to their queues again
    Redrive,
    /// Delete every dead letter
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
    /// The subcommand
    #[command(subcommand)]
    pub command: RecipeCommand,
}

/// Subcommands of `segue recipe`.
#[derive(Debug, Subcommand)]
pub enum RecipeCommand {
    /// List the names of the built-in recipes
    List,
    /// Print a recipe as TOML with every default
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

impl Cli {
    /// The flags of the command that are settings.
    pub fn flags(&self) -> Flags {
        let groups: &[&Flags] = match &self.command {
            Command::Run(args) => &[&args.job.recipe.given, &args.machine.given],
            Command::Plan(args) => &[&args.settings.given],
            Command::Worker(args) => &[&args.backend.given, &args.settings.given],
            Command::Submit(args) => &[&args.backend.given, &args.job.recipe.given, &args.settings.given],
            Command::Status(StatusArgs { backend, .. })
            | Command::Dlq(DlqArgs { backend, .. })
            | Command::Watch(JobArgs { backend, .. })
            | Command::Add(AddArgs { job: JobArgs { backend, .. }, .. })
            | Command::Retry(OutputArgs { job: JobArgs { backend, .. }, .. })
            | Command::Cancel(OutputArgs { job: JobArgs { backend, .. }, .. })
            | Command::Delete(DeleteArgs { job: JobArgs { backend, .. }, .. }) => &[&backend.given],
            Command::Models(ModelsArgs { settings, .. }) | Command::Doctor(DoctorArgs { settings, .. }) => {
                &[&settings.given]
            }
            _ => &[],
        };
        groups.iter().flat_map(|flags| flags.iter()).map(|(key, value)| (*key, value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn flags(line: &str) -> Flags {
        Cli::parse_from(line.split_whitespace()).flags()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_that_is_a_setting_arrives() {
        let run = flags(
            "segue run a --out b --recipe r --segment-duration 1s --model m --language l \
             --model-dir d --threads 1 --workers 2 --state s --fsync --progress none",
        );
        assert_eq!(run.len(), 10, "{run:?}");
        assert_eq!((run["fsync"].as_str(), run["model_dir"].as_str()), ("true", "d"));
        assert!(flags("segue run a --out b").is_empty());
        let worker = flags(
            "segue worker --backend b --roles r --scratch s --health-file h --recipe r --allow-map any \
             --threads 1 --model-dir d",
        );
        assert_eq!(worker.len(), 8, "{worker:?}");
        for line in ["segue dlq list --backend b", "segue dlq --backend b list", "segue watch j --backend b"]
        {
            assert_eq!(flags(line)["backend"], "b", "{line}");
        }
        assert_eq!(flags("segue models list --model-dir d")["model_dir"], "d");
    }

    #[test]
    fn a_flag_that_would_do_nothing_is_none() {
        for line in [
            "segue submit a --threads 2",
            "segue submit a --model-dir d",
            "segue plan a --threads 2",
            "segue plan a --workers 2",
        ] {
            let refused = Cli::try_parse_from(line.split_whitespace()).unwrap_err().to_string();
            let flag = line.split_whitespace().nth(3).unwrap();
            assert!(refused.contains(flag), "{refused}");
        }
    }
}
