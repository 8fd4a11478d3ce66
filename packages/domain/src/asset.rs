//! An asset: a source with an owner, plus everything made from it.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{AssetId, Epoch};

/// Newest asset document that this build reads, and the one it writes.
pub const ASSET_VERSION: u32 = 1;

/// Kind of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssetKind {
    /// A video, with or without audio.
    Video,
    /// Audio only.
    Audio,
    /// A still image.
    Image,
    /// A document, such as a PDF.
    Document,
    /// A package of files, such as SCORM.
    Package,
}

/// An asset as stored in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Document version, [`ASSET_VERSION`].
    pub version: u32,
    /// Its id.
    pub id: AssetId,
    /// Its epoch: a later asset with the same id has another.
    pub epoch: Epoch,
    /// Increases with each change.
    pub revision: u64,
    /// Its owner; 1 to 200 bytes.
    pub owner: String,
    /// Its kind.
    pub kind: AssetKind,
    /// Display title.
    pub title: String,
    /// Original name of the uploaded file.
    pub file_name: String,
    /// Media type, e.g. `video/mp4`.
    pub media_type: String,
    /// Size in bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Key of the source in the media store.
    pub source_key: String,
    /// Duration in milliseconds, where it has one and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When it was created, milliseconds since 1970 by the ledger's clock.
    pub created_at_ms: i64,
    /// When it was deleted, likewise; since then the document is a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at_ms: Option<i64>,
}

impl Asset {
    /// Encodes the document for storage.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("an asset has no key that is not a string")
    }

    /// Decodes a stored document.
    ///
    /// # Errors
    /// A newer version, or a text that is not an asset document.
    pub fn decode(text: &str) -> Result<Asset, DomainError> {
        crate::wire::check_version("asset", text.as_bytes(), ASSET_VERSION)?;
        serde_json::from_str(text)
            .map_err(|e| DomainError::Document { document: "asset", why: e.to_string() })
    }
}
