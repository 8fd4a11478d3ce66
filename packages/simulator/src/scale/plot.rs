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

/// Seeds over which the rule for late attempts is looked at, for the spread.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=100;

/// Part of the ideal that is wanted.
const WANTED: f64 = 0.95;

/// Where the tables begin and end in the page.
const TABLE: [&str; 2] = ["<!-- table: cargo xtask scale -->\n", "<!-- end -->"];
const SPREAD: [&str; 2] = ["<!-- spread: cargo xtask scale -->\n", "<!-- end of the spread -->"];

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
    let reached =
        with.iter().chain(&seeds).chain([&unwarned, &short]).all(|row| row.ran.efficiency() >= WANTED);
    let rows: Vec<Row> =
        with.into_iter().chain(seeds).chain(without).chain([unwarned, short, calm, small]).collect();
    let (table, spread) = (table(&rows), spread());
    print!("{table}\n{spread}");
    let page = docs.join("scale.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("{}", page.display()))?;
    std::fs::write(&page, put(&put(&text, TABLE, &table)?, SPREAD, &spread)?)?;
    Ok(reached)
}

/// The page with another text between two marks.
fn put(page: &str, [begin, end]: [&str; 2], text: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(begin).with_context(|| format!("the page has no {begin:?}"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("the page has no {end:?}"))?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}

/// How much seeds differ.
fn spread() -> String {
    let mut text = String::from(
        "| fleet | seeds | lowest (seed) | median | below 95% | second spares, all seeds |\n|---|---|---|---|---|---|\n",
    );
    for (name, length) in [("segments of 300 s, one job", 150), ("segments of 60 s, one job", 30)] {
        let run = |seed| (Fleets { seed, length, ..Fleets::new() }.run(), seed);
        let mut all: Vec<(Ran, u64)> = SEEDS.map(run).collect();
        all.sort_by(|(a, _), (b, _)| a.efficiency().total_cmp(&b.efficiency()));
        let below = all.iter().filter(|(ran, _)| ran.efficiency() < WANTED).count();
        let second: u64 = all.iter().map(|(ran, _)| ran.second_spares).sum();
        let (lowest, median) = (&all[0], &all[all.len() / 2].0);
        let _ = writeln!(
            text,
            "| {name} | {} to {} | {:.1}% ({}) | {:.1}% | {below} of {} | {second} |",
            SEEDS.start(),
            SEEDS.end(),
            lowest.0.efficiency() * 100.0,
            lowest.1,
            median.efficiency() * 100.0,
            all.len(),
        );
    }
    text
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| fleet | jobs | makespan s | ideal s | efficiency | ledger calls/s (busiest 10 s) | queue calls/s | attempts | given back | spares (second ones) | interrupted | $ |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for Row { name, jobs, ran } in rows {
        let _ = writeln!(
            text,
            "| {name} | {jobs} | {:.0} | {:.0} | {:.1}% | {:.0} ({:.0}) | {:.0} | {} | {} | {} ({}) | {} | {:.2} |",
            ran.makespan_s,
            ran.ideal_s,
            ran.efficiency() * 100.0,
            ran.ledger_calls as f64 / ran.makespan_s,
            ran.ledger_peak,
            ran.queue_calls as f64 / ran.makespan_s,
            ran.attempts,
            ran.given_back,
            ran.spares,
            ran.second_spares,
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
