//! `segue verify`: the seam check as a command.

use std::process::ExitCode;

use segue_domain::Failure;
use segue_runtime::run::SourceFile;
use segue_runtime::{Settings, shutdown, wiring};

use crate::args::VerifyArgs;
use crate::output;

/// The files were read and differ.
const EXIT_DIFFERENT: u8 = 1;

/// Compares a joined file with its source.
pub async fn verify(args: &VerifyArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let source = SourceFile::look(&args.source)?;
    let joined = SourceFile::look(&args.joined)?;
    let stop = shutdown::listen(|| {})?;
    let verdict = wiring::verify(settings, &source.path, &joined.path, stop).await?;
    if args.json {
        output::json(&verdict.report);
    } else {
        for line in &verdict.lines {
            output::line(line);
        }
        output::line(if verdict.same { "same" } else { "different" });
    }
    Ok(if verdict.same { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DIFFERENT) })
}
