//! The list of all outputs of a job: what is published, and how it was made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{JobId, Term};
use crate::plan::PlanHash;

/// Newest manifest this build reads and the one it writes.
pub const MANIFEST_VERSION: u32 = 1;

/// What an output is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    /// The joined video or sound.
    Media,
    /// The transcript as a document.
    Transcript,
    /// The transcript as subtitles or text.
    Subtitles,
    /// A still picture.
    Thumbnail,
    /// The seam certificate.
    Certificate,
}

/// One published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// File name, e.g. `final.mp4`.
    pub name: String,
    /// What it is for.
    pub kind: OutputKind,
    /// Media type, e.g. `video/mp4`.
    pub media_type: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// How it was made and why so, in one or two sentences.
    pub made: String,
    /// Key of the attempt's file that it is published from.
    pub work_key: String,
}

/// The published list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Document version, [`MANIFEST_VERSION`].
    pub version: u32,
    /// The job.
    pub job: JobId,
    /// Name of the recipe.
    pub recipe: String,
    /// The plan it was made from.
    pub plan: PlanHash,
    /// Term of the reassembler's lease.
    pub term: Term,
    /// Size of the source in bytes.
    pub source_bytes: u64,
    /// Number of segments that were joined.
    pub segments: u32,
    /// Names and versions of the programs that made it.
    pub tools: BTreeMap<String, String>,
    /// What the user should know: streams that could not be kept, damage in the source.
    pub notes: Vec<String>,
    /// Every file, the manifest itself excepted.
    pub outputs: Vec<Output>,
}

impl Manifest {
    /// The document as it is published.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has no key that is not a string");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a published document.
    ///
    /// # Errors
    /// A newer version, or bytes that are not a manifest.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, DomainError> {
        crate::wire::check_version("manifest", bytes, MANIFEST_VERSION)?;
        serde_json::from_slice(bytes)
            .map_err(|e| DomainError::Document { document: "manifest", why: e.to_string() })
    }
}
