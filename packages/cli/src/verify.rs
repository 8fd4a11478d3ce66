//! `segue verify`: the seam check as a command.

use std::process::ExitCode;

use segue_domain::Failure;
use segue_runtime::run::SourceFile;
use segue_runtime::{Settings, Verdict, VerifyReport, failure, shutdown, wiring};

use crate::args::VerifyArgs;
use crate::output;

/// Exit code: the files were read and differ.
const EXIT_DIFFERENT: u8 = 1;

/// Compares a joined file with its source.
pub async fn verify(args: &VerifyArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let source = SourceFile::look(&args.source)?;
    let joined = SourceFile::look(&args.joined)?;
    let stop = shutdown::listen(|| {})?;
    let report = match wiring::verify(settings, &source.path, &joined.path, stop.clone()).await {
        Err(_) if stop.is_cancelled() => return Ok(ExitCode::from(failure::EXIT_INTERRUPTED)),
        other => other?,
    };
    if args.json {
        output::json(&report);
    } else {
        output::text(lines(&report));
    }
    match report.verdict {
        Verdict::Same => Ok(ExitCode::SUCCESS),
        Verdict::Differs => Ok(ExitCode::from(EXIT_DIFFERENT)),
        Verdict::SourceDoesNotDecode => Err(failure::source(format!(
            "source {}: no stream can be decoded, so there is nothing to compare",
            args.source.display()
        ))),
    }
}

fn lines(report: &VerifyReport) -> String {
    let mut lines = Vec::new();
    for stream in &report.streams {
        let kind = format!("{:?}", stream.kind).to_lowercase();
        let [before, after] = stream.frames;
        let same = if stream.same { "same content" } else { "different content" };
        lines.push(format!(
            "stream {} {kind} {}: {before} frames, {after} in the result, {same}, times within {:.3} ms, moved {:.3} ms",
            stream.source, stream.codec, stream.max_drift_ms, stream.offset_ms
        ));
    }
    lines.extend(report.differences.iter().map(|difference| output::one_line(difference)));
    lines.push(match report.verdict {
        Verdict::Same => "same".to_owned(),
        Verdict::Differs => "different".to_owned(),
        Verdict::SourceDoesNotDecode => "nothing to compare".to_owned(),
    });
    lines.push(String::new());
    lines.join("\n")
}
