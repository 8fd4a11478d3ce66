//! Checks of what is written to the store, published and removed.

use std::collections::BTreeMap;

use bytes::Bytes;
use segue_domain::{JobId, JobRecord, Key, Manifest, OutputId, OutputIndex, OutputState};
use tokio::time::Instant;

use crate::model::{output_of, reference};
use crate::oracle::Invariant;
use crate::port::By;
use crate::world::{State, World};

impl World {
    /// Checks a write.
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

    /// Checks that `to` becomes public.
    pub fn judge_promote(&self, state: &mut State, from: &Key, to: &Key) {
        let (Key::Published { job, name }, Key::Work { output, .. }) = (to, from) else {
            return self.violate(state, Invariant::StaleTerm, format!("{to} was promoted from {from}"));
        };
        if state.model.jobs.get(job).is_none_or(|job| job.deleting) {
            // deleted while it was published again: the deletion removes it
            return;
        }
        if !self.is_public(state, job, output) {
            let now = state.model.output_state(job, output);
            let what = format!("{to} is published while its output is {now:?}");
            return self.violate(state, Invariant::Unwanted, what);
        }
        let (from, is_index) = (from.to_string(), *to == Key::index(job, output));
        if is_index {
            self.judge_index_last(state, job, output);
        }
        let Some(committed) = &mut state.oracle.output(job, output).committed else { return };
        let chosen = match is_index {
            true => {
                committed.published += 1;
                committed.published == 1 && from == committed.key
            }
            false => committed.index.files.iter().any(|file| file.name == *name && file.work_key == from),
        };
        if !chosen {
            let what = format!("{to} is published from {from}, which was not committed or is public already");
            self.violate(state, Invariant::PublishedOnce, what);
        }
    }

    /// A reader of the index may read every file that it names.
    fn judge_index_last(&self, state: &mut State, job: &JobId, output: &OutputId) {
        let Some(committed) = &state.oracle.output(job, output).committed else { return };
        let names: Vec<String> = committed.index.files.iter().map(|file| file.name.clone()).collect();
        for name in names {
            let key = Key::published(job, &name).expect("a plain name").to_string();
            if state.objects.get(&key).is_none() && !state.oracle.story(job).is_robbed {
                let what = format!("the index of {job}/{output} is public, {name} is not");
                self.violate(state, Invariant::PublishedOnce, what);
            }
        }
    }

    /// Checks the write of a manifest.
    pub fn judge_document(&self, state: &mut State, key: &Key, bytes: &Bytes) {
        let manifest = match Manifest::decode(bytes) {
            Ok(manifest) if *key == Key::manifest(&manifest.job) => manifest,
            _ => return self.violate(state, Invariant::Manifest, format!("{key} is no manifest")),
        };
        let id = manifest.job.clone();
        let listed = state.oracle.story(&id).listed.clone();
        let Some(job) = state.model.jobs.get(&id).filter(|job| !job.deleting).cloned() else {
            // the sweeper removes it, by the tombstone of the job
            return;
        };
        if manifest.epoch != job.epoch {
            if !listed.is_empty() {
                let what = format!("the manifest of {id} was replaced by that of an earlier job");
                self.violate(state, Invariant::Manifest, what);
            }
            state.oracle.story(&id).left.insert(key.to_string());
            return;
        }
        let now: BTreeMap<OutputId, String> =
            manifest.outputs.iter().map(|(id, output)| (id.clone(), output.index_hash.clone())).collect();
        let robbed = state.oracle.story(&id).is_robbed;
        if let Some((lost, _)) = listed.iter().find(|(output, hash)| now.get(*output) != Some(*hash))
            && !robbed
        {
            self.violate(state, Invariant::Manifest, format!("the manifest of {id} lost {lost}"));
        }
        for (output, hash) in &now {
            let index = state.objects.get(&Key::index(&id, output).to_string());
            let is_published = self.is_public(state, &id, output)
                && state.oracle.output(&id, output).committed.as_ref().is_some_and(|c| c.hash == *hash)
                && index.is_some_and(|bytes| OutputIndex::hash_of(bytes) == *hash);
            if !is_published && !robbed {
                let what = format!("the manifest of {id} lists {output}, which is not published");
                self.violate(state, Invariant::Manifest, what);
            }
        }
        state.oracle.story(&id).listed = now;
    }

