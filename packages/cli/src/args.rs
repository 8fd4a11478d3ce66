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
    /// Show how the job in an output folder ended, with the last words of a program that failed
    Status(StatusArgs),
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

/// `segue status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The folder that was given as --out
    pub dir: PathBuf,
    /// Print what is known as JSON
    #[arg(long)]
    pub json: bool,
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
                    ("progress", &args.progress),
                ];
                args.common.flags(&more)
            }
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
                    --model-dir d --threads 1 --workers 2 --state s --progress none";
        let flags = Cli::parse_from(line.split_whitespace()).flags();
        assert_eq!(flags.len(), 9, "{flags:?}");
        let known: Vec<_> =
            segue_runtime::environment::VARIABLES.iter().filter_map(|variable| variable.key()).collect();
        for key in flags.keys() {
            assert!(known.contains(key), "{key}");
        }
    }
}
