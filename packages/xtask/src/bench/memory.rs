//! Peak memory, which must not grow with the length of the source.

use anyhow::{Result, ensure};

use super::Bench;
use super::report::Report;
use crate::measure::{Cost, Watch, run};

/// Megabytes without the speech model.
const LIMIT_MB: f64 = 400.0;
const GROWTH: f64 = 10.0;
/// Least time of memory sampling, seconds. Shorter runs are repeated: the maximum of few samples is
/// random, and lower for the shorter source.
const SAMPLED_FOR: f64 = 20.0;

/// The recipes without a model.
pub fn without_words(bench: &Bench, report: &mut Report) -> Result<()> {
    for recipe in ["rejoin", "mp4"] {
        measure(bench, report, recipe, &[], Some(LIMIT_MB))?;
    }
    Ok(())
}

/// The transcript, whose model is included.
pub fn with_words(bench: &Bench, report: &mut Report) -> Result<()> {
    ensure!(bench.model_dir.is_some(), "no models: set SEGUE_MODEL_DIR");
    measure(bench, report, "transcript", &["--language", "en"], None)
}

fn measure(
    bench: &Bench,
    report: &mut Report,
    recipe: &str,
    more: &[&str],
    limit_mb: Option<f64>,
) -> Result<()> {
    let (short, long) = if bench.quick { (1, 5) } else { (10, 120) };
    let peak = |minutes: u32| -> Result<Cost> {
        let source = bench.sources.talk_minutes(minutes)?;
        let args = [&["--recipe", recipe, "--segment-duration", "60s"], more].concat();
        let (mut most, mut sampled_for) = (Cost::default(), 0.0);
        while sampled_for < SAMPLED_FOR {
            let (mut command, out) = bench.run_command(&source, &args)?;
            let cost = run(&mut command, Watch::Memory)?;
            std::fs::remove_dir_all(out)?;
            sampled_for += cost.wall_s;
            let rss = cost.peak_rss_kb.max(most.peak_rss_kb);
            most = if cost.peak_pss_kb > most.peak_pss_kb { cost } else { most };
            most.peak_rss_kb = rss;
            if bench.quick {
                break;
            }
        }
        Ok(most)
    };
    let (a, b) = (peak(short)?, peak(long)?);
    report.raw(&format!("memory {recipe}, {short} and {long} minutes"), &[&a, &b]);
    let mb = |kb: u64| kb as f64 * 1024.0 / 1e6;
    let growth = 100.0 * (mb(b.peak_pss_kb) / mb(a.peak_pss_kb) - 1.0);
    let shown = format!(
        "{growth:+.1}% (PSS {:.0} MB and {:.0} MB; RSS {:.0} and {:.0})",
        mb(a.peak_pss_kb),
        mb(b.peak_pss_kb),
        mb(a.peak_rss_kb),
        mb(b.peak_rss_kb)
    );
    let what = format!("{recipe}: peak of the tree, {short} and {long} minutes");
    report.at_most("memory", &what, growth, GROWTH, shown, "grows ≤ 10%");
    let most = mb(a.peak_pss_kb.max(b.peak_pss_kb));
    let (what, shown) = (format!("{recipe}: most of the two, PSS"), format!("{most:.0} MB"));
    match limit_mb {
        Some(limit) => report.at_most("memory", &what, most, limit, shown, "< 400 MB"),
        None => report.info("memory", &format!("{what}, with the model"), most, shown),
    }
    Ok(())
}
