//! Judging what is written to the store, published and removed.

use segue_domain::{JobId, JobState, Key};

use tokio::time::Instant;

use crate::oracle::Invariant;
use crate::params::Role;
use crate::port::By;
use crate::world::{State, World};

impl World {
    /// Judges a write.
    pub fn judge_put(&self, state: &mut State, by: &By, key: &Key) {
        match key {
            Key::Source { .. } => {}
            Key::Published { .. } => {
                self.violate(state, Invariant::StaleTerm, format!("{key} was written, not promoted"));
            }
            Key::Segment { .. } | Key::Work { .. } => {
                let name = key.to_string();
                let writer = state.oracle.writers.entry(name).or_insert_with(|| by.holder.clone()).clone();
                if writer != by.holder {
                    let what = format!("{} wrote {key}, as {writer} did before", by.holder);
                    self.violate(state, Invariant::OwnKeys, what);
                }
            }
        }
    }

    /// Judges that `to` becomes public.
    pub fn judge_promote(&self, state: &mut State, from: &Key, to: &Key) {
        let Key::Published { job, name } = to else {
            return self.violate(state, Invariant::StaleTerm, format!("{to} was promoted"));
        };
        if !state.model.jobs.contains_key(job) {
            // deleted while it was published once more: whoever deletes takes it away
            return;
        }
        if !self.is_public(state, job) {
            let now = state.model.jobs[job].state;
            let what = format!("{to} is published while the job is {now}");
            return self.violate(state, Invariant::Unwanted, what);
        }
        let from = from.to_string();
        if name == "manifest.json" {
            self.judge_manifest_last(state, job);
        }
        let Some(committed) = &mut state.oracle.story(job).manifest else { return };
        let chosen = match name.as_str() {
            "manifest.json" => {
                committed.published += 1;
                committed.published == 1 && from == committed.key
            }
            name => committed.manifest.outputs.iter().any(|o| o.name == name && o.work_key == from),
        };
        if !chosen {
            let what = format!("{to} is published from {from}, which was not committed or is there already");
            self.violate(state, Invariant::OneManifest, what);
        }
    }

    /// Who sees the manifest may read every file that it names.
    fn judge_manifest_last(&self, state: &mut State, job: &JobId) {
        let Some(committed) = &state.oracle.story(job).manifest else { return };
        let names: Vec<String> =
            committed.manifest.outputs.iter().map(|output| output.name.clone()).collect();
        for name in names {
            let key = Key::published(job, &name).expect("a plain name").to_string();
            if state.objects.get(&key).is_none() {
                let what = format!("the manifest of {job} is public, {name} is not");
                self.violate(state, Invariant::OneManifest, what);
            }
        }
    }

    /// Judges a removal. A user's was sent after the ledger was asked of the job at `asked`.
    pub fn judge_delete(&self, state: &mut State, by: &By, key: &Key, asked: Option<Instant>) {
        let name = key.to_string();
        if state.objects.get(&name).is_none() {
            return;
        }
        let is_user = self.params.processes[by.process].role == Role::User;
        if is_user && matches!(key, Key::Source { .. } | Key::Published { .. }) {
            return self.judge_plain_delete(state, by, key, asked);
        }
        if let Some(why) = self.needs(state, key.job(), key, &name) {
            self.violate(state, Invariant::Needed, format!("{} removed {key}: {why}", by.holder));
        }
    }

    /// Judges that a user removes what has a plain name, for which nobody but the ledger knows
    /// whose it is. A job that was made or driven on after it was asked could not be known of.
    fn judge_plain_delete(&self, state: &mut State, by: &By, key: &Key, asked: Option<Instant>) {
        let Some(job) = state.model.jobs.get(key.job()) else { return };
        if matches!(key, Key::Source { .. }) && job.state.is_terminal() {
            return;
        }
        let story = state.oracle.story(key.job());
        if story.moved_at.is_some_and(|moved| asked.is_some_and(|asked| moved < asked)) {
            let what = format!("{} removed {key} of a job that is there", by.holder);
            self.violate(state, Invariant::Needed, what);
        } else {
            story.is_robbed = true;
        }
    }

    /// Why a key is still needed.
    fn needs(&self, state: &mut State, id: &JobId, key: &Key, name: &str) -> Option<&'static str> {
        if matches!(key, Key::Source { .. } | Key::Published { .. }) {
            return Some("no role removes sources and results");
        }
        let job = state.model.jobs.get(id)?;
        let now = job.state;
        if now == JobState::Completed {
            return None;
        }
        let sealed = job.plan.as_ref().is_some_and(|plan| plan.key == name);
        let named = state.model.completions_of(id).any(|c| c.files.iter().any(|file| file.key == name));
        let story = state.oracle.story(id);
        let planned = story.plan.as_ref().is_some_and(|plan| plan.files.values().any(|key| key == name));
        if now == JobState::Publishing {
            let committed = story.manifest.as_ref()?;
            let output = committed.manifest.outputs.iter().find(|output| output.work_key == name);
            let public = output.map(|output| output.name.as_str());
            let public = public.or((committed.key == name).then_some("manifest.json"))?;
            let public = Key::published(id, public).expect("a plain name").to_string();
            return state.objects.get(&public).is_none().then_some("it is committed and not public yet");
        }
        match (sealed || planned, named) {
            (true, _) => Some("it belongs to the sealed plan"),
            (_, true) => Some("a completion names it"),
            _ => None,
        }
    }
}
