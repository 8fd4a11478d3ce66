//! Every deliberate bug is found. `cargo test -p segue-simulator --features mutants`
#![cfg(feature = "mutants")]

use segue_simulator::mutants::{MUTANTS, find};

#[test]
fn every_mutant_is_found() {
    for mutant in MUTANTS {
        let found = find(mutant, 0..20_000, None).unwrap();
        assert!(found.is_some(), "{} was not found", mutant.name);
    }
}
