//! Validation and decoding errors of domain values.

/// An invalid domain value, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// An id outside `[A-Za-z0-9_-]{1,96}`.
    #[error("{what} {text:?} is not 1 to 96 letters, digits, '-' or '_'")]
    Id {
        /// Which id.
        what: &'static str,
        /// The text, truncated to 96 characters.
        text: String,
    },
    /// An invalid key in the media store.
    #[error("key {key:?} is not valid: {why}")]
    Key {
        /// The key, truncated to 1,024 characters.
        key: String,
        /// The reason.
        why: &'static str,
    },
    /// A document of a version that this build does not support.
    #[error("{document} has version {found}, this build reads 1 to {newest}; use a newer segue")]
    Version {
        /// Which document.
        document: &'static str,
        /// The version it names.
        found: u32,
        /// The newest version this build reads.
        newest: u32,
    },
    /// A document that cannot be parsed.
    #[error("{document} cannot be read: {why}")]
    Document {
        /// Which document.
        document: &'static str,
        /// The parser's message.
        why: String,
    },
    /// A document that can be parsed and is invalid.
    #[error("{document}: {why}")]
    Invalid {
        /// Which document.
        document: &'static str,
        /// The reason.
        why: String,
    },
}
