//! Progress of one attempt, bounded so that reported units add up to the task's work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use segue_domain::{JobId, Task};
use segue_ports::{Event, Reporter, Stage};

/// Passes events on; a task never advances by more than its own work.
pub struct TaskReporter {
    inner: Arc<dyn Reporter>,
    left: AtomicU64,
    job: JobId,
    stage: Stage,
}

impl TaskReporter {
    /// A reporter for one attempt at `task`.
    pub fn new(inner: Arc<dyn Reporter>, job: &JobId, task: &Task) -> TaskReporter {
        TaskReporter {
            inner,
            left: AtomicU64::new(task.work_ms),
            job: job.clone(),
            stage: Stage::Task(task.kind),
        }
    }

    fn take(&self, wanted: u64) -> u64 {
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(wanted)))
            .unwrap_or_default();
        before.min(wanted)
    }

    /// Reports the rest of the task's work as done.
    pub fn finish(&self) {
        self.advance(self.take(u64::MAX));
    }

    fn advance(&self, done: u64) {
        if done > 0 {
            self.inner.report(Event::StageAdvanced { job: self.job.clone(), stage: self.stage, done });
        }
    }
}

impl Reporter for TaskReporter {
    fn report(&self, event: Event) {
        match event {
            Event::StageAdvanced { done, .. } => self.advance(self.take(done)),
            other => self.inner.report(other),
        }
    }
}
