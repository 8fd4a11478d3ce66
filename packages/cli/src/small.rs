//! Commands that only print.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use segue_domain::Failure;
use segue_domain::recipe::BUILT_IN;
use segue_runtime::environment;
use segue_runtime::recipe::{Overrides, resolve};
use segue_runtime::run::read_marker;

use crate::args::{Cli, EnvironmentArgs, RecipeArgs, RecipeCommand};
use crate::output;

/// `segue completions`
pub fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "segue", &mut script);
    output::text(String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}

/// `segue environment`
pub fn environment(args: &EnvironmentArgs) -> Result<ExitCode, Failure> {
    output::text(if args.markdown { environment::markdown() } else { environment::plain() });
    Ok(ExitCode::SUCCESS)
}

/// `segue recipe`
pub fn recipe(args: &RecipeArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        RecipeCommand::List => {
            for name in BUILT_IN {
                output::line(name);
            }
        }
        RecipeCommand::Show { name } => output::text(resolve(name, &Overrides::default())?.to_toml()),
    }
    Ok(ExitCode::SUCCESS)
}

/// `segue status` of an output folder
pub fn status(dir: &Path, json: bool) -> Result<ExitCode, Failure> {
    let marker = read_marker(dir)?;
    if json {
        output::json(&marker);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format_args!("job     {}", marker.job));
    output::line(format_args!("source  {}", marker.source.display()));
    output::line(format_args!("recipe  {}", marker.recipe));
    match marker.record {
        None => output::line("state   not finished: the same command resumes the job"),
        Some(record) => {
            output::line(format_args!("state   {}", record.state()));
            if let Some(failure) = record.failure() {
                output::line(format_args!("cause   {}", output::one_line(&failure.cause)));
                for line in &failure.stderr_tail {
                    output::line(format_args!("  | {}", output::one_line(line)));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
