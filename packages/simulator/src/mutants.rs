//! Deliberate protocol bugs: what each is, and the scenario that finds it.
//!
//! They are data: `packages/simulator/mutants` has the edits of the source that each consists of, and
//! `cargo xtask mutants` builds a copy of the source with all of them.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::oracle::Violation;
use crate::params::Params;
use crate::record::Record;
use crate::scenario::Scenario;
use crate::shrink::{record, shrink};
use crate::sweep::{Sweep, scratch_folder};
use crate::switch;

/// A deliberate bug.
#[derive(Debug, Clone, Deserialize)]
pub struct Mutant {
    /// Its name in the edits.
    pub name: String,
    /// The mistake.
    pub mistake: String,
    /// The scenario in which it is found.
    pub scenario: String,
}

/// A file of `packages/simulator/mutants`; the edits are the concern of `cargo xtask mutants`.
#[derive(Deserialize)]
struct Mutants {
    mutant: Vec<Mutant>,
}

/// Every deliberate bug, in the order of the files' names.
pub static MUTANTS: LazyLock<Vec<Mutant>> =
    LazyLock::new(|| read().unwrap_or_else(|error| panic!("packages/simulator/mutants: {error:#}")));

fn read() -> anyhow::Result<Vec<Mutant>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(toml::from_str::<Mutants>(&std::fs::read_to_string(file)?)?.mutant);
    }
    Ok(all)
}

/// Looks for a mutant: how many seeds that took, and the violation.
///
/// # Errors
/// No folder for scratch files can be made.
pub fn find(
    mutant: &'static Mutant,
    seeds: Range<u64>,
    threads: Option<usize>,
) -> anyhow::Result<Option<(u64, Violation)>> {
    let scenario = Scenario::named(&mutant.scenario).expect("the table names scenarios that are there");
    let first = seeds.start;
    let sweep = Sweep::new(scenario, seeds);
    let threads = threads.unwrap_or(sweep.threads);
    let sweep = Sweep { threads, stop_at_first: true, mutant: Some(&mutant.name), ..sweep };
    let found = sweep.run()?.violations.into_iter().next();
    Ok(found.map(|(seed, violation)| (seed - first + 1, violation)))
}

/// Looks for a mutant and records a history with few faults that finds it.
///
/// # Errors
/// No folder for scratch files can be made.
pub fn find_record(mutant: &'static Mutant, mut seeds: Range<u64>) -> anyhow::Result<Option<Record>> {
    let scenario = Scenario::named(&mutant.scenario).expect("the table names existing scenarios");
    let scratch = scratch_folder()?;
    while let Some((found, _)) = find(mutant, seeds.clone(), None)? {
        let seed = seeds.start + found - 1;
        switch::choose(Some(&mutant.name));
        let outcome = crate::history::run(Params::draw(seed, scenario, HashSet::new()), scratch.path());
        let shrunk = shrink(&outcome, scenario, scratch.path());
        let record = record(&shrunk, scenario, &mutant.name, scratch.path());
        switch::choose(None);
        // a history that is violated without the mutant as well found something else
        let is_red =
            |record: &Record| crate::history::run(record.params.clone(), scratch.path()).violation.is_some();
        match record.filter(|record| !is_red(record)) {
            Some(record) => return Ok(Some(record)),
            None => seeds.start = seed + 1,
        }
    }
    Ok(None)
}
