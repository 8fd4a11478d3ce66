//! What is to do and what is done already, for a progress display.

use std::collections::{BTreeMap, HashSet};

use segue_domain::{JobId, Plan, TaskId};
use segue_ports::{Event, Stage};

use crate::deps::Deps;
use crate::settle::load_plan;

/// Page of completions that is asked for at once.
pub(crate) const PAGE: usize = 500;

/// The tasks of a job whose completions are recorded.
///
/// # Errors
/// The ledger's.
pub async fn completed_tasks(deps: &Deps, job: &JobId) -> anyhow::Result<HashSet<TaskId>> {
    let mut done = HashSet::new();
    let mut after: Option<TaskId> = None;
    loop {
        let page = deps.ledger.completions(job, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some(last.task.clone());
        done.extend(page.into_iter().map(|completion| completion.task));
    }
}

/// Reports each kind of task with its whole work and the part that is done. Nothing is
/// reported while the plan is not sealed.
///
/// # Errors
/// The ledger's and the store's.
pub async fn announce(deps: &Deps, job: &JobId) -> anyhow::Result<()> {
    let Some(record) = deps.ledger.job(job).await? else { return Ok(()) };
    if record.plan.is_none() {
        return Ok(());
    }
    let plan = load_plan(deps, &record).await?;
    let done = completed_tasks(deps, job).await?;
    report_stages(deps, &plan, &done);
    Ok(())
}

pub(crate) fn report_stages(deps: &Deps, plan: &Plan, done: &HashSet<TaskId>) {
    let mut stages = BTreeMap::<Stage, (u64, u64)>::new();
    for task in &plan.tasks {
        let (total, finished) = stages.entry(Stage::Task(task.kind)).or_default();
        *total += task.work_ms;
        if done.contains(&task.id) {
            *finished += task.work_ms;
        }
    }
    for (stage, (total, finished)) in stages {
        let job = plan.job.clone();
        deps.reporter.report(Event::StageStarted { job, stage, total, done: finished, unit: "ms".into() });
    }
}
