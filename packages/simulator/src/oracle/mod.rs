//! Who looks at every effect and says what must not be.

mod changes;
mod files;
mod messages;
mod rest;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use segue_domain::{HolderId, JobId, Manifest, Plan};
use tokio::time::Instant;

pub use work::Working;

macro_rules! invariants {
    ($($name:ident, $text:literal;)*) => {
        /// What must always be true.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the text beside each says what it is")]
        pub enum Invariant { $($name),* }

        impl Invariant {
            /// Every one.
            pub const ALL: &[Invariant] = &[$(Invariant::$name),*];

            /// What must be true, in a few words.
            pub fn as_str(self) -> &'static str {
                match self { $(Invariant::$name => $text),* }
            }
        }
    };
}

invariants! {
    Ends, "a job always ends";
    Cause, "a job fails only with a cause that was injected";
    OneManifest, "exactly one manifest is published, with all its files";
    SegmentsOnce, "the manifest names all segments once, from the sealed plan";
    StaleTerm, "nothing changes or is published under a stale term";
    CountedOnce, "no completion is counted twice";
    Durable, "what is recorded is stored before";
    AckLast, "no message is acknowledged before its effect is durable";
    GoodMessage, "no good message is put aside";
    Bounded, "retries and queues are bounded";
    Unwanted, "nothing is published, and no work goes on, for a job that ended";
    Trust, "no lease is trusted by two at once";
    OwnKeys, "no key of an attempt is written by another";
    Needed, "nothing is removed that is still needed";
    Orphans, "after quiet no keys, leases or messages are left";
    Model, "the ledger does as the reference model does";
    Stops, "a role that is asked to stop stops, and never panics";
}

/// What was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// What happened.
    pub what: String,
}

/// What the oracle remembers of one job.
#[derive(Debug, Default)]
struct Story {
    /// When it was last made, driven on or deleted from outside: what was decided before
    /// was decided on another job.
    moved_at: Option<Instant>,
    /// How often that happened.
    moves: u32,
    /// When it was created.
    created_at: Option<Instant>,
    /// Whether a removal from the store took from it that was sent before it was created.
    is_robbed: bool,
    /// What was public under its name when it was created: an earlier job's, whose deletion
    /// had not come to its end.
    left: BTreeSet<String>,
    sealed_at: Option<Instant>,
    ended_at: Option<Instant>,
    plan: Option<Arc<Plan>>,
    manifest: Option<Committed>,
    sends: BTreeMap<String, (u32, Instant)>,
    attempts: BTreeMap<String, u32>,
}

#[derive(Debug)]
struct Committed {
    key: String,
    manifest: Manifest,
    /// Its files by their public names, and itself.
    files: Vec<(String, Bytes)>,
    published: u32,
}

/// Everything that the oracle remembers.
#[derive(Debug, Default)]
pub struct Oracle {
    stories: BTreeMap<JobId, Story>,
    writers: BTreeMap<String, HolderId>,
    working: Vec<Working>,
    last_working: u64,
    /// When the ledger's clock jumped last.
    pub ledger_clock_jumped_at: Option<Instant>,
}

impl Oracle {
    fn story(&mut self, job: &JobId) -> &mut Story {
        self.stories.entry(job.clone()).or_default()
    }

    fn moved(&mut self, job: &JobId) -> &mut Story {
        let story = self.story(job);
        story.moved_at = Some(Instant::now());
        story.moves += 1;
        story.ended_at = None;
        story
    }

    /// A job was created: what was known of an earlier one of that id is over, but for what
    /// that one left public.
    pub fn created(&mut self, job: &JobId, left: BTreeSet<String>) {
        let story = self.moved(job);
        story.left = left;
        (story.sealed_at, story.plan, story.manifest) = (None, None, None);
        (story.created_at, story.is_robbed) = (Some(Instant::now()), false);
    }

    /// A manifest that names nothing was committed, beside one file.
    #[cfg(test)]
    fn commits(&mut self, job: &JobId, name: &str, bytes: Bytes) {
        let manifest = Manifest {
            version: segue_domain::manifest::MANIFEST_VERSION,
            job: job.clone(),
            recipe: String::new(),
            plan: segue_domain::PlanHash(String::new()),
            term: segue_domain::Term(1),
            source_bytes: 0,
            segments: 0,
            tools: BTreeMap::new(),
            notes: Vec::new(),
            outputs: Vec::new(),
        };
        let files = vec![(name.to_owned(), bytes)];
        self.story(job).manifest = Some(Committed { key: String::new(), manifest, files, published: 0 });
    }

    /// A job was deleted.
    pub fn deleted(&mut self, job: &JobId) {
        let story = self.moved(job);
        story.ended_at = Some(Instant::now());
        story.manifest = None;
    }
}
