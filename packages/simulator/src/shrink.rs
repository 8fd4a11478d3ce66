//! From a history that violates an invariant to one with as few faults as possible.

use std::collections::HashSet;
use std::path::Path;

use crate::fault::FaultId;
use crate::history::{Outcome, run};
use crate::params::Params;
use crate::record::Record;
use crate::scenario::Scenario;

/// Histories that are tried at most.
const TRIES: u32 = 600;

/// A history from which no single fault can be left out.
#[derive(Debug)]
pub struct Shrunk {
    /// Its outcome.
    pub outcome: Outcome,
    /// Faults that were left out.
    pub without: HashSet<FaultId>,
    /// Histories that were tried.
    pub tries: u32,
}

/// Leaves faults out, half of them at once and then one by one, while the same invariant is still
/// violated.
pub fn shrink(found: &Outcome, scenario: &'static Scenario, scratch: &Path) -> Shrunk {
    let wanted = found.violation.as_ref().map(|violation| violation.invariant);
    let mut best = Shrunk { outcome: found.clone(), without: HashSet::new(), tries: 0 };
    let mut size = best.outcome.fired.len().max(1);
    loop {
        let mut better = false;
        let fired = best.outcome.fired.clone();
        for some in fired.chunks(size) {
            if best.tries >= TRIES {
                return best;
            }
            let mut without = best.without.clone();
            without.extend(some);
            if without.len() == best.without.len() {
                continue;
            }
            let outcome = run(Params::draw(found.seed, scenario, without.clone()), scratch);
            best.tries += 1;
            // fewer faults: leaving out a fault can cause another one
            let fewer = outcome.fired.len() < best.outcome.fired.len();
            if fewer && outcome.violation.as_ref().map(|violation| violation.invariant) == wanted {
                (best.outcome, best.without, better) = (outcome, without, true);
                break;
            }
        }
        if !better {
            if size == 1 {
                return best;
            }
            size /= 2;
        }
    }
}

/// The record of a shrunk history, if its replay violates the same invariant.
pub fn record(shrunk: &Shrunk, scenario: &'static Scenario, mutant: &str, scratch: &Path) -> Option<Record> {
    let params = Params::draw(shrunk.outcome.seed, scenario, shrunk.without.clone());
    let about = &shrunk.outcome.violation.as_ref()?.what;
    let about: String = about.split(" returns ").next().unwrap_or_default().chars().take(160).collect();
    let record = Record::read(&Record::of(&params, &shrunk.outcome, mutant, &about)?.write()).ok()?;
    let again = run(record.params.clone(), scratch).violation;
    again.is_some_and(|violation| violation.invariant == record.invariant).then_some(record)
}
