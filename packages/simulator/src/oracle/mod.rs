//! The oracle: checks every effect against the invariants.

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
use segue_domain::{HolderId, JobId, OutputId, OutputIndex, Plan};
use tokio::time::Instant;

pub use work::Working;

macro_rules! invariants {
    ($($name:ident, $text:literal;)*) => {
        /// An invariant of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the text beside each is its description")]
        pub enum Invariant { $($name),* }

        impl Invariant {
            /// Every one.
            pub const ALL: &[Invariant] = &[$(Invariant::$name),*];

            /// The invariant in one line.
            pub fn as_str(self) -> &'static str {
                match self { $(Invariant::$name => $text),* }
            }
        }
    };
}

invariants! {
    Ends, "a job always ends";
    Cause, "an output fails only with a cause that was injected";
    PublishedOnce, "an output is published once, its index after all its files";
    Manifest, "the manifest lists every completed output, only published ones, and loses none";
    JobState, "a job is completed exactly when its required outputs are published";
    SegmentsOnce, "an index names all segments once, from the sealed plan";
    Needs, "a need is not read before it is published";
    Addition, "an added output changes nothing of the others";
    Deleting, "nothing changes a job that is being deleted, and a job is deleted only by its user";
    StaleTerm, "nothing changes or is published under a stale term";
    CountedOnce, "the count of an output is the number of its completions";
    Durable, "what is recorded is stored before";
    AckLast, "no message is acknowledged before its effect is durable";
    GoodMessage, "no valid message becomes a dead letter";
    Bounded, "retries and lanes are bounded";
    Unwanted, "nothing is published and no work continues for an output that ended";
    Trust, "no lease is trusted by two holders at once";
    OwnKeys, "no key of an attempt is written by another";
    Needed, "nothing is removed that is still needed";
    Orphans, "at the end no keys, leases or messages are left";
    Model, "the ledger does as the reference model does";
    Stops, "a role that is asked to stop stops, and never panics";
}

/// A violated invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// What happened.
    pub what: String,
}

/// What the oracle knows of one job.
#[derive(Debug, Default)]
struct Story {
    /// When it was last created, extended, retried or deleted by a user: decisions that were made
    /// before were made about another state.
    moved_at: Option<Instant>,
    /// How often that happened.
    moves: u32,
    /// When it was created.
    created_at: Option<Instant>,
    /// Whether a removal that was sent before its creation removed one of its files.
    is_robbed: bool,
    /// What was public below its name when it was created: files of an earlier job whose deletion was
    /// not finished.
    left: BTreeSet<String>,
    /// When its deletion began, or it was deleted.
    deleted_at: Option<Instant>,
    outputs: BTreeMap<OutputId, OutputStory>,
    /// The outputs in the manifest of this job, and the hashes of their indexes.
    listed: BTreeMap<OutputId, String>,
    sends: BTreeMap<String, (u32, Instant)>,
    attempts: BTreeMap<String, u32>,
}

/// What the oracle knows of one output.
#[derive(Debug, Default)]
struct OutputStory {
    sealed_at: Option<Instant>,
    /// When it was completed, failed or cancelled.
    ended_at: Option<Instant>,
    plan: Option<Arc<Plan>>,
    committed: Option<Committed>,
}

#[derive(Debug)]
struct Committed {
    key: String,
    hash: String,
    index: OutputIndex,
    /// Its files by their public names, and the index itself.
    files: Vec<(String, Bytes)>,
    published: u32,
}

/// Everything that the oracle knows.
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

    fn output(&mut self, job: &JobId, output: &OutputId) -> &mut OutputStory {
        self.story(job).outputs.entry(output.clone()).or_default()
    }

    fn moved(&mut self, job: &JobId) -> &mut Story {
        let story = self.story(job);
        story.moved_at = Some(Instant::now());
        story.moves += 1;
        story
    }

    /// A job was created. What was known of an earlier job of that id is dropped, except its public
    /// files.
    pub fn created(&mut self, job: &JobId, left: BTreeSet<String>) {
        let story = self.moved(job);
        story.left = left;
        story.outputs.clear();
        story.listed.clear();
        (story.created_at, story.is_robbed, story.deleted_at) = (Some(Instant::now()), false, None);
    }

    /// An index without files was committed, beside one file.
    #[cfg(test)]
    fn commits(&mut self, job: &JobId, output: &OutputId, name: &str, bytes: Bytes) {
        let index = OutputIndex {
            version: segue_domain::manifest::INDEX_VERSION,
            job: job.clone(),
            epoch: "1".parse().expect("a plain id"),
            output: output.clone(),
            kind: String::new(),
            recipe: String::new(),
            plan: segue_domain::PlanHash(String::new()),
            term: segue_domain::Term(1),
            needs: BTreeMap::new(),
            source_bytes: 0,
            duration_ms: None,
            segments: 0,
            tools: BTreeMap::new(),
            notes: Vec::new(),
            reason: None,
            files: Vec::new(),
        };
        let files = vec![(name.to_owned(), bytes)];
        let hash = index.encode().1;
        self.output(job, output).committed =
            Some(Committed { key: String::new(), hash, index, files, published: 0 });
    }

    /// A job was deleted.
    pub fn deleted(&mut self, job: &JobId) {
        let story = self.moved(job);
        story.deleted_at = Some(Instant::now());
        story.outputs.clear();
        story.listed.clear();
    }
}
