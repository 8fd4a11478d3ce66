//! Checks of the world at rest: what must not be left.

use std::collections::HashSet;

use segue_domain::{JobRecord, Key, OutputId, OutputRef, OutputState};
use segue_ports::Clock;

use crate::model::output_of;
use crate::oracle::Invariant;
use crate::world::{State, World};

impl World {
    /// The first thing that is left over, if any.
    pub fn left_over(&self, state: &State) -> Option<String> {
        for (queue, lane) in state.lanes.all() {
            if let Some(message) = lane.messages.iter().find(|message| !message.forgotten) {
                return Some(format!("{} is on {queue}", message.body));
            }
        }
        if let Some(held) = self.held_lease(state) {
            return Some(held);
        }
        let mut wanted: HashSet<&str> = HashSet::new();
        for job in state.model.jobs.values() {
            for output in job.outputs.iter().filter(|output| output.state != OutputState::Completed) {
                wanted.extend(named(state, job, &output.asked.id));
            }
        }
        for (key, _) in state.objects.keys("work/", None) {
            if !wanted.contains(key) && !is_waiting(state, key) {
                return Some(format!("{key} is in the store"));
            }
        }
        for (key, _) in state.objects.keys("segments/", None) {
            let found = state_of_key(state, key);
            if found.is_none_or(|found| found == OutputState::Completed) {
                return Some(format!("{key} is in the store"));
            }
        }
        let is_gone = |key: &str| {
            let job = key.split('/').nth(1).and_then(|id| id.parse().ok());
            job.is_some_and(|id: segue_domain::JobId| !state.model.jobs.contains_key(&id))
        };
        // made public late: the sweeper finds it by the tombstone of the job
        let late = state.objects.keys("jobs/", None).find(|(key, _)| is_gone(key));
        late.map(|(key, _)| format!("{key} is public, the job is deleted"))
    }

    /// The first lease that is held now, if any.
    pub fn held_lease(&self, state: &State) -> Option<String> {
        let now_ms = self.clock.now_ms();
        let mut held = state.model.leases.iter().filter(|(_, lease)| lease.until_ms > now_ms);
        let held =
            held.find_map(|(name, lease)| Some(format!("{name} is held by {}", lease.holder.as_ref()?)));
        held.or_else(|| self.ledger.held_leases().first().map(|name| format!("{} is held", name.as_str())))
    }

    /// Checks every job after the world has come to rest.
    pub fn judge_rest(&self, state: &mut State) {
        let jobs: Vec<JobRecord> = state.model.jobs.values().cloned().collect();
        for job in &jobs {
            for output in job.outputs.iter().filter(|output| output.state == OutputState::Completed) {
                self.judge_complete(state, job, &output.asked.id);
            }
            self.judge_state(state, job, job);
        }
        let published: Vec<String> =
            state.objects.keys("jobs/", None).map(|(key, _)| key.to_owned()).collect();
        for key in published {
            self.judge_published(state, &key);
        }
    }

    fn judge_published(&self, state: &mut State, key: &str) {
        let job = key.split('/').nth(1).and_then(|id| id.parse().ok());
        let job = job.and_then(|id| state.model.jobs.get(&id)).cloned();
        let Some(job) = job else {
            self.violate(state, Invariant::Orphans, format!("{key} is public, the job is deleted"));
            return;
        };
        let story = state.oracle.story(&job.id);
        let is_completed = |id| output_of(&job, id).is_some_and(|o| o.state == OutputState::Completed);
        let mut completed = story.outputs.iter().filter(|(id, _)| is_completed(id)).peekable();
        let is_manifest = key == Key::manifest(&job.id).to_string() && completed.peek().is_some();
        let mut committed = completed.filter_map(|(_, output)| output.committed.as_ref());
        let is_file = committed.any(|committed| {
            let public = |name: &String| Key::published(&job.id, name).expect("a plain name").to_string();
            committed.files.iter().any(|(name, _)| public(name) == key)
        });
        // files of an earlier job go when this job publishes, or is deleted
        if !is_manifest && !is_file && !story.left.contains(key) {
            self.violate(state, Invariant::Unwanted, format!("{key} is public, its output is not"));
        }
    }
}

/// Keys that completions of an output name.
fn named<'a>(state: &'a State, job: &'a JobRecord, output: &'a OutputId) -> impl Iterator<Item = &'a str> {
    let is_of = |of: &OutputRef| of.job == job.id && of.epoch == job.epoch && of.output == *output;
    let of_output = state.model.completions.iter().filter(move |((of, _), _)| is_of(of));
    of_output.flat_map(|(_, completion)| &completion.files).map(|file| file.key.as_str())
}

fn state_of_key(state: &State, key: &str) -> Option<OutputState> {
    let parsed: Key = key.parse().expect("roles write only valid keys");
    let (Key::Work { output, .. } | Key::Segment { output, .. }) = &parsed else { return None };
    state.model.output_state(parsed.job(), output)
}

/// Whether the key belongs to an output that waits for a failed one: its files stay until that one is
/// retried or the job is deleted.
fn is_waiting(state: &State, key: &str) -> bool {
    state_of_key(state, key).is_some_and(|found| !found.is_terminal())
}
