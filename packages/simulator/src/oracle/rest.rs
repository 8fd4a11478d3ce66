//! Judging the world at rest: what must not be left.

use std::collections::HashSet;

use segue_domain::{JobId, JobState, Key};
use segue_ports::Clock;

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
        for job in state.model.jobs.values().filter(|job| job.state != JobState::Completed) {
            wanted.extend(state.model.completions_of(&job.id).flat_map(|c| &c.files).map(|f| f.key.as_str()));
        }
        for (key, _) in state.objects.keys("work/", None) {
            if !wanted.contains(key) {
                return Some(format!("{key} is in the store"));
            }
        }
        for (key, _) in state.objects.keys("segments/", None) {
            let parsed: Key = key.parse().expect("roles write only keys of ours");
            let job = state.model.jobs.get(parsed.job());
            if job.is_none_or(|job| job.state == JobState::Completed) {
                return Some(format!("{key} is in the store"));
            }
        }
        None
    }

    /// The first lease that is held now, if any.
    pub fn held_lease(&self, state: &State) -> Option<String> {
        let now_ms = self.clock.now_ms();
        let mut held = state.model.leases.iter().filter(|(_, lease)| lease.until_ms > now_ms);
        let held =
            held.find_map(|(name, lease)| Some(format!("{name} is held by {}", lease.holder.as_ref()?)));
        held.or_else(|| self.ledger.held_leases().first().map(|name| format!("{} is held", name.as_str())))
    }

    /// Judges every job after everything has come to rest.
    pub fn judge_rest(&self, state: &mut State) {
        let completed = state.model.jobs.values().filter(|job| job.state == JobState::Completed);
        let completed: Vec<JobId> = completed.map(|job| job.id.clone()).collect();
        for job in completed {
            self.judge_complete(state, &job);
        }
        let published: Vec<String> =
            state.objects.keys("jobs/", None).map(|(key, _)| key.to_owned()).collect();
        for key in published {
            let job = key.split('/').nth(1).and_then(|id| id.parse().ok());
            let is_left = job.as_ref().is_some_and(|job| state.oracle.story(job).left.contains(&key));
            let found = job.as_ref().and_then(|job| state.model.jobs.get(job)).map(|job| job.state);
            match found {
                Some(JobState::Completed) => {}
                // it goes when this job publishes, or is deleted
                Some(_) if is_left => {}
                Some(now) => {
                    self.violate(state, Invariant::Unwanted, format!("{key} is public, the job is {now}"))
                }
                None => {
                    self.violate(state, Invariant::Orphans, format!("{key} is public, the job is deleted"))
                }
            }
        }
    }
}
