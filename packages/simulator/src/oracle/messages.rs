//! Checks of what is sent, acknowledged and dead-lettered.

use segue_domain::{JobId, JobRecord, Message, OutputId, OutputState};
use segue_ports::{Lane, Resource};
use tokio::time::Instant;

use crate::model::{are_needs_met, is_open_output, output_of, reference};
use crate::oracle::Invariant;
use crate::port::as_old;
use crate::queue::Sent;
use crate::world::{State, World};

impl World {
    /// Checks a message that was sent.
    pub fn judge_send(&self, state: &mut State, queue: Lane, body: &str) {
        let body = as_old(body);
        let Ok(message) = Message::decode(&body) else {
            let what = format!("a role sent {body}");
            return self.violate(state, Invariant::GoodMessage, what);
        };
        let faults = state.fired.len() as u32;
        let waiting = state.lanes.lane(queue).messages.len() as u32;
        let story = state.oracle.story(message.job());
        let (count, last) = story.sends.entry(body.clone()).or_insert((0, Instant::now()));
        (*count, *last) = (*count + 1, Instant::now());
        let (count, moves) = (*count, story.moves);
        // a message for the planner is sent for each output
        let outputs = story.outputs.len() as u32;
        if count > 30 + 6 * faults + 12 * moves + 6 * outputs {
            let what = format!("{body} was sent {count} times after {faults} faults");
            self.violate(state, Invariant::Bounded, what);
        }
        if waiting > 60 + 10 * faults {
            let what = format!("{queue} has {waiting} messages after {faults} faults");
            self.violate(state, Invariant::Bounded, what);
        }
    }

    /// Checks a message that is being acknowledged.
    pub fn judge_ack(&self, state: &mut State, queue: Lane, sent: &Sent) {
        let body = as_old(&sent.body);
        let Ok(message) = Message::decode(&body) else {
            let what = format!("a text that is no message was acknowledged: {body}");
            return self.violate(state, Invariant::AckLast, what);
        };
        let story = state.oracle.story(message.job());
        if story.moved_at.is_some_and(|moved| moved >= sent.delivered_at) {
            // a user changed the job after this message was read
            return;
        }
        if let Message::Task { output, .. } = &message {
            let sealed_at = story.outputs.get(output).and_then(|output| output.sealed_at);
            if sealed_at.is_some_and(|sealed| sealed >= sent.delivered_at) {
                // a stray that came before the plan: the planner sends after the seal
                return;
            }
        }
        if state.lanes.lane(queue).has_another(sent.id, |other| as_old(other) == body) {
            return;
        }
        if let Some(missing) = self.missing(state, &message, sent) {
            self.violate(state, Invariant::AckLast, format!("{body} is acknowledged, but {missing}"));
        }
    }

    /// The effect of a message that is missing.
    fn missing(&self, state: &mut State, message: &Message, sent: &Sent) -> Option<String> {
        let job = state.model.jobs.get(message.job()).filter(|job| !job.deleting)?.clone();
        match message {
            Message::Plan { .. } => self.unplanned(state, &job, sent),
            Message::Task { output, task, .. } => {
                let found = output_of(&job, output).filter(|found| found.state == OutputState::Mapping)?;
                let id = reference(&job, output);
                if !state.model.completions.contains_key(&(id, task.clone())) {
                    let plan = &state.oracle.output(&job.id, output).plan;
                    let planned = plan.as_ref().is_some_and(|plan| plan.task(task).is_some());
                    return planned.then(|| "the task is not recorded".into());
                }
                let ready = state.model.is_mapped(&job, found) && had_its_needs(state, &job, output, sent);
                (ready && is_last(state, sent, &job.id, output))
                    .then(|| "its assembly was not asked for".into())
            }
            Message::Assemble { output, .. } => {
                let found = output_of(&job, output)?;
                match found.state {
                    OutputState::Publishing => Some("it is not published".into()),
                    OutputState::Mapping | OutputState::Assembling => {
                        let ready =
                            state.model.is_mapped(&job, found) && had_its_needs(state, &job, output, sent);
                        // a worker that has the last task recorded and not acknowledged yet asks again
                        let tasks = &state.lanes.lane(Lane::Task(Resource::Cpu)).messages;
                        let asks = tasks.iter().any(|message| is_of(&message.body, &job.id, output));
                        (ready && !asks).then(|| "it is not assembled".into())
                    }
                    _ => None,
                }
            }
        }
    }

