//! What can be wrong with a value of the domain.

/// A value that the domain refuses, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// An id outside `[A-Za-z0-9_-]{1,96}`.
    #[error("{what} {text:?} is not 1 to 96 letters, digits, '-' or '_'")]
    Id {
        /// Which id.
        what: &'static str,
        /// The text, cut at 96 characters.
        text: String,
    },
    /// A key that no part of Segue writes.
    #[error("key {key:?} is not one of ours: {why}")]
    Key {
        /// The key, cut at 1,024 characters.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A document of a version that this build does not know.
    #[error("{document} has version {found}, this build reads 1 to {newest}; use a newer segue")]
    Version {
        /// Which document.
        document: &'static str,
        /// The version it names.
        found: u32,
        /// The newest version this build reads.
        newest: u32,
    },
    /// A document that cannot be read.
    #[error("{document} cannot be read: {why}")]
    Document {
        /// Which document.
        document: &'static str,
        /// The parser's own words.
        why: String,
    },
    /// A document that can be read and says something impossible.
    #[error("{document}: {why}")]
    Invalid {
        /// Which document.
        document: &'static str,
        /// What is wrong.
        why: String,
    },
}
