//! An asset: a source with an owner, plus everything made from it.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{AssetId, Epoch};
use crate::keys::Key;

/// Maximum length of an owner, bytes.
pub const OWNER_MAX: usize = 200;

/// Maximum length of a title, bytes.
pub const TITLE_MAX: usize = 500;

/// Maximum length of a file name and of a media type, bytes.
pub const NAME_MAX: usize = 255;

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
    /// Display title; 1 to 500 bytes.
    pub title: String,
    /// Original name of the uploaded file; 1 to 255 bytes.
    pub file_name: String,
    /// Media type, e.g. `video/mp4`; 3 to 255 bytes of ASCII.
    pub media_type: String,
    /// Size in bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Key of the source in the media store: `input/{asset}/source.{ext}`.
    pub source_key: String,
    /// Duration in milliseconds, where it has one and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When it was created, milliseconds since 1970 by the catalogue's clock.
    pub created_at_ms: i64,
    /// When it was deleted, likewise; since then the document is a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at_ms: Option<i64>,
}

/// Fails for a text that is empty, longer than `max` bytes or not one line.
fn check_text(what: &str, text: &str, max: usize) -> Result<(), DomainError> {
    if text.is_empty() || text.len() > max {
        return Err(invalid(format!("{what} has {} bytes, 1 to {max} are allowed", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(format!("{what} has a control character")));
    }
    Ok(())
}

fn invalid(why: String) -> DomainError {
    DomainError::Invalid { document: "asset", why }
}

/// Validates an owner, as for a listing.
///
/// # Errors
/// [`DomainError::Invalid`] for an invalid owner.
pub fn check_owner(owner: &str) -> Result<(), DomainError> {
    check_text("the owner", owner, OWNER_MAX)
}

impl Asset {
    /// Whether it was deleted: then it is a tombstone.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at_ms.is_some()
    }

    /// Validates the length of every text, and that the source is the asset's own.
    ///
    /// # Errors
    /// [`DomainError::Invalid`], naming the first invalid field.
    pub fn check(&self) -> Result<(), DomainError> {
        check_owner(&self.owner)?;
        check_text("the title", &self.title, TITLE_MAX)?;
        check_text("the file name", &self.file_name, NAME_MAX)?;
        check_text("the media type", &self.media_type, NAME_MAX)?;
        let has_subtype =
            self.media_type.split_once('/').is_some_and(|(t, s)| !t.is_empty() && !s.is_empty());
        if !self.media_type.is_ascii() || !has_subtype {
            return Err(invalid(format!("{:?} is not a media type such as video/mp4", self.media_type)));
        }
        let is_own = self.source_key.starts_with(&format!("input/{}/source.", self.id));
        if !is_own || self.source_key.parse::<Key>().is_err() {
            let why = "the key of the source is not input/ASSET/source.EXT with the asset's own id";
            return Err(invalid(why.to_owned()));
        }
        Ok(())
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn asset() -> Asset {
        Asset {
            version: ASSET_VERSION,
            id: "talk".parse().unwrap(),
            epoch: "1".parse().unwrap(),
            revision: 1,
            owner: "o".into(),
            kind: AssetKind::Video,
            title: "t".into(),
            file_name: "f".into(),
            media_type: "video/mp4".into(),
            size_bytes: None,
            source_key: "input/talk/source.mp4".into(),
            duration_ms: None,
            created_at_ms: 0,
            deleted_at_ms: None,
        }
    }

    #[test]
    fn every_text_is_bounded() {
        let refused = |change: fn(&mut Asset)| {
            let mut asset = asset();
            change(&mut asset);
            asset.check().err().map(|e| e.to_string())
        };
        assert_eq!(refused(|_| ()), None);
        assert_eq!(refused(|a| a.owner = "x".repeat(OWNER_MAX)), None);
        assert_eq!(refused(|a| a.title = "\u{fc}".repeat(TITLE_MAX / 2)), None);
        type Change = fn(&mut Asset);
        let cases: [(&str, Change); 14] = [
            ("the owner", |a| a.owner = String::new()),
            ("the owner", |a| a.owner = "x".repeat(OWNER_MAX + 1)),
            ("the owner", |a| a.owner = "a\nb".into()),
            ("the title", |a| a.title = String::new()),
            ("the title", |a| a.title = "\u{fc}".repeat(TITLE_MAX / 2 + 1)),
            ("the file name", |a| a.file_name = "x".repeat(NAME_MAX + 1)),
            ("the file name", |a| a.file_name = "a\0b".into()),
            ("the media type", |a| a.media_type = "x".repeat(NAME_MAX + 1)),
            ("not a media type", |a| a.media_type = "video".into()),
            ("not a media type", |a| a.media_type = "video/".into()),
            ("not a media type", |a| a.media_type = "vid\u{e9}o/mp4".into()),
            ("the key of the source", |a| a.source_key = "input/other/source.mp4".into()),
            ("the key of the source", |a| a.source_key = "jobs/talk/manifest.json".into()),
            ("the key of the source", |a| a.source_key = "input/talk/source.".into()),
        ];
        for (what, change) in cases {
            let why = refused(change);
            assert!(why.as_ref().is_some_and(|why| why.contains(what)), "{what}: {why:?}");
        }
    }
}
