//! Deliberate protocol bugs: what each is, and the scenario that finds it.

#[cfg(feature = "mutants")]
use std::collections::HashSet;
use std::ops::Range;

use crate::oracle::Violation;
#[cfg(feature = "mutants")]
use crate::params::Params;
#[cfg(feature = "mutants")]
use crate::record::Record;
use crate::scenario::Scenario;
#[cfg(feature = "mutants")]
use crate::shrink::{record, shrink};
use crate::sweep::Sweep;
#[cfg(feature = "mutants")]
use crate::sweep::scratch_folder;

/// A deliberate bug.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its name in the code.
    pub name: &'static str,
    /// The mistake.
    pub mistake: &'static str,
    /// The scenario in which it is found.
    pub scenario: &'static str,
}

const fn mutant(name: &'static str, scenario: &'static str, mistake: &'static str) -> Mutant {
    Mutant { name, mistake, scenario }
}

/// Every deliberate bug.
pub const MUTANTS: &[Mutant] = &[
    mutant("send-before-seal", "everything", "tasks are sent before the plan is sealed"),
    mutant("sealed-is-sent", "everything", "a planner that finds a sealed plan does not send its tasks"),
    mutant("plan-key-without-term", "everything", "every attempt at planning writes the same keys"),
    mutant("part-key-without-term", "everything", "every attempt at a task writes the same keys"),
    mutant(
        "only-recorder-asks",
        "everything",
        "only the worker that records asks whether all tasks are completed, once",
    ),
    mutant(
        "recorder-does-not-ask",
        "everything",
        "the worker that records last does not ask whether all tasks are completed",
    ),
    mutant("busy-is-done", "everything", "a message whose task another worker holds is acknowledged"),
    mutant("store-errors-ignored", "everything", "a completion is recorded although its file was not stored"),
    mutant("existed-discards-own", "everything", "after a lost answer the worker removes its own result"),
    mutant("discard-all-attempts", "everything", "a stale attempt removes the files of all attempts"),
    mutant("ack-on-receive", "everything", "messages are acknowledged when they are received"),
    mutant("error-is-done", "everything", "a message whose handler failed is acknowledged"),
    mutant("newer-is-poison", "everything", "a message of a newer build is dead-lettered"),
    mutant("newer-is-failure", "upgrade", "a document of a newer build counts as a failed attempt"),
    mutant("unreadable-comes-again", "everything", "a text that is no message is redelivered for ever"),
    mutant("fail-unfenced", "stale", "a stale worker can fail an output"),
    mutant("failures-not-counted", "everything", "failed attempts are not counted"),
    mutant("cancelled-is-failure", "everything", "a cancelled attempt counts as failed"),
    mutant("killers-not-counted", "everything", "a task that kills its workers is tried for ever"),
    mutant("living-not-counted", "starved", "a surviving worker that lost its lease counts as killed"),
    mutant("killers-by-term", "remade", "the term is taken for the number of killed workers"),
    mutant("trust-never-ends", "everything", "a lease is trusted until a renewal is refused"),
    mutant("trust-from-answer", "trust", "a lease is trusted from the answer, not from the request"),
    mutant("failed-renewal-trusted", "trust", "a failed renewal extends the trust"),
    mutant("hung-ledger-keeps-trust", "everything", "a ledger that does not answer extends the trust"),
    mutant("ended-job-works-on", "everything", "work continues for an output that was cancelled"),
    mutant(
        "lease-lost-by-job-state",
        "outputs",
        "work stops or continues by the state of the job, not of its output",
    ),
    mutant("commit-unfenced", "stale", "the commit of an index carries no term"),
    mutant("refused-is-published", "publishing", "a refused completion counts as published"),
    mutant("publish-before-commit", "everything", "files get their public names before the commit"),
    mutant("complete-before-publish", "everything", "an output is completed before its files are public"),
    mutant("completed-before-manifest", "everything", "an output is completed before it is in the manifest"),
    mutant("manifest-replaced", "outputs", "the manifest is replaced instead of extended"),
    mutant("index-first", "everything", "the index is public before its files are"),
    mutant(
        "assemble-before-mapped",
        "everything",
        "an output is assembled before all its tasks are completed",
    ),
    mutant(
        "need-read-early",
        "outputs",
        "an output is planned or assembled before what it needs is published",
    ),
    mutant(
        "spare-shares-keys",
        "everything",
        "a spare attempt writes the keys of the attempt that asked for it",
    ),
    mutant("spare-tidied-by-name", "everything", "files of a spare attempt are looked up under its own name"),
    mutant("given-back-is-done", "everything", "a message whose attempt was cancelled is acknowledged"),
    mutant("parts-by-name", "everything", "parts are joined in the order of their names, not of the plan"),
    mutant("segments-not-tidied", "everything", "files of the planner are never removed"),
    mutant("store-not-tidied", "everything", "files that arrive after an output has ended are never removed"),
    mutant("tidy-without-asking", "deletes", "a slow cleanup does not ask the ledger after the listing"),
    mutant(
        "tidy-unfenced",
        "everything",
        "files of a failed output are removed while an attempt can still record them",
    ),
    mutant("cleanup-by-job-state", "outputs", "files are removed by the state of the job, not of its output"),
    mutant("delete-unfenced", "deletes", "a late deletion removes the next job of that id"),
    mutant(
        "delete-without-asking",
        "deletes",
        "a slow deletion does not ask whether a later job was created",
    ),
    mutant("delete-any-epoch", "deletes", "the start of a deletion names no epoch"),
    mutant("delete-leaves-no-tombstone", "deletes", "a deleted job leaves no tombstone"),
    mutant("delete-without-marking", "everything", "a deletion does not mark the job first"),
    mutant("delete-keeps-leases", "deletes", "a deletion does not end the leases of the job"),
    mutant("change-while-deleting", "everything", "a job that is being deleted is changed"),
    mutant("sweeper-does-not-resend", "everything", "the sweeper does not send lost messages again"),
    mutant("sweeper-skips-publishing", "queue", "no role resumes an output that was being published"),
    mutant(
        "sweeper-reads-job-state",
        "outputs",
        "the sweeper finds jobs by their state, not by their open outputs",
    ),
    mutant("change-in-any-state", "everything", "a change does not check the output's state"),
    mutant(
        "job-read-before-lease",
        "half-deleted",
        "work begins with the document that was read before the lease",
    ),
    mutant("seal-revives", "everything", "a plan is sealed for an output that has ended"),
    mutant("count-apart", "everything", "completions are counted outside of their transaction"),
    mutant("completion-overwritten", "everything", "a second completion replaces the first"),
    mutant("record-unfenced", "everything", "a completion is recorded under a stale term"),
    mutant("fence-not-compared", "everything", "a change does not compare the term that it carries"),
    mutant("retry-keeps-failures", "everything", "a retried output keeps its counts of failures"),
    mutant("lease-never-expires", "everything", "a lease never expires"),
    mutant("release-forgets-term", "everything", "terms begin at 1 again when a lease was released"),
    mutant("renew-any-term", "everything", "a renewal does not compare the term"),
    mutant("release-any-term", "everything", "a stale holder releases the lease of another"),
];

