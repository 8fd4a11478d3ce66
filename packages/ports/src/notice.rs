//! What the store of a deployment says of sources that arrived.

use segue_domain::Key;

/// What a text says that came where a store tells of arrivals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrivalNotice {
    /// Sources that are there now, and what else it says that cannot be meant so.
    Sources {
        /// Keys of sources, each once.
        sources: Vec<Key>,
        /// One line for each thing that a person should look at.
        odd: Vec<String>,
    },
    /// It is of a version that this build does not know, and is left for one that does.
    Newer(String),
    /// It is no notice at all.
    Unreadable(String),
}

/// Reads notices as the store of a deployment writes them.
pub trait ReadArrivals: Send + Sync {
    /// What the text says. It comes from outside: anything may stand in it.
    fn read(&self, text: &str) -> ArrivalNotice;
}
