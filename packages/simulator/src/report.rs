//! Reports of sweeps and histories.

use std::ops::Range;

use segue_simulator::fault::FaultKind;
use segue_simulator::mutants::{MUTANTS, find, find_record};
use segue_simulator::op::Op;
use segue_simulator::scenario::SCENARIOS;
use segue_simulator::shrink::Shrunk;
use segue_simulator::sweep::Report;
use segue_simulator::{Outcome, Scenario, other};

/// The scenarios, one a line.
pub fn scenarios() {
    for scenario in SCENARIOS {
        println!("{:<12} {}", scenario.name, scenario.about);
    }
}

/// A sweep.
pub fn sweep(report: &Report, with_coverage: bool) {
    let [completed, failed, cancelled, deleted] = report.ends;
    println!(
        "{}: {} histories in {:.1} s ({:.0} a second), {} calls, {} h of simulated time",
        report.scenario.name,
        report.histories,
        report.seconds,
        report.rate(),
        report.calls,
        report.virtual_seconds / 3600
    );
    println!("jobs: {completed} completed, {failed} failed, {cancelled} cancelled, {deleted} deleted");
    println!("hash of all histories: {:016x}", report.hash);
    if with_coverage {
        coverage(report);
    }
    if let Some((kind, op, hits)) = report.rarest() {
        println!("rarest fault of a call: {} at {}, {hits} times", kind.as_str(), op.as_str());
    }
    for missing in report.not_hit() {
        println!("NOT HIT: {missing}");
    }
    for (seed, violation) in &report.violations {
        println!("VIOLATED by seed {seed}: {}: {}", violation.invariant.as_str(), violation.what);
    }
    println!("{} of {} histories violated an invariant", report.broken, report.histories);
}

fn coverage(report: &Report) {
    for kind in FaultKind::ALL {
        println!("{:>10}  {}", report.coverage.of(*kind), kind.as_str());
    }
    println!(
        "\nfaults of calls: {}",
        FaultKind::OF_CALLS.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(" | ")
    );
    for op in Op::ALL {
        let hits = FaultKind::OF_CALLS.iter().map(|kind| report.coverage.at(*kind, *op));
        println!("{:>14}{}", op.as_str(), hits.map(|n| format!("{n:>8}")).collect::<String>());
    }
}

/// One history in a few words.
pub fn history(outcome: &Outcome) {
    println!(
        "seed {}: {} calls, {} faults, {} s of simulated time, hash {:016x}",
        outcome.seed,
        outcome.calls,
        outcome.fired.len(),
        outcome.virtual_ms / 1000,
        outcome.hash()
    );
    match &outcome.violation {
        Some(violation) => println!("VIOLATED: {}: {}", violation.invariant.as_str(), violation.what),
        None => println!("no invariant was violated"),
    }
}

/// A shrunk history with its log.
pub fn shrunk(scenario: &Scenario, found: &Outcome, shrunk: &Shrunk) {
    let left = &shrunk.outcome.fired;
    println!(
        "\nthe history of seed {} without {} of its {} faults, after {} tries; it still needs:",
        found.seed,
        shrunk.without.len(),
        found.fired.len(),
        shrunk.tries
    );
    for fault in left {
        println!("  {fault}");
    }
    println!();
    print!("{}", shrunk.outcome.log);
    history(&shrunk.outcome);
    println!("all of it: cargo xtask simulate --scenario {} --replay {}", scenario.name, found.seed);
    println!("as above:  cargo xtask simulate --scenario {} --replay {} --shrink", scenario.name, found.seed);
}

/// Histories of the protocol that loses jobs.
pub fn other(seeds: Range<u64>) -> anyhow::Result<bool> {
    let lost = other::sweep(seeds.clone());
    println!("{}: {} of {} histories lose their job", other::NAME, lost.total(), seeds.end - seeds.start);
    for (why, (count, seed)) in &lost.causes {
        println!("{count:>8}  {why}; for example --replay {seed}");
    }
    Ok(lost.total() > 0)
}

/// One history of the protocol that loses jobs.
pub fn replay_other(seed: u64) -> anyhow::Result<bool> {
    let outcome = other::run(seed);
    print!("{}", outcome.log);
    println!("{}", outcome.lost.map_or("the job was completed".to_owned(), |why| format!("LOST: {why}")));
    Ok(true)
}

/// The table of deliberate bugs.
pub fn mutants(seeds: Range<u64>, threads: Option<usize>, only: Option<&str>) -> anyhow::Result<bool> {
    println!("| mutant | the mistake | scenario | seeds to find | violated invariant |");
    println!("|---|---|---|---|---|");
    let mut missed = 0;
    let chosen = MUTANTS.iter().filter(|mutant| only.is_none_or(|name| name == mutant.name));
    let chosen: Vec<_> = chosen.collect();
    for mutant in &chosen {
        let (seeds_to_find, invariant) = match find(mutant, seeds.clone(), threads)? {
            Some((seeds, violation)) => (seeds.to_string(), violation.invariant.as_str()),
            None => {
                missed += 1;
                ("NOT FOUND".to_owned(), "")
            }
        };
        println!(
            "| `{}` | {} | {} | {seeds_to_find} | {invariant} |",
            mutant.name, mutant.mistake, mutant.scenario
        );
    }
    println!("\n{} of {} mutants found", chosen.len() - missed, chosen.len());
    Ok(missed == 0 && !chosen.is_empty())
}

/// Records a history for each deliberate bug.
pub fn record(seeds: Range<u64>, folder: &std::path::Path, only: Option<&str>) -> anyhow::Result<bool> {
    std::fs::create_dir_all(folder)?;
    let mut missed = 0;
    for mutant in MUTANTS.iter().filter(|mutant| only.is_none_or(|name| name == mutant.name)) {
        match find_record(mutant, seeds.clone())? {
            Some(record) => {
                std::fs::write(folder.join(format!("{}.txt", mutant.name)), record.write())?;
                println!("{}: seed {}", mutant.name, record.params.seed);
            }
            None => {
                missed += 1;
                println!("{}: NOT FOUND", mutant.name);
            }
        }
    }
    Ok(missed == 0)
}
