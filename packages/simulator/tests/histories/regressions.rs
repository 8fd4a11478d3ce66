//! What the simulator found in our own code. Each was mended at its root; a deliberate bug
//! of the name given takes the mending back, and the seed given finds it again.
//!
//! `cargo test -p segue-simulator --features mutants` runs both halves, a usual run the first.

use std::collections::HashSet;

use segue_simulator::sweep::scratch_folder;
use segue_simulator::{Outcome, Params, Scenario, run};

/// What was wrong, the scenario, the seed, the mutant that brings it back.
const FOUND: &[(&str, &str, u64, &str)] = &[
    (
        "a message of version 0 was left for a newer build and came back for ever",
        "everything",
        2,
        "unreadable-comes-again",
    ),
    (
        "a chunker's late file stayed in the store of a job that had been tidied once",
        "everything",
        49,
        "store-not-tidied",
    ),
    (
        "a slow cleaner removed the plan of a job that was deleted and made again meanwhile",
        "deletes",
        292,
        "tidy-without-asking",
    ),
    (
        "the sweeper removed files of a failed job that an attempt recorded right afterwards",
        "everything",
        240,
        "tidy-unfenced",
    ),
    (
        "a worker recorded what it made for a job that was deleted in the next job of that name",
        "half-deleted",
        2520,
        "job-read-before-lease",
    ),
    (
        "a completed job that was deleted by half and made again was published with the earlier one's files",
        "half-deleted",
        50,
        "leftovers-published",
    ),
    ("a late request to delete a job took the next job of that name", "deletes", 169, "delete-unfenced"),
    (
        "a slow deletion removed the source and the files of the next job of that name",
        "deletes",
        499,
        "delete-without-asking",
    ),
    (
        "a publisher that had lost its lease acknowledged its message though the job was not published",
        "publishing",
        469,
        "refused-is-published",
    ),
    (
        "a job that was made again under one id eleven times failed, as if its task had killed ten workers",
        "remade",
        0,
        "killers-by-term",
    ),
    (
        "a living worker that lost its lease again and again counted as one that died, and its job failed",
        "starved",
        141,
        "living-not-counted",
    ),
    (
        "a ledger that hung in the heartbeat's second question kept a lease trusted",
        "everything",
        497,
        "hung-ledger-keeps-trust",
    ),
];

fn history(scenario: &str, seed: u64) -> Outcome {
    let scratch = scratch_folder().unwrap();
    run(Params::draw(seed, Scenario::named(scenario).unwrap(), HashSet::new()), scratch.path())
}

#[test]
fn what_was_found_stays_mended() {
    for (what, scenario, seed, _) in FOUND {
        let outcome = history(scenario, *seed);
        assert_eq!(outcome.violation, None, "{what}:\n{}", outcome.log);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn each_seed_finds_its_bug_again() {
    for (what, scenario, seed, mutant) in FOUND {
        segue_ports::mutants::choose(Some(mutant));
        let outcome = history(scenario, *seed);
        assert!(outcome.violation.is_some(), "{what}: seed {seed} does not find it");
    }
    segue_ports::mutants::choose(None);
}
