//! What differs between backends: the command of a life, and what of a job is seen from
//! outside.

use std::path::Path;
use std::process::Command;

use crate::finding::Finding;
use crate::place::Place;
use crate::script::Script;
use crate::snapshot::Snapshot;

/// Queue, ledger and store that a job runs on.
pub trait Backend: Send + Sync {
    /// The program that is tortured, with the arguments that make it do this job.
    fn command(&self, script: &Script, source: &Path, place: &Place) -> Command;

    /// The ledger of the job, read when nobody works on it; nothing where there is none.
    ///
    /// # Errors
    /// What is wrong with a state that cannot be read.
    fn snapshot(&self, place: &Place) -> Result<Option<Snapshot>, Finding>;

    /// What is still there of a job that is completed, and should not be.
    fn leftovers(&self, place: &Place) -> Vec<Finding>;
}

impl<B: Backend> Backend for std::sync::Arc<B> {
    fn command(&self, script: &Script, source: &Path, place: &Place) -> Command {
        (**self).command(script, source, place)
    }

    fn snapshot(&self, place: &Place) -> Result<Option<Snapshot>, Finding> {
        (**self).snapshot(place)
    }

    fn leftovers(&self, place: &Place) -> Vec<Finding> {
        (**self).leftovers(place)
    }
}
