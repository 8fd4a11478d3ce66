//! Remaining and completed work, for a progress display.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use segue_domain::{JobId, OutputRef, Plan, TaskId};
use segue_ports::{Event, Stage};

use crate::config::Deps;
use crate::inputs::load_plan;

/// Page size of reading completions.
pub(crate) const PAGE: usize = 500;

/// The tasks of an output whose completions are recorded.
///
/// # Errors
/// Errors of the ledger.
pub async fn completed_tasks(deps: &Deps, output: &OutputRef) -> anyhow::Result<HashSet<TaskId>> {
    let mut done = HashSet::new();
    let mut after: Option<TaskId> = None;
    loop {
        let page = deps.ledger.completions(output, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some(last.task.clone());
        done.extend(page.into_iter().map(|completion| completion.task));
    }
}

/// Reports each kind of task of the sealed outputs of a job, with its total work and the completed
/// part.
///
/// # Errors
/// Errors of the ledger and the store.
pub async fn announce(deps: &Deps, job: &JobId) -> anyhow::Result<()> {
    let Some(record) = deps.ledger.job(job).await? else { return Ok(()) };
    let mut plans = Vec::new();
    for output in record.outputs.iter().filter(|output| output.plan.is_some()) {
        let plan = load_plan(deps, output).await?;
        plans.push((plan, completed_tasks(deps, &record.output_ref(output.id())).await?));
    }
    report_stages(deps, job, &plans);
    Ok(())
}

pub(crate) fn report_stages(deps: &Deps, job: &JobId, plans: &[(Arc<Plan>, HashSet<TaskId>)]) {
    let mut stages = BTreeMap::<Stage, (u64, u64)>::new();
    for (plan, done) in plans {
        for task in &plan.tasks {
            let (total, finished) = stages.entry(Stage::Task(task.kind)).or_default();
            *total += task.work_ms;
            if done.contains(&task.id) {
                *finished += task.work_ms;
            }
        }
    }
    for (stage, (total, done)) in stages {
        let (job, unit) = (job.clone(), "ms".to_owned());
        deps.reporter.report(Event::StageStarted { job, stage, total, done, unit });
    }
}
