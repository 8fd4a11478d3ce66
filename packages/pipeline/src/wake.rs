//! Messages that continue an output: sent by the role that completed its last precondition,
//! and by the sweeper if that role died.

use std::collections::HashSet;
use std::time::Duration;

use segue_domain::{
    Gate, JobId, JobRecord, Message, OutputId, OutputRecord, OutputRef, OutputState, Plan, TaskId,
};
use segue_ports::{Lane, PortError};

use crate::config::Deps;
use crate::inputs::load_plan;
use crate::progress::completed_tasks;

/// Batch size of task messages.
const SEND_BATCH: usize = 100;

/// Requests plans of the outputs of a job that are ready to be planned.
///
/// # Errors
/// Errors of the queue.
pub async fn ask_for_plan(deps: &Deps, job: &JobId) -> Result<(), PortError> {
    let body = Message::Plan { job: job.clone() }.encode();
    deps.queue.send(Lane::Plan, &[body], Duration::ZERO).await
}

/// Whether the output can be planned now.
pub fn is_ready_to_plan(job: &JobRecord, output: &OutputRecord) -> bool {
    output.state == OutputState::Created && job.is_open(output) && job.needs_are_met(output, Gate::Plan)
}

/// Requests the assembly of an output if its plan is sealed, every task is completed and every need is
/// met. Every role that may have completed the last precondition calls this; the message may be sent any number of times.
///
/// # Errors
/// Errors of the ledger and the queue.
pub async fn assemble_if_ready(deps: &Deps, output: &OutputRef) -> anyhow::Result<()> {
    let Some(job) = deps.ledger.job(&output.job).await? else { return Ok(()) };
    if job.epoch != output.epoch {
        return Ok(());
    }
    let Some(record) = job.output(&output.output) else { return Ok(()) };
    let waiting = matches!(record.state, OutputState::Mapping | OutputState::Assembling);
    if !waiting || !job.needs_are_met(record, Gate::Assembly) {
        return Ok(());
    }
    if record.is_mapped(deps.ledger.completed(output).await?) {
        let body = Message::Assemble { job: output.job.clone(), output: output.output.clone() }.encode();
        deps.queue.send(Lane::Assemble, &[body], Duration::ZERO).await?;
    }
    Ok(())
}

/// The same, called by the worker that recorded a task of a plan with this number of tasks: one call of the
/// ledger unless it was the last task.
///
/// # Errors
/// Errors of the ledger and the queue.
pub async fn assemble_if_last(deps: &Deps, output: &OutputRef, tasks: usize) -> anyhow::Result<()> {
    if deps.ledger.completed(output).await? >= tasks as u64 {
        assemble_if_ready(deps, output).await?;
    }
    Ok(())
}

/// Wakes the outputs that need one which was just completed.
///
/// # Errors
/// Errors of the ledger and the queue; the sweeper wakes the rest.
pub async fn wake_dependents(deps: &Deps, job: &JobRecord, completed: &OutputId) -> anyhow::Result<()> {
    let dependents = || {
        job.outputs.iter().filter(|output| output.asked.needs.iter().any(|need| need.output == *completed))
    };
    if dependents().any(|output| is_ready_to_plan(job, output)) {
        ask_for_plan(deps, &job.id).await?;
    }
    for output in dependents().filter(|output| output.state == OutputState::Mapping) {
        assemble_if_ready(deps, &job.output_ref(output.id())).await?;
    }
    Ok(())
}

/// Sends a message for every task that has no completion.
///
/// # Errors
/// Errors of the ledger and the queue; some messages may have been sent.
pub async fn send_missing(deps: &Deps, output: &OutputRef, plan: &Plan) -> anyhow::Result<()> {
    let done = completed_tasks(deps, output).await?;
    send_others(deps, output, plan, &done).await
}

/// Sends a message for every task that has no completion and that no worker holds: that worker's own message is
/// still on its lane. `if_begun` is false where nothing is to be sent for an output of which a task is completed
/// or held: its tasks were sent before.
///
/// # Errors
/// Errors of the ledger and the queue; some messages may have been sent.
pub async fn send_waiting(
    deps: &Deps,
    output: &OutputRef,
    plan: &Plan,
    if_begun: bool,
) -> anyhow::Result<()> {
    let mut others = completed_tasks(deps, output).await?;
    for held in deps.ledger.leased_tasks(&output.job, &output.output).await? {
        others.insert(held.of_spare().unwrap_or(held));
    }
    if others.is_empty() || if_begun { send_others(deps, output, plan, &others).await } else { Ok(()) }
}

async fn send_others(
    deps: &Deps,
    output: &OutputRef,
    plan: &Plan,
    done: &HashSet<TaskId>,
) -> anyhow::Result<()> {
    let mut lanes: Vec<(Lane, Vec<String>)> = Vec::new();
    for task in plan.tasks.iter().filter(|task| !done.contains(&task.id)) {
        let lane = deps.lane_of(task.kind);
        let body =
            Message::Task { job: output.job.clone(), output: output.output.clone(), task: task.id.clone() };
        match lanes.iter_mut().find(|(known, _)| *known == lane) {
            Some((_, bodies)) => bodies.push(body.encode()),
            None => lanes.push((lane, vec![body.encode()])),
        }
    }
    for (lane, bodies) in lanes {
        for batch in bodies.chunks(SEND_BATCH) {
            deps.queue.send(lane, batch, Duration::ZERO).await?;
        }
    }
    Ok(())
}

/// Sends the message that an open output needs to continue.
///
/// # Errors
/// Errors of the ledger, the store and the queue.
pub async fn resume(deps: &Deps, job: &JobRecord, output: &OutputRecord) -> anyhow::Result<()> {
    let name = job.output_ref(output.id());
    match output.state {
        OutputState::Created if is_ready_to_plan(job, output) => ask_for_plan(deps, &job.id).await?,
        OutputState::Created => {}
        OutputState::Mapping => {
            if !output.is_mapped(deps.ledger.completed(&name).await?) {
                send_missing(deps, &name, &*load_plan(deps, output).await?).await?;
            }
            assemble_if_ready(deps, &name).await?;
        }
        _ => assemble_if_ready(deps, &name).await?,
    }
    Ok(())
}

/// The same for an output that a user retried: attempts that are running go on.
///
/// # Errors
/// As [`resume`].
pub async fn resume_retried(deps: &Deps, job: &JobRecord, output: &OutputRecord) -> anyhow::Result<()> {
    let name = job.output_ref(output.id());
    if output.state == OutputState::Mapping && !output.is_mapped(deps.ledger.completed(&name).await?) {
        return send_waiting(deps, &name, &*load_plan(deps, output).await?, true).await;
    }
    resume(deps, job, output).await
}
