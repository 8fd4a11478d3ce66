//! Published documents: an index for each output, and the manifest that lists the outputs of a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{Epoch, JobId, OutputId, Term};
use crate::plan::PlanHash;

/// Newest manifest that this build reads, and the one it writes. Version 1 was before the first release.
pub const MANIFEST_VERSION: u32 = 2;

/// Newest index of an output that this build reads, and the one it writes.
pub const INDEX_VERSION: u32 = 1;

/// Purpose of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// The joined video or audio.
    Media,
    /// The transcript as a document.
    Transcript,
    /// The transcript as subtitles or text.
    Subtitles,
    /// A still picture.
    Thumbnail,
    /// The seam certificate.
    Certificate,
    /// A document about pictures: the index of a storyboard, the BlurHash of a poster.
    Description,
    /// A playlist or manifest of a stream.
    Playlist,
    /// A part or an initialisation segment of a stream.
    StreamPart,
    /// A page that plays a stream.
    Player,
}

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedFile {
    /// File name below `jobs/JOB/`, e.g. `final.mp4`.
    pub name: String,
    /// Its purpose.
    pub kind: FileKind,
    /// Media type, e.g. `video/mp4`.
    pub media_type: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// How and why it was made so, in one or two sentences.
    pub made: String,
    /// Key of the attempt's file from which it is published.
    pub work_key: String,
}

/// The index of one output, `jobs/JOB/outputs/OUTPUT.json`: published after all its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputIndex {
    /// Document version, [`INDEX_VERSION`].
    pub version: u32,
    /// The job.
    pub job: JobId,
    /// The epoch of the job.
    pub epoch: Epoch,
    /// The output.
    pub output: OutputId,
    /// Kind of the output: `transcript`, `video`, …
    pub kind: String,
    /// Name of the recipe.
    pub recipe: String,
    /// The plan it was made from.
    pub plan: PlanHash,
    /// Term of the lease under which it was assembled.
    pub term: Term,
    /// Hashes of the indexes of the outputs that it was made from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<OutputId, String>,
    /// Size of the source in bytes.
    pub source_bytes: u64,
    /// Duration of the source in milliseconds, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Number of segments that were joined.
    pub segments: u32,
    /// Names and versions of the programs that were used.
    pub tools: BTreeMap<String, String>,
    /// Notes for the user: dropped streams, damage in the source.
    pub notes: Vec<String>,
    /// Why the output has no files, if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Every file except this index.
    pub files: Vec<PublishedFile>,
}

impl OutputIndex {
    /// Encodes the document; returns it with its hash.
    pub fn encode(&self) -> (Vec<u8>, String) {
        let bytes = pretty(self);
        let hash = OutputIndex::hash_of(&bytes);
        (bytes, hash)
    }

    /// BLAKE3 of a document's bytes, hex.
    pub fn hash_of(bytes: &[u8]) -> String {
        blake3::hash(bytes).to_hex().to_string()
    }

    /// Decodes a published document.
    ///
    /// # Errors
    /// A newer version, or bytes that are not an index.
    pub fn decode(bytes: &[u8]) -> Result<OutputIndex, DomainError> {
        crate::wire::check_version("index of an output", bytes, INDEX_VERSION)?;
        serde_json::from_slice(bytes)
            .map_err(|e| DomainError::Document { document: "index of an output", why: e.to_string() })
    }
}

/// An output in the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestOutput {
    /// Kind of the output: `transcript`, `video`, …
    pub kind: String,
    /// Name of its index below `jobs/JOB/`.
    pub index: String,
    /// BLAKE3 of the index, hex.
    pub index_hash: String,
    /// The plan it was made from.
    pub plan: PlanHash,
    /// Number of segments that were joined.
    pub segments: u32,
    /// Names and versions of the programs that were used.
    pub tools: BTreeMap<String, String>,
    /// Notes for the user: dropped streams, damage in the source.
    pub notes: Vec<String>,
    /// Why the output has no files, if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its files.
    pub files: Vec<PublishedFile>,
}

/// The manifest of a job, `jobs/JOB/manifest.json`: lists its published outputs, and is updated with
/// each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Document version, [`MANIFEST_VERSION`].
    pub version: u32,
    /// The job.
    pub job: JobId,
    /// The epoch of the job.
    pub epoch: Epoch,
    /// Name of the recipe.
    pub recipe: String,
    /// Size of the source in bytes.
    pub source_bytes: u64,
    /// Duration of the source in milliseconds, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The published outputs by name.
    pub outputs: BTreeMap<OutputId, ManifestOutput>,
}

impl Manifest {
    /// A manifest with only this output.
    pub fn new(index: &OutputIndex, hash: &str) -> Manifest {
        let mut manifest = Manifest {
            version: MANIFEST_VERSION,
            job: index.job.clone(),
            epoch: index.epoch.clone(),
            recipe: index.recipe.clone(),
            source_bytes: index.source_bytes,
            duration_ms: index.duration_ms,
            outputs: BTreeMap::new(),
        };
        manifest.add(index, hash);
        manifest
    }

    /// Adds an output, or replaces the one with the same name.
    pub fn add(&mut self, index: &OutputIndex, hash: &str) {
        let output = ManifestOutput {
            kind: index.kind.clone(),
            index: format!("outputs/{}.json", index.output),
            index_hash: hash.to_owned(),
            plan: index.plan.clone(),
            segments: index.segments,
            tools: index.tools.clone(),
            notes: index.notes.clone(),
            reason: index.reason.clone(),
            files: index.files.clone(),
        };
        self.outputs.insert(index.output.clone(), output);
    }

    /// The files of all outputs, in order of the outputs' names.
    pub fn files(&self) -> impl Iterator<Item = &PublishedFile> {
        self.outputs.values().flat_map(|output| &output.files)
    }

    /// The notes of all outputs, without duplicates.
    pub fn notes(&self) -> Vec<&str> {
        let mut notes: Vec<&str> = Vec::new();
        for output in self.outputs.values() {
            for note in output.notes.iter().chain(&output.reason) {
                if !notes.contains(&note.as_str()) {
                    notes.push(note);
                }
            }
        }
        notes
    }

    /// Encodes the document.
    pub fn encode(&self) -> Vec<u8> {
        pretty(self)
    }

    /// Decodes a published document.
    ///
    /// # Errors
    /// A newer version, or bytes that are not a manifest.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, DomainError> {
        crate::wire::check_version("manifest", bytes, MANIFEST_VERSION)?;
        serde_json::from_slice(bytes)
            .map_err(|e| DomainError::Document { document: "manifest", why: e.to_string() })
    }
}

fn pretty(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("it has no key that is not a string");
    bytes.push(b'\n');
    bytes
}
