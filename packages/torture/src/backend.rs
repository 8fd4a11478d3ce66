//! Backend trait: the command of a life, and the observable state of a job.

use std::path::Path;
use std::process::Command;

use crate::finding::Finding;
use crate::place::Place;
use crate::script::Script;
use crate::snapshot::Snapshot;

/// Queue, ledger and store of a job.
pub trait Backend: Send + Sync {
    /// The tested program with the arguments of this job.
    fn command(&self, script: &Script, source: &Path, place: &Place) -> Command;

    /// The ledger of the job, read while no process runs; `None` where there is none.
    ///
    /// # Errors
    /// A finding for a state that cannot be read.
    fn snapshot(&self, place: &Place) -> Result<Option<Snapshot>, Finding>;

    /// Findings for files of a completed job that should have been removed.
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
