//! Notices of a store about arrived sources.

use segue_domain::Key;

/// Parsed body of a message on the queue of a store's notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrivalNotice {
    /// Arrived sources, and invalid entries.
    Sources {
        /// Keys of sources, each once.
        sources: Vec<Key>,
        /// One line for each entry that an operator should check.
        odd: Vec<String>,
    },
    /// A version that this build does not support; left to a newer build.
    Newer(String),
    /// Not a notice.
    Unreadable(String),
}

/// Parses notices in the format of the deployment's store.
pub trait ReadArrivals: Send + Sync {
    /// Parses a body. It is untrusted input.
    fn read(&self, text: &str) -> ArrivalNotice;
}
