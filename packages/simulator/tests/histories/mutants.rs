//! Every deliberate bug is in the documented table, and is found as soon as the table says.
//!
//! A usual run compares the table with the code. `cargo test --release -p segue-simulator
//! --features mutants` looks for every one of them.

use std::collections::BTreeMap;

use segue_simulator::mutants::MUTANTS;

/// Seeds within which every mutant has to be found.
const SEEDS: u64 = 20_000;

/// A row of the table: mistake, scenario, seeds to find, invariant.
fn documented() -> BTreeMap<String, [String; 4]> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulator.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    let five = cells.filter(|cells| cells.len() == 5);
    five.map(|cells| {
        let [name, rest @ ..]: [String; 5] = cells.try_into().unwrap();
        (name.trim_end_matches('`').to_owned(), rest)
    })
    .collect()
}

#[test]
fn the_documented_table_has_every_mutant() {
    let table = documented();
    assert_eq!(table.len(), MUTANTS.len(), "rows and mutants");
    for mutant in MUTANTS {
        let [mistake, scenario, seeds, invariant] =
            table.get(mutant.name).unwrap_or_else(|| panic!("{} is not in the table", mutant.name));
        assert_eq!(
            (mistake.as_str(), scenario.as_str()),
            (mutant.mistake, mutant.scenario),
            "{}",
            mutant.name
        );
        let seeds: u64 = seeds.parse().unwrap_or_else(|_| panic!("{}: {seeds}", mutant.name));
        assert!((1..=SEEDS).contains(&seeds), "{} takes {seeds} seeds", mutant.name);
        assert!(!invariant.is_empty(), "{}", mutant.name);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn every_mutant_is_found_within_its_seeds() {
    use segue_simulator::mutants::find;

    let table = documented();
    for mutant in MUTANTS {
        let seeds: u64 = table[mutant.name][2].parse().unwrap();
        let found = find(mutant, 0..seeds, None).unwrap();
        assert!(found.is_some(), "{} was not found in {seeds} seeds", mutant.name);
    }
}
