//! Every deliberate bug is in the documented table, and its recorded history finds it.
//!
//! A usual run compares the table and the recorded histories with the code. `cargo test --release -p
//! segue-simulator --features mutants` replays every history with its bug.

use std::collections::BTreeMap;

use segue_simulator::mutants::MUTANTS;
use segue_simulator::record::Record;
use segue_simulator::run;
use segue_simulator::sweep::scratch_folder;

/// Seeds within which a search has to find every mutant.
#[cfg(feature = "mutants")]
const SEEDS: u64 = 20_000;

/// A row of the table: mistake, scenario, invariant.
fn documented() -> BTreeMap<String, [String; 3]> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulator.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    let four = cells.filter(|cells| cells.len() == 4);
    four.map(|cells| {
        let [name, rest @ ..]: [String; 4] = cells.try_into().unwrap();
        (name.trim_end_matches('`').to_owned(), rest)
    })
    .collect()
}

/// The recorded history of a mutant.
fn recorded(mutant: &str) -> Record {
    let file = format!("{}/tests/recorded/{mutant}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    Record::read(&text).unwrap_or_else(|error| panic!("{file}: {error:#}"))
}

#[test]
fn the_documented_table_has_every_mutant() {
    let table = documented();
    assert_eq!(table.len(), MUTANTS.len(), "rows and mutants");
    for mutant in MUTANTS {
        let [mistake, scenario, invariant] =
            table.get(mutant.name).unwrap_or_else(|| panic!("{} is not in the table", mutant.name));
        assert_eq!(
            (mistake.as_str(), scenario.as_str()),
            (mutant.mistake, mutant.scenario),
            "{}",
            mutant.name
        );
        let record = recorded(mutant.name);
        assert_eq!(record.mutant, mutant.name);
        assert_eq!(record.params.scenario.name, mutant.scenario, "{}", mutant.name);
        assert_eq!(record.invariant.as_str(), invariant, "{}", mutant.name);
    }
}

#[test]
fn no_recorded_history_violates_an_invariant_without_its_mutant() {
    let scratch = scratch_folder().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), MUTANTS.len(), "a history for each mutant");
    for mutant in MUTANTS {
        let outcome = run(recorded(mutant.name).params, scratch.path());
        assert_eq!(outcome.violation, None, "{}:\n{}", mutant.name, outcome.log);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn every_recorded_history_finds_its_mutant() {
    let scratch = scratch_folder().unwrap();
    let mut missed = Vec::new();
    for mutant in MUTANTS {
        let record = recorded(mutant.name);
        segue_ports::mutants::choose(Some(mutant.name));
        let violation = run(record.params, scratch.path()).violation;
        segue_ports::mutants::choose(None);
        if violation.as_ref().map(|violation| violation.invariant) != Some(record.invariant) {
            missed.push(format!("{}: {violation:?}", mutant.name));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}\nrecord them again: --mutants --record, see docs/simulator.md");
}

#[cfg(feature = "mutants")]
#[test]
#[ignore = "an hour: cargo test --release -p segue-simulator --features mutants --test histories mutants:: -- --ignored"]
fn every_mutant_is_found_within_its_seeds() {
    for mutant in MUTANTS {
        let found = segue_simulator::mutants::find(mutant, 0..SEEDS, None).unwrap();
        assert!(found.is_some(), "{} was not found in {SEEDS} seeds", mutant.name);
    }
}
