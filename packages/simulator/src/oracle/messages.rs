//! Judging what is sent, acknowledged and put aside.

use segue_domain::{JobId, JobState, Message};
use segue_ports::{Lane, Resource};
use tokio::time::Instant;

use crate::oracle::Invariant;
use crate::port::as_old;
use crate::queue::Sent;
use crate::world::{State, World};

impl World {
    /// Judges that a message was sent.
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
        if count > 30 + 6 * faults + 12 * moves {
            let what = format!("{body} was sent {count} times after {faults} faults");
            self.violate(state, Invariant::Bounded, what);
        }
        if waiting > 60 + 10 * faults {
            let what = format!("{queue} has {waiting} messages after {faults} faults");
            self.violate(state, Invariant::Bounded, what);
        }
    }

    /// Judges that a message is being acknowledged.
    pub fn judge_ack(&self, state: &mut State, queue: Lane, sent: &Sent) {
        let body = as_old(&sent.body);
        let Ok(message) = Message::decode(&body) else {
            let what = format!("a text that is not ours was acknowledged: {body}");
            return self.violate(state, Invariant::AckLast, what);
        };
        let job = message.job();
        let story = state.oracle.story(job);
        if story.moved_at.is_some_and(|moved| moved >= sent.delivered_at) {
            // somebody moved the job from outside after this message was read
            return;
        }
        if matches!(message, Message::Task { .. })
            && story.sealed_at.is_some_and(|sealed| sealed >= sent.delivered_at)
        {
            // a stray that came before the plan: the chunker sends after the seal
            return;
        }
        if state.lanes.lane(queue).has_another(sent.id, |other| as_old(other) == body) {
            return;
        }
        if let Some(missing) = self.missing(state, &message, sent) {
            self.violate(state, Invariant::AckLast, format!("{body} is acknowledged, but {missing}"));
        }
    }

    /// What a message still stands for.
    fn missing(&self, state: &mut State, message: &Message, sent: &Sent) -> Option<String> {
        let job = state.model.jobs.get(message.job())?.clone();
        match (message, job.state) {
            (Message::Chunk { .. }, JobState::Created) => Some("no plan is sealed".into()),
            (Message::Chunk { job }, JobState::Mapping) => self.unsent(state, job),
            (Message::Task { job: id, task }, JobState::Mapping) => {
                if !state.model.completions.contains_key(&(id.clone(), task.clone())) {
                    let planned =
                        state.oracle.story(id).plan.as_ref().is_some_and(|p| p.task(task).is_some());
                    return planned.then(|| "the task is not recorded".into());
                }
                let all_in = job.plan.as_ref().is_some_and(|plan| job.completed_tasks >= plan.tasks);
                (all_in && self.is_last(state, sent, id)).then(|| "nobody was asked to join".into())
            }
            (Message::Reassemble { .. }, JobState::Publishing) => Some("it is not published".into()),
            (Message::Reassemble { .. }, JobState::Mapping | JobState::Reassembling) => {
                let all_in = job.plan.as_ref().is_some_and(|plan| job.completed_tasks >= plan.tasks);
                // whoever has the last task recorded and not acknowledged yet asks again
                let map = &state.lanes.lane(Lane::Task(Resource::Cpu)).messages;
                let asks =
                    map.iter().any(|m| Message::decode(&as_old(&m.body)).is_ok_and(|m| m.job() == &job.id));
                (all_in && !asks).then(|| "it is not joined".into())
            }
            _ => None,
        }
    }

    /// Whether no other message of the job is on any queue: whoever gets one asks whether
    /// all is in.
    fn is_last(&self, state: &mut State, sent: &Sent, job: &JobId) -> bool {
        let of_job = |body: &str| Message::decode(&as_old(body)).is_ok_and(|other| other.job() == job);
        let map = state.lanes.lane(Lane::Task(Resource::Cpu));
        let here = map.messages.iter().any(|m| m.id != sent.id && of_job(&m.body));
        !here && !state.lanes.lane(Lane::Assemble).has_another(0, of_job)
    }

    /// A task of a sealed plan that was never sent.
    fn unsent(&self, state: &mut State, job: &JobId) -> Option<String> {
        let plan = state.oracle.story(job).plan.clone()?;
        for task in &plan.tasks {
            let body = Message::Task { job: job.clone(), task: task.id.clone() }.encode();
            let story = state.oracle.story(job);
            let sealed_at = story.sealed_at?;
            let sent = story.sends.get(&body).is_some_and(|(_, last)| *last >= sealed_at);
            if !sent && !state.model.completions.contains_key(&(job.clone(), task.id.clone())) {
                return Some(format!("{} was not sent after the plan was sealed", task.id));
            }
        }
        None
    }

    /// Judges that a message is put aside.
    pub fn judge_dead_letter(&self, state: &mut State, sent: &Sent, reason: &str) {
        let ours = Message::decode(&as_old(&sent.body)).is_ok();
        let known = ["injected", "workers without a result", "not a message for", "has no task"];
        if ours && !known.iter().any(|known| reason.contains(known)) {
            let what = format!("{} was put aside because {reason}", sent.body);
            self.violate(state, Invariant::GoodMessage, what);
        }
    }
}
