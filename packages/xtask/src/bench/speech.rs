//! The transcript: speed and word error rate.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::report::Report;
use super::sources::Talk;
use super::{Bench, wer};
use crate::measure::{Cost, Watch, median, run};
use crate::program;

const SEEDS: [u32; 3] = [7, 11, 23];
const SEGMENTS: [u32; 4] = [1, 2, 8, 60];
/// Beam width, the default of Segue and of whisper.cpp's own program.
const SEARCH: &str = "5";
/// Greedy search.
const GREEDY: &str = "0";
const MOST_WER: f64 = 4.0;
const MOST_SPREAD: f64 = 0.2;

/// Wall time against one pass of the same engine on the same talk, measured alternately.
pub fn against_one_pass(bench: &Bench, report: &mut Report) -> Result<()> {
    ensure!(bench.model_dir.is_some(), "no models: set SEGUE_MODEL_DIR");
    let one_pass = program::one_pass(&bench.features)?;
    let talk = bench.sources.speech(7)?;
    let (mut ours, mut theirs, mut greedy) = (Vec::<Cost>::new(), Vec::<Cost>::new(), Vec::<Cost>::new());
    for _ in 0..bench.runs {
        theirs.push(single(bench, &one_pass, &talk, SEARCH)?.0);
        ours.push(self::ours(bench, &talk, "300s")?.0);
        greedy.push(single(bench, &one_pass, &talk, GREEDY)?.0);
    }
    report.raw("transcript: ours", &ours);
    report.raw("transcript: one pass", &theirs);
    report.raw("transcript: one greedy pass", &greedy);
    for (what, of) in [("wall", (|c: &Cost| c.wall_s) as fn(&Cost) -> f64), ("CPU", |c: &Cost| c.cpu_s)] {
        let (a, b) = (median(ours.iter().map(of)), median(theirs.iter().map(of)));
        let shown = format!("{:.2}× ({a:.1} s against {b:.1} s)", a / b);
        let what = format!("{what} against one whisper.cpp pass");
        if what.starts_with("wall") {
            report.at_most("transcript", &what, a / b, 1.0, shown, "≤ 1.0×");
        } else {
            report.info("transcript", &what, a / b, shown);
        }
    }
    // for comparison: a greedy pass is faster, with more word errors
    let (a, b) = (median(ours.iter().map(|c| c.wall_s)), median(greedy.iter().map(|c| c.wall_s)));
    let shown = format!("{:.2}× ({a:.1} s against {b:.1} s)", a / b);
    report.info("transcript", "wall against one greedy whisper.cpp pass", a / b, shown);
    Ok(())
}

/// Word error rates of the whole program, for each talk and number of segments.
pub fn word_errors(bench: &Bench, report: &mut Report) -> Result<()> {
    ensure!(bench.model_dir.is_some(), "no models: set SEGUE_MODEL_DIR");
    let one_pass = program::one_pass(&bench.features)?;
    let (seeds, counts) =
        if bench.quick { (&SEEDS[..1], &SEGMENTS[..2]) } else { (&SEEDS[..], &SEGMENTS[..]) };
    for seed in seeds {
        let talk = bench.sources.speech(*seed)?;
        let pass = |beam| -> Result<f64> {
            let (_, text) = single(bench, &one_pass, &talk, beam)?;
            wer::judged(talk.judge.as_deref(), &talk.reference, &text)
        };
        let (once, greedy) = (pass(SEARCH)?, pass(GREEDY)?);
        let name = format!("seed {seed}, {}", talk.what);
        report.info("wer", &format!("{name}: one whisper.cpp pass"), once, format!("{once:.2}%"));
        let what = format!("{name}: one greedy whisper.cpp pass");
        report.info("wer", &what, greedy, format!("{greedy:.2}%"));
        let mut all = Vec::new();
        for count in counts {
            let duration_ms = talk.millis.div_ceil(u64::from(*count));
            let (_, text) = ours(bench, &talk, &format!("{duration_ms}ms"))?;
            let errors = wer::judged(talk.judge.as_deref(), &talk.reference, &text)?;
            all.push(errors);
            let limit = if talk.synthetic { once } else { MOST_WER.min(once) };
            let limit_text = format!("≤ {limit:.2}%");
            let what = format!("{name}: {count} segments");
            report.at_most("wer", &what, errors, limit, format!("{errors:.2}%"), &limit_text);
        }
        let spread =
            all.iter().copied().fold(f64::MIN, f64::max) - all.iter().copied().fold(f64::MAX, f64::min);
        let shown = format!("{spread:.2} points");
        report.at_most("wer", &format!("{name}: spread"), spread, MOST_SPREAD + 1e-9, shown, "≤ 0.2 points");
    }
    Ok(())
}

/// Transcribes a talk with `segue run`; returns the cost and the path of the text.
pub fn ours(bench: &Bench, talk: &Talk, segment_duration: &str) -> Result<(Cost, PathBuf)> {
    let args = ["--recipe", "transcript", "--language", "en", "--segment-duration", segment_duration];
    let (mut command, out) = bench.run_command(&talk.sound, &args)?;
    Ok((run(command.env("SEGUE_MODEL", "base.en"), Watch::Time)?, out.join("transcript.txt")))
}

/// Transcribes a talk in one pass with all threads; returns the cost and the path of the text.
fn single(bench: &Bench, one_pass: &Path, talk: &Talk, beam: &str) -> Result<(Cost, PathBuf)> {
    let text = bench.work.join("one-pass.txt");
    let mut command = Command::new(one_pass);
    command
        .arg(&talk.sound)
        .arg(&text)
        .arg("--threads")
        .arg(bench.threads.to_string())
        .args(["--beam", beam]);
    if let Some(models) = &bench.model_dir {
        command.env("SEGUE_MODEL_DIR", models);
    }
    Ok((run(&mut command, Watch::Time)?, text))
}
