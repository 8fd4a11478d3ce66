//! The transcript against faster-whisper with the same model.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::report::Report;
use super::{Bench, speech, wer};
use crate::measure::{Watch, median, run};

/// Reports the ratio, without a limit; reports the reason if faster-whisper cannot run.
pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let script = match bench.shared.as_ref().map(|shared| shared.join("tools/peer_faster_whisper.py")) {
        Some(script) if script.is_file() => script,
        _ => {
            report.not_run("peer", "skipped: no tools/peer_faster_whisper.py; set SEGUE_SHARED");
            return Ok(());
        }
    };
    let dir = match set_up(bench, &script) {
        Ok(dir) => dir,
        Err(why) => {
            report.not_run("peer", &format!("skipped: {why:#}"));
            return Ok(());
        }
    };
    let talk = bench.sources.speech(7)?;
    let sound = bench.work.join("peer.wav");
    std::fs::copy(&talk.sound, &sound)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::<(String, f64)>::new());
    for _ in 0..bench.runs {
        let threads = bench.threads.to_string();
        let output = run(
            Command::new("python3").arg(&script).arg("run").arg(&dir).arg(&sound).arg(threads),
            Watch::Time,
        )?;
        for line in output.stdout.lines() {
            let mut words = line.split_whitespace();
            if let (Some(mode), Some(seconds)) = (words.next(), words.next().and_then(|s| s.parse().ok())) {
                theirs.push((mode.to_owned(), seconds));
            }
        }
        ours.push(speech::ours(bench, &talk, "300s")?.0.wall_s);
    }
    let own = median(ours.iter().copied());
    let mut modes: Vec<&String> = theirs.iter().map(|(mode, _)| mode).collect();
    modes.sort();
    modes.dedup();
    for mode in modes {
        let of_mode = median(theirs.iter().filter(|(m, _)| m == mode).map(|(_, s)| *s));
        let text = PathBuf::from(format!("{}.{mode}.txt", sound.display()));
        let errors = wer::judged(talk.judge.as_deref(), &talk.reference, &text)?;
        let ratio = own / of_mode;
        let shown = format!(
            "{ratio:.2}× (ours {own:.1} s as a whole program, theirs {of_mode:.1} s without loading; its WER {errors:.2}%)"
        );
        report.info("peer", &format!("wall against faster-whisper {mode}"), ratio, shown);
    }
    Ok(())
}

/// Its model, converted once from that of Segue.
fn set_up(bench: &Bench, script: &Path) -> Result<PathBuf> {
    let models = bench.model_dir.as_ref().context("no models: set SEGUE_MODEL_DIR")?;
    run(Command::new("python3").args(["-c", "import faster_whisper, numpy"]), Watch::Time)
        .context("its Python packages are missing: pip install faster-whisper==1.2.1 numpy")?;
    let dir = bench.sources.folder("peer")?;
    if !dir.join("ct2-base.en/tokenizer.json").is_file() {
        let link = dir.join("ggml-base.en.bin");
        if !link.exists() {
            std::os::unix::fs::symlink(models.join("ggml-base.en.bin").canonicalize()?, &link)?;
        }
        run(Command::new("python3").arg(script).arg("setup").arg(&dir), Watch::Time)
            .context("its model cannot be converted")?;
    }
    Ok(dir)
}
