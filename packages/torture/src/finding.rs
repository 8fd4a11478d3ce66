//! What may not be.

use std::fmt;

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// A job that does not end as it must, or work that was recorded and is gone.
    Lost,
    /// Something that was recorded was done again, or is there twice.
    Doubled,
    /// A result without a certificate that passes, or that is not its source.
    Uncertified,
    /// Processes, temporary files or state that nobody will remove.
    Orphan,
    /// A file under a public name that is not what the job published.
    Partial,
    /// Another result than that of an undisturbed run.
    Different,
    /// An end that is not documented, or not for that cause.
    BadEnd,
    /// A state that is damaged or contradicts itself.
    BadState,
    /// More attempts or messages than may be.
    Unbounded,
}

impl Broken {
    /// Every one, in the order of the summary.
    pub const ALL: [Broken; 9] = [
        Broken::Lost,
        Broken::Doubled,
        Broken::Uncertified,
        Broken::Orphan,
        Broken::Partial,
        Broken::Different,
        Broken::BadEnd,
        Broken::BadState,
        Broken::Unbounded,
    ];

    /// Its name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Broken::Lost => "lost",
            Broken::Doubled => "doubled",
            Broken::Uncertified => "uncertified",
            Broken::Orphan => "orphans",
            Broken::Partial => "partial",
            Broken::Different => "different",
            Broken::BadEnd => "bad end",
            Broken::BadState => "bad state",
            Broken::Unbounded => "unbounded",
        }
    }
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which promise.
    pub broken: Broken,
    /// What was seen.
    pub what: String,
}

impl Finding {
    /// A finding.
    pub fn new(broken: Broken, what: impl Into<String>) -> Finding {
        Finding { broken, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.broken.name(), self.what)
    }
}
