//! `segue run`: one job from its source to its results.

use std::path::Path;
use std::process::ExitCode;

use segue_domain::{Failure, Recipe};
use segue_runtime::backend::folder_of;
use segue_runtime::models::ModelShelf;
use segue_runtime::recipe::{Overrides, resolve};
use segue_runtime::run::SourceFile;
use segue_runtime::{
    AllowMap, Finished, Outcome, ProgressMode, RunRequest, Settings, failure, run_embedded, shutdown, wiring,
};

use crate::args::{JobFlags, RunArgs};
use crate::output;
use crate::progress::{Screen, print_event};
use crate::settings_flags::Flags;

/// Runs the job and prints the result.
pub async fn run(args: &RunArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let recipe = recipe_of(&args.job.recipe.given, settings, OwnPrograms::of(&args.job))?;
    settings.allow_map.as_ref().unwrap_or(&AllowMap::Any).check(&recipe)?;
    // a source that cannot be used is reported before a missing model, and both before anything is written
    SourceFile::look(&args.source)?;
    let request = RunRequest {
        source: args.source.clone(),
        out_dir: args.out.clone(),
        recipe,
        state: settings.state.as_deref().map(folder_of).transpose()?,
        workers: settings.workers,
        threads: settings.threads,
        fsync: settings.fsync,
    };
    let screen = Screen::of(settings.progress);
    let stop = shutdown::listen(|| output::note("stopping; Ctrl-C again stops at once"))?;
    let shelf = ModelShelf::new(&settings.model_dir);
    let engines = async |recipe: &Recipe| {
        shelf.check(recipe)?;
        wiring::engines(settings, AllowMap::Any).await
    };
    let ended = run_embedded(request, engines, screen.reporter.clone(), stop).await;
    screen.clear();
    match ended {
        Ok(Outcome::Finished(finished)) => {
            print_finished(&finished, settings.progress);
            Ok(ExitCode::SUCCESS)
        }
        Ok(Outcome::Interrupted { state, .. }) => {
            print_interrupted(&state, settings.progress);
            Ok(ExitCode::from(failure::EXIT_INTERRUPTED))
        }
        Err(failure) => {
            if settings.progress == ProgressMode::Json {
                print_event(&serde_json::json!({ "event": "failed", "failure": failure }));
            }
            Err(failure)
        }
    }
}

/// Programs that the command line adds to the recipe.
#[derive(Debug, Default)]
pub struct OwnPrograms {
    /// Runs on every segment of the video.
    pub map: Option<String>,
    /// Runs on the whole audio track.
    pub sound: Option<String>,
}

impl OwnPrograms {
    /// Takes the programs from a job's flags.
    pub fn of(flags: &JobFlags) -> OwnPrograms {
        OwnPrograms { map: flags.map.clone(), sound: flags.map_sound.clone() }
    }
}

/// Loads the recipe that the settings name and applies the overrides.
pub fn recipe_of(flags: &Flags, settings: &Settings, own: OwnPrograms) -> Result<Recipe, Failure> {
    let overrides = Overrides {
        segment_duration: settings.segment_duration,
        model: settings.model.clone(),
        language: settings.language.clone(),
        map: own.map,
        map_sound: own.sound,
    };
    let recipe = resolve(&settings.recipe, &overrides)?;
    if recipe.transcript().is_none() {
        for key in ["model", "language"] {
            if flags.contains_key(key) {
                return Err(failure::usage(format!(
                    "--{key} is for a transcript, and recipe {} makes none; leave it out or choose another recipe",
                    recipe.name
                )));
            }
        }
    }
    Ok(recipe)
}

fn print_finished(finished: &Finished, mode: ProgressMode) {
    let Finished { job, out_dir, manifest, already, resumed, took, failed, state } = finished;
    let media_ms = manifest.duration_ms;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match mode {
        ProgressMode::None => return,
        ProgressMode::Json => {
            return print_event(&serde_json::json!({
                "event": "finished",
                "job": job,
                "out": out_dir,
                "already": already,
                "resumed": resumed,
                "took_ms": took_ms,
                "media_ms": media_ms,
                "manifest": manifest,
                "failed": failed.iter().map(|(output, failure)| serde_json::json!({ "output": output, "failure": failure })).collect::<Vec<_>>(),
            }));
        }
        ProgressMode::Auto | ProgressMode::Plain => {}
    }
    if *already {
        return output::line(format_args!(
            "nothing to do: {} holds the results of this job already",
            out_dir.display()
        ));
    }
    for made in manifest.files() {
        let path = out_dir.join(&made.name);
        output::line(format_args!("{:>9}  {}", output::bytes(made.bytes), path.display()));
    }
    output::line(format_args!("{:>9}  {}", "", out_dir.join("manifest.json").display()));
    for note in manifest.notes() {
        output::line(format_args!("note: {}", output::one_line(note)));
    }
    for (output, failure) in failed {
        let cause = output::one_line(&failure.cause);
        output::line(format_args!("optional output {output} failed: {cause}"));
    }
    if !failed.is_empty() {
        output::line(format_args!(
            "the same command tries again what failed; its work is in {}, which can be removed to give that up",
            state.display()
        ));
    }
    let segments = manifest.outputs.values().map(|output| output.segments).max().unwrap_or(0);
    output::line(summary(took_ms, media_ms, segments));
}

fn summary(took_ms: u64, media_ms: Option<u64>, segments: u32) -> String {
    let count = if segments == 1 { "1 segment".to_owned() } else { format!("{segments} segments") };
    let took = output::duration(took_ms);
    match media_ms.filter(|ms| *ms > 0) {
        Some(ms) => {
            let factor = ms as f64 / took_ms.max(1) as f64;
            format!("{count}, {} of media in {took}: {factor:.1} times real time", output::duration(ms))
        }
        None => format!("{count} in {took}"),
    }
}

fn print_interrupted(state: &Path, mode: ProgressMode) {
    if mode == ProgressMode::Json {
        print_event(&serde_json::json!({ "event": "interrupted", "state": state }));
    }
    output::note(format_args!(
        "interrupted; finished tasks are kept in {}: the same command resumes the job",
        state.display()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_how_fast_it_was() {
        assert_eq!(
            summary(2_000, Some(10_000), 5),
            "5 segments, 10.0 s of media in 2.0 s: 5.0 times real time"
        );
        assert_eq!(summary(2_000, None, 1), "1 segment in 2.0 s");
        assert_eq!(summary(0, Some(0), 1), "1 segment in 0.0 s");
    }
}
