//! The deliberate protocol bugs: what each is, and how long it takes to find.

use std::ops::Range;

use crate::oracle::Violation;
use crate::scenario::Scenario;
use crate::sweep::Sweep;

/// A deliberate bug.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its name in the code.
    pub name: &'static str,
    /// The mistake.
    pub mistake: &'static str,
    /// The scenario that is to find it.
    pub scenario: &'static str,
}

const fn mutant(name: &'static str, scenario: &'static str, mistake: &'static str) -> Mutant {
    Mutant { name, mistake, scenario }
}

/// Every deliberate bug.
pub const MUTANTS: &[Mutant] = &[
    mutant("send-before-seal", "everything", "tasks are enqueued before the plan is sealed"),
    mutant("sealed-is-sent", "everything", "a chunker that finds a sealed plan takes its tasks to be sent"),
    mutant("plan-key-without-term", "everything", "every attempt at planning writes the same keys"),
    mutant("part-key-without-term", "everything", "every attempt at a task writes the same keys"),
    mutant("only-recorder-asks", "everything", "only the worker that records asks whether all is in, once"),
    mutant(
        "recorder-does-not-ask",
        "everything",
        "the worker that records last does not ask whether all is in",
    ),
    mutant("busy-is-done", "everything", "a message whose task another holds is acknowledged"),
    mutant("store-errors-ignored", "everything", "a completion is recorded though its file was not stored"),
    mutant(
        "existed-discards-own",
        "everything",
        "an answer that was lost makes the worker remove its own result",
    ),
    mutant("discard-all-attempts", "everything", "a stale attempt removes the files of all attempts"),
    mutant("ack-on-receive", "everything", "messages are acknowledged when they are received"),
    mutant("error-is-done", "everything", "a message whose handler failed is acknowledged"),
    mutant("newer-is-poison", "everything", "a message of a newer build is put aside"),
    mutant("unreadable-comes-again", "everything", "a text that is not ours is tried for ever"),
    mutant("fail-unfenced", "tasks", "a stale worker can fail a job"),
    mutant("failures-not-counted", "everything", "failed attempts are not counted"),
    mutant("cancelled-is-failure", "everything", "an attempt that was called off counts as failed"),
    mutant("killers-not-counted", "everything", "a task that kills its workers is tried for ever"),
    mutant("living-not-counted", "starved", "a living worker that lost its lease counts as one that died"),
    mutant("killers-by-term", "remade", "the term says how many workers a task has ended"),
    mutant("trust-never-ends", "everything", "a lease is trusted until somebody says no"),
    mutant("trust-from-answer", "time", "a lease is trusted from when the answer came"),
    mutant("failed-renewal-trusted", "network", "a renewal that failed prolongs the trust"),
    mutant("hung-ledger-keeps-trust", "everything", "a ledger that does not answer prolongs the trust"),
    mutant("ended-job-works-on", "everything", "work goes on for a job that was cancelled"),
    mutant("commit-unfenced", "time", "the commit of a manifest carries no term"),
    mutant(
        "refused-is-published",
        "publishing",
        "who lost the right to publish takes the job to be published",
    ),
    mutant("publish-before-commit", "everything", "files get their public names before the commit"),
    mutant("complete-before-publish", "everything", "the job is completed before its files are public"),
    mutant(
        "spare-shares-keys",
        "everything",
        "a spare attempt writes the keys of the attempt that asked for it",
    ),
    mutant(
        "spare-tidied-by-name",
        "everything",
        "what a spare attempt made is named by no completion of its own name",
    ),
    mutant("given-back-is-done", "everything", "a message whose attempt was called off is acknowledged"),
    mutant("manifest-first", "everything", "the manifest is public before its files are"),
    mutant("parts-by-name", "everything", "parts are joined in the order of their names, not of the plan"),
    mutant("first-page-only", "everything", "completions are read without paging"),
    mutant("segments-not-tidied", "everything", "what the chunker made is never removed"),
    mutant("store-not-tidied", "everything", "files that come after a job has ended are never removed"),
    mutant("tidy-without-asking", "deletes", "a slow cleaner does not ask whether the job is still the same"),
    mutant(
        "tidy-unfenced",
        "everything",
        "files of a failed job are removed while an attempt can still record them",
    ),
    mutant("delete-unfenced", "deletes", "a late deletion takes the next job of that name"),
    mutant("delete-without-asking", "deletes", "a slow deletion does not ask whether the job is made again"),
    mutant(
        "leftovers-published",
        "half-deleted",
        "what an earlier job of that name left public is taken for what was committed",
    ),
    mutant("sweeper-does-not-resend", "everything", "the sweeper does not send again what was lost"),
    mutant("sweeper-skips-publishing", "queue", "nobody finishes a job that was being published"),
    mutant("change-in-any-state", "everything", "a change does not look at the job's state"),
    mutant(
        "job-read-before-lease",
        "half-deleted",
        "work begins with what was read before its lease was held",
    ),
    mutant("seal-revives", "everything", "a plan is sealed in a job that has ended"),
    mutant("reassemble-before-all-in", "everything", "a job is joined before all of it is there"),
    mutant("count-apart", "everything", "the count of completions moves outside of their transaction"),
    mutant("completion-overwritten", "everything", "a second completion takes the place of the first"),
    mutant("record-unfenced", "everything", "a completion is recorded under a stale term"),
    mutant("fence-not-compared", "everything", "a change does not compare the term that it carries"),
    mutant("retry-keeps-failures", "everything", "a job that is driven on has used up its tries"),
    mutant("lease-never-expires", "everything", "a lock without expiry"),
    mutant("release-forgets-term", "everything", "terms begin anew when a lease was given back"),
    mutant("renew-any-term", "everything", "a renewal does not look at the term"),
    mutant("release-any-term", "everything", "a stale holder gives away the lease of another"),
];

/// Looks for a mutant. How many seeds it took, and what broke.
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
        assert_eq!(known.len(), MUTANTS.len(), "a name stands twice");
        assert!(MUTANTS.iter().all(|mutant| Scenario::named(mutant.scenario).is_some()));
    }
}
