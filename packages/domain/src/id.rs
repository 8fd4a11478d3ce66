//! Ids as newtypes, so that they cannot be confused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DomainError;

/// Maximum length of an id in bytes: keys stay far below the 1,024 that S3 allows.
const ID_MAX: usize = 96;

/// Name prefixes of spare attempts: of the first at a task, and of the second. No kind of task
/// has such a name.
const SPARES: [&str; 2] = ["spare_", "spare2_"];

fn check_id(what: &'static str, text: &str) -> Result<(), DomainError> {
    let ok = !text.is_empty()
        && text.len() <= ID_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if ok { Ok(()) } else { Err(DomainError::Id { what, text: text.chars().take(ID_MAX).collect() }) }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text: 1 to 96 of `[A-Za-z0-9_-]`.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = DomainError;

            fn from_str(text: &str) -> Result<Self, DomainError> {
                check_id($what, text)?;
                Ok($name(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = DomainError;

            fn try_from(text: String) -> Result<Self, DomainError> {
                check_id($what, &text)?;
                Ok($name(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A recipe applied to an asset.
    JobId,
    "job id"
);
text_id!(
    /// A source with an owner, and everything made from it.
    AssetId,
    "asset id"
);
text_id!(
    /// One output of a job, e.g. `transcript` or `video`. Its name in recipes, keys and on the
    /// command line.
    OutputId,
    "output name"
);
text_id!(
    /// One unit of map work within an output, e.g. `transcribe-00003`.
    TaskId,
    "task id"
);
text_id!(
    /// A process that holds leases; never reused by another process.
    HolderId,
    "holder id"
);
text_id!(
    /// Epoch of a job: a later job with the same id has another. The ledger assigns it.
    Epoch,
    "epoch"
);

impl Epoch {
    /// Digits of the time in an epoch.
    const TIME_DIGITS: usize = 12;

    /// The epoch of a job that is created at `now_ms`, milliseconds since 1970 by the ledger's clock: greater than
    /// `previous`, that of the deleted job with the same id, also when the clock was set back. `salt` distinguishes
    /// creations in the same millisecond.
    pub fn following(previous: Option<&Epoch>, now_ms: i64, salt: u64) -> Epoch {
        let time = |epoch: &Epoch| {
            let digits = epoch.0.get(..Self::TIME_DIGITS)?;
            u64::from_str_radix(digits, 16).ok()
        };
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        let time = previous.and_then(time).map_or(now_ms, |previous| now_ms.max(previous + 1));
        Epoch(format!("{time:0digits$x}{salt:016x}", digits = Self::TIME_DIGITS))
    }
}

/// One output in one epoch of a job: the owner of completions, counters and failures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRef {
    /// The job.
    pub job: JobId,
    /// The job's epoch.
    pub epoch: Epoch,
    /// The output.
    pub output: OutputId,
}

impl fmt::Display for OutputRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.output)
    }
}

impl TaskId {
    /// The id of the task of `kind` on segment `index`: `{kind}-{index:05}`.
    pub fn of(kind: crate::plan::TaskKind, index: u32) -> TaskId {
        TaskId(format!("{}-{index:05}", kind.as_str()))
    }

    /// The name under which failed attempts at planning are counted.
    pub fn planning() -> TaskId {
        TaskId("plan".to_owned())
    }

    /// The name under which attempts at assembling an output are stored and counted.
    pub fn assembly() -> TaskId {
        TaskId("assemble".to_owned())
    }

    /// The name of the next spare attempt, which has leases and keys of its own: the first spare of
    /// a task, the second of its first spare. `None` for a second spare, and if the name would
    /// be too long.
    pub fn spare(&self) -> Option<TaskId> {
        let (spares, task) = self.as_spare();
        format!("{}{task}", SPARES.get(spares)?).parse().ok()
    }

    /// The task of this spare attempt.
    pub fn of_spare(&self) -> Option<TaskId> {
        let (spares, task) = self.as_spare();
        (spares > 0).then(|| task.parse().ok())?
    }

    /// Which spare attempt this is, and of which task; 0 for a task itself.
    fn as_spare(&self) -> (usize, &str) {
        let named = SPARES.iter().zip(1..).find_map(|(name, n)| Some((n, self.0.strip_prefix(name)?)));
        named.unwrap_or((0, &self.0))
    }
}

/// Increases with each acquisition of a lease. Every commit carries it, so that a holder whose
/// lease was taken over is fenced at the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_is_named_after_its_task() {
        let task = TaskId::of(crate::plan::TaskKind::Digest, 3);
        let spare = task.spare().unwrap();
        assert_eq!(spare.as_str(), "spare_digest-00003");
        assert_eq!(spare.of_spare(), Some(task.clone()));
        let second = spare.spare().unwrap();
        assert_eq!(second.as_str(), "spare2_digest-00003");
        assert_eq!(second.of_spare(), Some(task.clone()));
        assert_eq!((task.of_spare(), second.spare()), (None, None));
        assert_eq!("x".repeat(96).parse::<TaskId>().unwrap().spare(), None, "no room for the name");
    }

    #[test]
    fn takes_only_plain_ids() {
        for good in ["a", "018f-Ab_9", &"x".repeat(96)] {
            assert_eq!(good.parse::<JobId>().unwrap().as_str(), good);
        }
        for bad in ["", "a/b", "..", "a b", "ü", "a+b", &"x".repeat(97)] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?} was taken");
        }
        assert!(serde_json::from_str::<JobId>("\"a/b\"").is_err());
    }
}