/// Looks for a mutant: how many seeds that took, and the violation.
///
/// # Errors
/// No folder for scratch files can be made.
pub fn find(
    mutant: &Mutant,
    seeds: Range<u64>,
    threads: Option<usize>,
) -> anyhow::Result<Option<(u64, Violation)>> {
    let scenario = Scenario::named(mutant.scenario).expect("the table names scenarios that are there");
    let first = seeds.start;
    let sweep = Sweep::new(scenario, seeds);
    let threads = threads.unwrap_or(sweep.threads);
    let sweep = Sweep { threads, stop_at_first: true, mutant: Some(mutant.name), ..sweep };
    let found = sweep.run()?.violations.into_iter().next();
    Ok(found.map(|(seed, violation)| (seed - first + 1, violation)))
}

/// Looks for a mutant and records a history with few faults that finds it.
///
/// # Errors
/// No folder for scratch files can be made.
#[cfg(feature = "mutants")]
pub fn find_record(mutant: &Mutant, mut seeds: Range<u64>) -> anyhow::Result<Option<Record>> {
    let scenario = Scenario::named(mutant.scenario).expect("the table names existing scenarios");
    let scratch = scratch_folder()?;
    while let Some((found, _)) = find(mutant, seeds.clone(), None)? {
        let seed = seeds.start + found - 1;
        segue_ports::mutants::choose(Some(mutant.name));
        let outcome = crate::history::run(Params::draw(seed, scenario, HashSet::new()), scratch.path());
        let shrunk = shrink(&outcome, scenario, scratch.path());
        let record = record(&shrunk, scenario, mutant.name, scratch.path());
        segue_ports::mutants::choose(None);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn names_in(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, names);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let found = text.split("mutant!(\"").skip(1).filter_map(|rest| rest.split('"').next());
                names.extend(found.map(str::to_owned));
            }
        }
    }

    #[test]
    fn the_table_has_every_mutant_in_the_code_and_no_other() {
        let mut found = BTreeSet::new();
        for package in ["ports", "pipeline"] {
            names_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src"), &mut found);
        }
        let known: BTreeSet<String> = MUTANTS.iter().map(|mutant| mutant.name.to_owned()).collect();
        assert_eq!(found, known);
        assert_eq!(known.len(), MUTANTS.len(), "a name occurs twice");
        assert!(MUTANTS.iter().all(|mutant| Scenario::named(mutant.scenario).is_some()));
    }
}
