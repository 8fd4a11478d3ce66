//! The suite of the ledger detects every deliberate bug of the in-memory ledger and of the rules of a
//! change.
#![cfg(feature = "mutants")]

use std::sync::Arc;
use std::time::Duration;

use segue_ports::{Ledger, mutants};
use segue_ports_testkit::conformance::{self, Capabilities, Subject};
use segue_ports_testkit::memory::MemoryLedger;

const MUTANTS: [&str; 18] = [
    "assemble-before-mapped",
    "change-in-any-state",
    "change-while-deleting",
    "completion-overwritten",
    "count-apart",
    "delete-keeps-leases",
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
    "",
];

#[tokio::test(start_paused = true)]
async fn every_mutant_is_found() {
    for name in MUTANTS {
        mutants::choose(Some(name));
        let caps =
            Capabilities { short: Duration::from_secs(60), clauses_at_once: 16, ..Capabilities::default() };
        let ledger = || async { Subject::<dyn Ledger>::new(Arc::new(MemoryLedger::new())) };
        let ended = tokio::spawn(conformance::ledger::run(ledger, caps)).await;
        assert_eq!(ended.is_err(), !name.is_empty(), "the suite with mutant {name:?}");
    }
}