    /// A completed output is in the manifest of its job.
    pub(super) fn judge_listed(&self, state: &mut State, id: &JobId, output: &OutputId) {
        let (Some(job), story) = (state.model.jobs.get(id), state.oracle.story(id)) else { return };
        if story.is_robbed {
            return;
        }
        let hash = story.outputs.get(output).and_then(|o| o.committed.as_ref()).map(|c| c.hash.clone());
        let stored = state.objects.get(&Key::manifest(id).to_string());
        let manifest = stored.and_then(|bytes| Manifest::decode(bytes).ok()).filter(|m| m.epoch == job.epoch);
        let found = manifest.and_then(|m| m.outputs.get(output).map(|output| output.index_hash.clone()));
        if found.is_none() || found != hash {
            let what = format!("{id}/{output} is completed and not in the manifest");
            self.violate(state, Invariant::Manifest, what);
        }
    }

    /// Checks a removal by a process whose last answer about the job from the ledger was at `asked`.
    pub fn judge_delete(&self, state: &mut State, by: &By, key: &Key, asked: Option<Instant>) {
        let name = key.to_string();
        if state.objects.get(&name).is_none() {
            return;
        }
        let Some(job) = state.model.jobs.get(key.job()).filter(|job| !job.deleting).cloned() else {
            if let Key::Published { .. } = key {
                state.oracle.story(key.job()).listed.clear();
            }
            return;
        };
        if let Key::Source { .. } | Key::Published { .. } = key {
            return self.judge_plain_delete(state, by, key, asked);
        }
        if let Some(why) = needs(state, &job, key, &name) {
            self.violate(state, Invariant::Needed, format!("{} removed {key}: {why}", by.holder));
        }
    }

    /// Checks the removal of a key without a term while a job is there that is not being deleted. A job
    /// that was created after the process asked the ledger could not be known to it.
    fn judge_plain_delete(&self, state: &mut State, by: &By, key: &Key, asked: Option<Instant>) {
        let story = state.oracle.story(key.job());
        if story.created_at.is_some_and(|created| asked.is_some_and(|asked| created < asked)) {
            let what = format!("{} removed {key} of a job that is there", by.holder);
            self.violate(state, Invariant::Needed, what);
        } else {
            story.is_robbed = true;
        }
    }
}

/// Why a key with a term is still needed.
fn needs(state: &mut State, job: &JobRecord, key: &Key, name: &str) -> Option<&'static str> {
    let (Key::Work { output, .. } | Key::Segment { output, .. }) = key else { return None };
    let found = output_of(job, output)?;
    let story = state.oracle.output(&job.id, output);
    match found.state {
        OutputState::Completed => return None,
        OutputState::Publishing => {
            let committed = story.committed.as_ref()?;
            let file = committed.index.files.iter().find(|file| file.work_key == name);
            let public = match file {
                Some(file) => Key::published(&job.id, &file.name).expect("a plain name"),
                None if committed.key == name => Key::index(&job.id, output),
                None => return None,
            };
            let missing = state.objects.get(&public.to_string()).is_none();
            return missing.then_some("it is committed and not public yet");
        }
        _ => {}
    }
    let sealed = found.plan.as_ref().is_some_and(|plan| plan.key == name);
    let planned = story.plan.as_ref().is_some_and(|plan| plan.files.values().any(|key| key == name));
    let output = reference(job, output);
    let named = state.model.completions_of(&output).any(|c| c.files.iter().any(|file| file.key == name));
    match (sealed || planned, named) {
        (true, _) => Some("it belongs to the sealed plan"),
        (_, true) => Some("a completion names it"),
        _ => None,
    }
}
