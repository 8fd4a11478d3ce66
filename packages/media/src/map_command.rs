//! The user's map command, run on one part.
//!
//! The line is split by shell rules, and no shell runs unless the user names one;
//! placeholders are replaced after the splitting, so that no file name can become an option.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::error::{MediaError, MediaErrorKind, Result};
use crate::process::{self, Heard, Invocation, Limits, Profile};

/// A user's command, validated and split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapCommand {
    words: Vec<String>,
}

/// One run of the command.
#[derive(Debug, Clone, Copy)]
pub struct MapTask<'a> {
    /// Description for messages: `segment 3`.
    pub what: &'a str,
    /// The part to read.
    pub input: &'a Path,
    /// The file to write.
    pub output: &'a Path,
    /// Index of the segment or stream, from 0.
    pub index: u32,
    /// Number of segments or streams.
    pub total: u32,
    /// Its start in the source, in microseconds.
    pub start_us: i64,
    /// Its end in the source, in microseconds.
    pub end_us: i64,
    /// The job.
    pub job: &'a str,
}

const KNOWN: [&str; 7] = ["input", "output", "index", "total", "start", "end", "job"];

impl MapCommand {
    /// Splits and checks a command line.
    pub fn parse(line: &str) -> Result<MapCommand> {
        let words = shlex::split(line)
            .ok_or_else(|| MediaError::usage(format!("the map command has an open quote: {line}")))?;
        if words.is_empty() {
            return Err(MediaError::usage("the map command is empty"));
        }
        for name in ["input", "output"] {
            if !line.contains(&format!("{{{name}}}")) {
                return Err(MediaError::usage(format!(
                    "the map command does not say {{{name}}}; it must read {{input}} and write {{output}}"
                )));
            }
        }
        Ok(MapCommand { words })
    }

    /// The program, as the command line names it.
    pub fn program(&self) -> &str {
        &self.words[0]
    }

    /// The program and its arguments for one part.
    pub fn arguments(&self, task: &MapTask<'_>) -> Vec<OsString> {
        self.words.iter().map(|word| fill(word, task)).collect()
    }

    /// Runs the command on one part.
    ///
    /// # Errors
    /// A command that fails, or that writes no output.
    pub async fn run(&self, task: &MapTask<'_>, limits: &Limits) -> Result<()> {
        let mut words = self.arguments(task).into_iter();
        let program = words.next().unwrap_or_default();
        let mut call = Invocation::new(format!("map command on {}", task.what), &program, words.collect());
        call.envs = KNOWN
            .iter()
            .filter_map(|name| Some((format!("SEGUE_{}", name.to_uppercase()), value(name, task)?)))
            .collect();
        let call = call.with_profile(Profile::Map).reading(task.input).writing(task.output);
        // a user's program may be silent: only the time limit ends it
        let limits = Limits { stall: limits.time, ..limits.clone() };
        process::run(&call, &limits, |_| Heard::Progress).await?;
        match fs::metadata(task.output) {
            Ok(meta) if meta.is_file() && meta.len() > 0 => Ok(()),
            Ok(_) => Err(MediaError::new(
                MediaErrorKind::Source,
                format!("map command on {}: left an empty output", task.what),
            )),
            Err(_) => Err(MediaError::new(
                MediaErrorKind::Source,
                format!("map command on {}: wrote no output to {{output}}", task.what),
            )),
        }
    }
}

fn value(name: &str, task: &MapTask<'_>) -> Option<OsString> {
    Some(match name {
        "input" => task.input.into(),
        "output" => task.output.into(),
        "index" => task.index.to_string().into(),
        "total" => task.total.to_string().into(),
        "start" => crate::mux::seconds(task.start_us).into(),
        "end" => crate::mux::seconds(task.end_us).into(),
        "job" => task.job.into(),
        _ => return None,
    })
}

/// One word with its placeholders replaced; braces with unknown names stay.
fn fill(word: &str, task: &MapTask<'_>) -> OsString {
    let mut out = OsString::new();
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        out.push(&rest[..open]);
        rest = &rest[open..];
        let named = rest.find('}').and_then(|close| Some((close, value(&rest[1..close], task)?)));
        match named {
            Some((close, value)) => {
                out.push(value);
                rest = &rest[close + 1..];
            }
            None => {
                out.push("{");
                rest = &rest[1..];
            }
        }
    }
    out.push(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task<'a>() -> MapTask<'a> {
        MapTask {
            what: "segment 3",
            input: Path::new("/tmp/a b/in; rm -rf.mp4"),
            output: Path::new("/tmp/out.mp4"),
            index: 3,
            total: 9,
            start_us: 1_500_000,
            end_us: 2_000_000,
            job: "j1",
        }
    }

    #[test]
    fn a_placeholder_is_one_argument_whatever_it_holds() {
        let command =
            MapCommand::parse("tool -i {input} 'x {index}/{total}' {output} {odd} {start}-{end}").unwrap();
        let words = command.arguments(&task());
        let expected =
            ["tool", "-i", "/tmp/a b/in; rm -rf.mp4", "x 3/9", "/tmp/out.mp4", "{odd}", "1.500000-2.000000"];
        assert_eq!(words, expected.map(OsString::from));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in ["", "cp {input}", "cp {output}", "cp '{input} {output}"] {
            let error = MapCommand::parse(line).unwrap_err();
            assert_eq!(error.kind(), MediaErrorKind::Usage, "{line}");
        }
    }

    #[tokio::test]
    async fn no_output_and_empty_output_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        fs::write(&input, b"x").unwrap();
        let task = MapTask { input: &input, output: &output, ..task() };
        let run = async |line: &str| MapCommand::parse(line).unwrap().run(&task, &Limits::default()).await;
        assert!(run("true {input} {output}").await.unwrap_err().to_string().contains("no output"));
        assert!(run("touch {output} {input}").await.unwrap_err().to_string().contains("empty"));
        assert!(
            run("sh -c 'echo no >&2; exit 3' {input} {output}").await.unwrap_err().stderr_tail()[0]
                .contains("no")
        );
        run("cp {input} {output}").await.unwrap();
    }
}
