//! The same seed gives the same history, byte for byte.

use std::collections::HashSet;

use segue_simulator::sweep::{Sweep, scratch_folder};
use segue_simulator::{Outcome, Params, Scenario, run};

fn history(seed: u64) -> Outcome {
    let scenario = Scenario::named("everything").unwrap();
    let scratch = scratch_folder().unwrap();
    run(Params::draw(seed, scenario, HashSet::new()), scratch.path())
}

#[test]
fn a_seed_is_a_history_on_any_thread() {
    for seed in [0, 1, 7, 404, 70_007] {
        let first = history(seed);
        assert!(first.calls > 20 && first.log.lines().count() > 20, "{}", first.log);
        let again = history(seed);
        let elsewhere = std::thread::spawn(move || history(seed)).join().unwrap();
        assert_eq!(first.hash(), again.hash());
        assert_eq!(first, again);
        assert_eq!(first, elsewhere);
    }
}

#[test]
fn seeds_differ() {
    let hashes: HashSet<u64> = (0..50).map(|seed| history(seed).hash()).collect();
    assert_eq!(hashes.len(), 50);
}

#[test]
fn a_sweep_is_the_same_on_any_number_of_threads() {
    let scenario = Scenario::named("everything").unwrap();
    let sweep = |threads| Sweep { threads, ..Sweep::new(scenario, 100..300) }.run().unwrap();
    let (one, three) = (sweep(1), sweep(3));
    assert_eq!(one.hash, three.hash);
    assert_eq!(one.coverage, three.coverage);
    assert_eq!(one.histories, 200);
}
