//! Every deliberate bug is in the documented table, and its recorded history finds it.
//!
//! A usual run compares the table and the recorded histories with the data of the mutants. The tests that
//! need the mutants are ignored: `cargo xtask mutants` builds a copy of the source that has them, and runs
//! the module `found` there.

use std::collections::BTreeMap;

use segue_simulator::mutants::MUTANTS;
use segue_simulator::record::Record;
use segue_simulator::run;
use segue_simulator::sweep::scratch_folder;

/// Seeds within which a search has to find every mutant.
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
    for mutant in MUTANTS.iter() {
        let [mistake, scenario, invariant] =
            table.get(&mutant.name).unwrap_or_else(|| panic!("{} is not in the table", mutant.name));
        assert_eq!(
            (mistake.as_str(), scenario.as_str()),
            (mutant.mistake.as_str(), mutant.scenario.as_str()),
            "{}",
            mutant.name
        );
        let record = recorded(&mutant.name);
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
    for mutant in MUTANTS.iter() {
        let outcome = run(recorded(&mutant.name).params, scratch.path());
        assert_eq!(outcome.violation, None, "{}:\n{}", mutant.name, outcome.log);
    }
}

/// Tests in the copy of the source that has the mutants.
mod found {
    use std::sync::Arc;
    use std::time::Duration;

    use segue_ports::Ledger;
    use segue_ports_testkit::conformance::{self, Capabilities, Subject};
    use segue_ports_testkit::memory::MemoryLedger;
    use segue_simulator::switch;

    use super::*;

    /// Mutants of the rules of a change and of the in-memory ledger that the conformance suite of ledgers finds
    /// as well.
    const OF_THE_LEDGER: [&str; 19] = [
        "assemble-before-mapped",
        "change-in-any-state",
        "change-while-deleting",
        "completion-overwritten",
        "count-apart",
        "delete-any-epoch",
        "delete-keeps-leases",
        "delete-leaves-no-tombstone",
        "delete-unfenced",
        "fence-not-compared",
        "lease-never-expires",
        "need-read-early",
        "record-unfenced",
        "release-any-term",
        "release-forgets-term",
        "renew-any-term",
        "retry-keeps-failures",
        "seal-revives",
        "sweeper-reads-job-state",
    ];

    #[test]
    #[ignore = "needs the mutants: cargo xtask mutants"]
    fn every_recorded_history_finds_its_mutant() {
        assert!(switch::is_in_build(), "cargo xtask mutants makes the copy that has the mutants");
        let scratch = scratch_folder().unwrap();
        let mut missed = Vec::new();
        for mutant in MUTANTS.iter() {
            let record = recorded(&mutant.name);
            switch::choose(Some(&mutant.name));
            let violation = run(record.params, scratch.path()).violation;
            switch::choose(None);
            if violation.as_ref().map(|violation| violation.invariant) != Some(record.invariant) {
                missed.push(format!("{}: {violation:?}", mutant.name));
            }
        }
        assert!(
            missed.is_empty(),
            "{missed:#?}\nrecord them again: --mutants --record, see docs/simulator.md"
        );
    }

    /// Whether the in-memory ledger passes its suite with this mutant.
    async fn passes(mutant: Option<&'static str>) -> bool {
        switch::choose(mutant);
        let caps =
            Capabilities { short: Duration::from_secs(60), clauses_at_once: 16, ..Capabilities::default() };
        let ledger =
            || async { Subject::<dyn Ledger>::new(Arc::new(MemoryLedger::new().recording_notices())) };
        let ended = tokio::spawn(conformance::ledger::run(ledger, caps)).await;
        switch::choose(None);
        ended.is_ok()
    }

    #[tokio::test(start_paused = true)]
    #[ignore = "needs the mutants: cargo xtask mutants"]
    async fn the_suite_of_ledgers_finds_every_mutant_of_the_ledger() {
        assert!(switch::is_in_build(), "cargo xtask mutants makes the copy that has the mutants");
        assert!(passes(None).await, "without a mutant");
        for name in OF_THE_LEDGER {
            assert!(MUTANTS.iter().any(|mutant| mutant.name == name), "{name} is no mutant");
            assert!(!passes(Some(name)).await, "the suite passes with {name}");
        }
    }
}

#[test]
#[ignore = "an hour, and it needs the mutants: cargo xtask mutants --search"]
fn every_mutant_is_found_within_its_seeds() {
    assert!(
        segue_simulator::switch::is_in_build(),
        "cargo xtask mutants makes the copy that has the mutants"
    );
    for mutant in MUTANTS.iter() {
        let found = segue_simulator::mutants::find(mutant, 0..SEEDS, None).unwrap();
        assert!(found.is_some(), "{} was not found in {SEEDS} seeds", mutant.name);
    }
}
