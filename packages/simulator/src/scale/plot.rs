//! The plots and the table of `docs/scale.md`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::prelude::*;

use super::{Fleets, Ran};

/// Jobs that the hundred thousand segments are shared among.
const JOBS: [u32; 5] = [1, 10, 100, 1_000, 10_000];

/// Assumed prices in dollars: a worker's hour on a spot machine of two cores, a million calls
/// of the ledger (all taken for writes), a million calls of the queue.
const WORKER_HOUR: f64 = 0.03;
const LEDGER_MILLION: f64 = 0.625;
const QUEUE_MILLION: f64 = 0.40;

/// Where the table begins and ends in the page.
const TABLE: [&str; 2] = ["<!-- table: cargo xtask scale -->\n", "<!-- end -->"];

/// A row: what was different, and what came of it.
struct Row {
    name: String,
    jobs: u32,
    ran: Ran,
}

fn dollars(ran: &Ran) -> f64 {
    let calls = ran.ledger_calls as f64 * LEDGER_MILLION + ran.queue_calls as f64 * QUEUE_MILLION;
    ran.worker_s / 3600.0 * WORKER_HOUR + calls / 1e6
}

/// Runs every fleet and writes plots and table into the folder of the page. False when the rule
/// for late attempts does not reach 95% of the ideal.
///
/// # Errors
/// A page without the place for the table, or files that cannot be written.
pub fn all(docs: &Path) -> anyhow::Result<bool> {
    let fleets = |jobs| Fleets { jobs, ..Fleets::new() };
    let run = |name: &str, of: &dyn Fn(u32) -> Fleets| -> Vec<Row> {
        JOBS.iter().map(|jobs| Row { name: name.to_owned(), jobs: *jobs, ran: of(*jobs).run() }).collect()
    };
    let with = run("late attempts given back or doubled", &fleets);
    let without = run("nothing done about late attempts", &|jobs| Fleets { late: None, ..fleets(jobs) });
    let one = |name: &str, fleets: Fleets| Row { name: name.to_owned(), jobs: 1, ran: fleets.run() };
    let seeds = [2, 3, 4, 5]
        .map(|seed| one(&format!("late attempts as above, seed {seed}"), Fleets { seed, ..fleets(1) }));
    let unwarned = one("interrupted without a warning", Fleets { is_warned: false, ..fleets(1) });
    let short = one("segments of 60 s", Fleets { length: 30, ..fleets(1) });
    let calm = Fleets { stragglers_per_mille: 0, interruptions_per_mille: 0, ..fleets(1) };
    let calm = one("no stragglers, no interruptions", calm);
    let small = one("as many segments as workers", Fleets { segments: 1_000, ..fleets(1) });
    std::fs::create_dir_all(docs.join("scale"))?;
    type Figure = fn(&Ran) -> f64;
    let plots: [(&str, &str, Figure); 4] = [
        ("efficiency", "ideal time in parts of the makespan, %", |ran| ran.efficiency() * 100.0),
        ("ledger", "calls of the ledger a second, in the mean", |ran| {
            ran.ledger_calls as f64 / ran.makespan_s
        }),
        ("queue", "calls of the queue a second, in the mean", |ran| ran.queue_calls as f64 / ran.makespan_s),
        ("cost", "dollars for all segments", dollars),
    ];
    for (name, what, figure) in plots {
        let path = docs.join("scale").join(format!("{name}.svg"));
        let points = |rows: &[Row]| rows.iter().map(|row| (row.jobs, figure(&row.ran))).collect();
        plot(&path, what, &[(&with[0].name, points(&with)), (&without[0].name, points(&without))])
            .map_err(|why| anyhow!("{}: {why}", path.display()))?;
    }
    let reached = with.iter().chain(&seeds).all(|row| row.ran.efficiency() >= 0.95);
    let rows: Vec<Row> =
        with.into_iter().chain(seeds).chain(without).chain([unwarned, short, calm, small]).collect();
    let table = table(&rows);
    print!("{table}");
    let page = docs.join("scale.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("{}", page.display()))?;
    let (before, rest) = text.split_once(TABLE[0]).context("the page has no place for the table")?;
    let (_, after) = rest.split_once(TABLE[1]).context("the page's table has no end")?;
    std::fs::write(&page, format!("{before}{}{table}{}{after}", TABLE[0], TABLE[1]))?;
    Ok(reached)
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| fleet | jobs | makespan s | ideal s | efficiency | ledger calls/s (busiest 10 s) | queue calls/s | attempts | given back | spares | interrupted | $ |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for Row { name, jobs, ran } in rows {
        let _ = writeln!(
            text,
            "| {name} | {jobs} | {:.0} | {:.0} | {:.1}% | {:.0} ({:.0}) | {:.0} | {} | {} | {} | {} | {:.2} |",
            ran.makespan_s,
            ran.ideal_s,
            ran.efficiency() * 100.0,
            ran.ledger_calls as f64 / ran.makespan_s,
            ran.ledger_peak,
            ran.queue_calls as f64 / ran.makespan_s,
            ran.attempts,
            ran.given_back,
            ran.spares,
            ran.interrupted,
            dollars(ran),
        );
    }
    text
}

type Line<'a> = (&'a String, Vec<(u32, f64)>);

fn plot(path: &Path, what: &str, lines: &[Line<'_>]) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (720, 400)).into_drawing_area();
    root.fill(&WHITE)?;
    let highest = lines.iter().flat_map(|(_, points)| points).map(|(_, y)| *y).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((1u32..10_000u32).log_scale(), 0.0..highest * 1.15)?;
    chart.configure_mesh().x_desc("jobs").y_desc(what).draw()?;
    for ((name, points), color) in lines.iter().zip([BLUE, RED]) {
        let drawn = chart.draw_series(LineSeries::new(points.iter().copied(), &color).point_size(3))?;
        drawn.label(name.as_str()).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    let place = SeriesLabelPosition::LowerRight;
    chart.configure_series_labels().position(place).background_style(WHITE).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}
