//! Findings: violated checks.

use std::fmt;

/// Kind of violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// A job without its expected end, or recorded work that is missing.
    Lost,
    /// Recorded work that was repeated, or that exists twice.
    Doubled,
    /// A result without a passing certificate, or that differs from its source.
    Uncertified,
    /// Processes, temporary files or state that are never removed.
    Orphan,
    /// A file with a public name that the job did not publish.
    Partial,
    /// A result that differs from that of an undisturbed run.
    Different,
    /// An exit status that is undocumented, or has no cause.
    BadEnd,
    /// A damaged or inconsistent state.
    BadState,
    /// More attempts or messages than allowed.
    Unbounded,
}

impl Broken {
    /// All kinds, in the order of the summary.
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

    /// The name in the summary.
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

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Kind of violation.
    pub broken: Broken,
    /// Description.
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
