//! Fuzz targets: one function for each parser of untrusted bytes.
//!
//! The cargo-fuzz targets in `fuzz/`, `cargo xtask fuzz-lite` and this crate's tests call the same
//! functions; the tests use the corpus in `fuzz/corpus`. A function must not panic or be slow for
//! any input; an error is fine. Accepted documents must round-trip, where the format has a unique
//! encoding.

use segue_domain::transcript::Transcript;
use segue_domain::{Completion, JobRecord, Key, Manifest, Message, OutputIndex, Plan, PlanHash, Recipe};
use segue_media::matroska;
use segue_media::mp4::{
    Filling, TrackChoice, fill, looks_like_mov, plan_rewrite, read_fragments, read_index, read_movie,
    short_by, slim_header,
};

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target, its corpus and its cargo-fuzz target.
    pub name: &'static str,
    /// Parses bytes; panics if a property is violated.
    pub parse: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "key", parse: key },
    Target { name: "recipe_toml", parse: recipe_toml },
    Target { name: "recipe_yaml", parse: recipe_yaml },
    Target { name: "plan", parse: plan },
    Target { name: "message", parse: message },
    Target { name: "manifest", parse: manifest },
    Target { name: "records", parse: records },
    Target { name: "mp4_index", parse: mp4_index },
    Target { name: "mp4_movie", parse: mp4_movie },
    Target { name: "mp4_rewrite", parse: mp4_rewrite },
    Target { name: "mp4_fill", parse: mp4_fill },
    Target { name: "matroska", parse: matroska_length },
];

/// Folder of the corpora, with one folder per target.
pub fn corpus() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// Keys of the store; accepted keys round-trip.
pub fn key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = text.parse::<Key>() {
        assert_eq!(key.to_string(), text, "a key round-trips");
    }
}

/// Recipes as TOML; accepted recipes round-trip.
pub fn recipe_toml(bytes: &[u8]) {
    if let Ok(recipe) = Recipe::from_toml(&String::from_utf8_lossy(bytes)) {
        let again = Recipe::from_toml(&recipe.to_toml());
        assert_eq!(again.ok(), Some(recipe), "a recipe round-trips");
    }
}

/// Recipes as YAML or JSON; accepted recipes round-trip.
pub fn recipe_yaml(bytes: &[u8]) {
    if let Ok(recipe) = Recipe::from_yaml(&String::from_utf8_lossy(bytes)) {
        let text = serde_json::to_string(&recipe).expect("a recipe serialises");
        assert_eq!(Recipe::from_yaml(&text).ok(), Some(recipe), "a recipe round-trips");
    }
}

/// Sealed plans; accepted plans round-trip.
pub fn plan(bytes: &[u8]) {
    if let Ok(plan) = Plan::decode(bytes, &PlanHash::of(bytes)) {
        let (written, hash) = plan.encode();
        let again = Plan::decode(&written, &hash);
        assert_eq!(again.ok(), Some(plan), "a plan round-trips");
    }
}

/// Messages of the queues; accepted messages round-trip.
pub fn message(bytes: &[u8]) {
    if let Ok(message) = Message::decode(&String::from_utf8_lossy(bytes)) {
        assert_eq!(Message::decode(&message.encode()).ok(), Some(message), "a message round-trips");
    }
}

/// Published manifests and indexes of outputs; accepted ones round-trip.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        let _ = (manifest.files().count(), manifest.notes().len());
        let again = Manifest::decode(&manifest.encode());
        assert_eq!(again.ok(), Some(manifest), "a manifest round-trips");
    }
    if let Ok(index) = OutputIndex::decode(bytes) {
        let mut manifest = Manifest::new(&index, "");
        manifest.add(&index, "");
        assert_eq!(manifest.outputs.len(), 1, "an output is in the manifest once");
        let again = OutputIndex::decode(&index.encode().0);
        assert_eq!(again.ok(), Some(index), "an index round-trips");
    }
}

/// Ledger rows and transcripts; accepted jobs and completions round-trip.
pub fn records(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(job) = JobRecord::decode(&text) {
        let _ = (job.state(), job.failure());
        // outputs that need each other in a circle get into no job
        if JobRecord::check_outputs(job.outputs.iter().map(|output| &output.asked)).is_ok() {
            let _ = (job.is_open_job(), job.open_outputs().count());
        }
        assert_eq!(JobRecord::decode(&job.encode()).ok(), Some(job), "a job round-trips");
    }
    if let Ok(completion) = Completion::decode(&text) {
        let again = Completion::decode(&completion.encode());
        assert_eq!(again.ok(), Some(completion), "a completion round-trips");
    }
    let _ = serde_json::from_slice::<Transcript>(bytes);
}

/// The index of an MP4 or MOV.
pub fn mp4_index(bytes: &[u8]) {
    let _ = looks_like_mov(&bytes);
    let _ = short_by(&bytes);
    let _ = read_index(&bytes, TrackChoice::FirstVideo);
    let _ = read_index(&bytes, TrackChoice::Id(1));
    let _ = slim_header(&bytes, 8, None);
    let _ = read_fragments(&bytes);
}

/// The index of all tracks of an MP4 or MOV.
pub fn mp4_movie(bytes: &[u8]) {
    let mut place = None;
    if let Ok(movie) = read_movie(&bytes, |found| place = Some(found.clone())) {
        assert_eq!(Some(movie.index), place, "the index lies where it was said to lie");
    }
}

/// A new file of the same tracks: it is as long as its plan says, and made of bytes of the old one.
pub fn mp4_rewrite(bytes: &[u8]) {
    if let Ok(rewrite) = plan_rewrite(&bytes) {
        let moved: u64 = rewrite.runs.iter().map(|run| run.len).sum();
        assert_eq!(rewrite.head.len() as u64 + moved, rewrite.len, "a rewrite has the length it announces");
        let inside = |end: Option<u64>| end.is_some_and(|end| end <= bytes.len() as u64);
        assert!(rewrite.runs.iter().all(|run| inside(run.from.checked_add(run.len))), "a range of the file");
    }
}

/// A movie filled with its own first track, and one that is left as it is.
pub fn mp4_fill(bytes: &[u8]) {
    let _ = fill(&bytes, Vec::new());
    if let Ok(movie) = read_movie(&bytes, |_| ())
        && let Some(track) = movie.tracks.into_iter().next()
    {
        let (timescale, samples, last_duration) = (track.timescale, track.samples, track.last_duration);
        let _ = fill(&bytes, vec![Filling { track: 0, timescale, samples, last_duration }]);
    }
}

/// The length of a Matroska file.
pub fn matroska_length(bytes: &[u8]) {
    let short = matroska::short_by(&bytes);
    assert!(short == 0 || short.checked_add(bytes.len() as u64).is_some());
}