    /// An output that was ready to be planned when the message was delivered and is not planned, or whose
    /// tasks were not sent.
    fn unplanned(&self, state: &mut State, job: &JobRecord, sent: &Sent) -> Option<String> {
        for output in &job.outputs {
            let id = &output.asked.id;
            let ready = is_open_output(job, output)
                && are_needs_met(job, output, true)
                && had_its_needs_for_plan(state, job, id, sent);
            match output.state {
                OutputState::Created if ready => return Some(format!("no plan of {id} is sealed")),
                OutputState::Mapping => {
                    if let Some(unsent) = unsent(state, job, id) {
                        return Some(unsent);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Checks a message that is dead-lettered.
    pub fn judge_dead_letter(&self, state: &mut State, sent: &Sent, reason: &str) {
        let valid = Message::decode(&as_old(&sent.body)).is_ok();
        let known = ["injected", "workers without a result", "not a message for", "has no task"];
        let robbed =
            reason.contains("not in the store") && state.oracle.stories.values().any(|story| story.is_robbed);
        if valid && !robbed && !known.iter().any(|known| reason.contains(known)) {
            let what = format!("{} was dead-lettered because {reason}", sent.body);
            self.violate(state, Invariant::GoodMessage, what);
        }
    }
}

/// Whether everything that an output needs was completed before the message was delivered: else the
/// assembler that completed it sends the next message.
fn had_its_needs(state: &mut State, job: &JobRecord, output: &OutputId, sent: &Sent) -> bool {
    had_needs(state, job, output, sent, false)
}

fn had_its_needs_for_plan(state: &mut State, job: &JobRecord, output: &OutputId, sent: &Sent) -> bool {
    had_needs(state, job, output, sent, true)
}

fn had_needs(state: &mut State, job: &JobRecord, output: &OutputId, sent: &Sent, planning: bool) -> bool {
    let Some(found) = output_of(job, output) else { return false };
    let met = are_needs_met(job, found, planning);
    met && found.asked.needs.iter().all(|need| {
        let ended_at = state.oracle.output(&job.id, &need.output).ended_at;
        ended_at.is_some_and(|at| at < sent.delivered_at)
            || output_of(job, &need.output).is_some_and(|needed| needed.state != OutputState::Completed)
    })
}

/// Whether a text is a message about an output of a job.
fn is_of(body: &str, job: &JobId, output: &OutputId) -> bool {
    match Message::decode(&as_old(body)) {
        Ok(Message::Task { job: of, output: about, .. } | Message::Assemble { job: of, output: about }) => {
            of == *job && about == *output
        }
        _ => false,
    }
}

/// Whether no other message about the output is on any lane: its receiver would ask whether all tasks
/// are completed.
fn is_last(state: &mut State, sent: &Sent, job: &JobId, output: &OutputId) -> bool {
    let tasks = state.lanes.lane(Lane::Task(Resource::Cpu));
    let here = tasks.messages.iter().any(|m| m.id != sent.id && is_of(&m.body, job, output));
    !here && !state.lanes.lane(Lane::Assemble).has_another(0, |body| is_of(body, job, output))
}

/// A task of a sealed plan that was never sent, and for which no message is left either: a worker can have received
/// that of an earlier job of the same id and work on this one's task.
fn unsent(state: &mut State, job: &JobRecord, output: &OutputId) -> Option<String> {
    let story = state.oracle.output(&job.id, output);
    let (plan, sealed_at) = (story.plan.clone()?, story.sealed_at?);
    for task in &plan.tasks {
        let (id, name, task) = (job.id.clone(), output.clone(), task.id.clone());
        let body = Message::Task { job: id, output: name, task: task.clone() }.encode();
        let sent = state.oracle.story(&job.id).sends.get(&body).is_some_and(|(_, last)| *last >= sealed_at);
        let is_same = |text: &str| Message::decode(&as_old(text)).is_ok_and(|found| found.encode() == body);
        let sent = sent || state.lanes.lane(Lane::Task(Resource::Cpu)).has_another(0, is_same);
        if !sent && !state.model.completions.contains_key(&(reference(job, output), task.clone())) {
            return Some(format!("{task} of {output} was not sent after the plan was sealed"));
        }
    }
    None
}
