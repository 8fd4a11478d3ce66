//! Keys in the media store: the only place that builds and parses them.

use std::fmt;
use std::str::FromStr;

use crate::error::DomainError;
use crate::id::{JobId, OutputId, TaskId, Term};

/// A key in the media store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// `input/{job}/source.{ext}`: the source.
    Source {
        /// The job.
        job: JobId,
        /// Extension without a dot, 1 to 8 of `[a-z0-9]`.
        ext: String,
    },
    /// `segments/{job}/{output}/{term}/{name}`: a plan, and the planner's files for workers.
    Segment {
        /// The job.
        job: JobId,
        /// The output.
        output: OutputId,
        /// Term of the lease under which it was written.
        term: Term,
        /// File name, may contain folders.
        name: String,
    },
    /// `work/{job}/{output}/{task}/{term}/{name}`: a file of one attempt; no other attempt writes it.
    Work {
        /// The job.
        job: JobId,
        /// The output.
        output: OutputId,
        /// The task, or [`TaskId::assembly`].
        task: TaskId,
        /// Term of the lease under which it was written.
        term: Term,
        /// File name, may contain folders.
        name: String,
    },
    /// `jobs/{job}/{name}`: a published file.
    Published {
        /// The job.
        job: JobId,
        /// File name, may contain folders.
        name: String,
    },
}

fn refuse(key: &str, why: &'static str) -> DomainError {
    DomainError::Key { key: key.chars().take(1024).collect(), why }
}

fn check_name(key: &str, name: &str) -> Result<(), DomainError> {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if name.len() <= 512 && name.split('/').all(plain) {
        Ok(())
    } else {
        Err(refuse(key, "a name is made of [A-Za-z0-9._-], has no empty part, and no '..'"))
    }
}

fn check_ext(key: &str, ext: &str) -> Result<(), DomainError> {
    let ok =
        (1..=8).contains(&ext.len()) && ext.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if ok { Ok(()) } else { Err(refuse(key, "an extension is 1 to 8 of [a-z0-9]")) }
}

impl Key {
    /// Prefix of the files of attempts, of all jobs.
    pub const WORK: &'static str = "work/";

    /// Prefix of the planners' files, of all jobs.
    pub const SEGMENTS: &'static str = "segments/";

    /// The key of a source with the extension `ext`; an invalid extension becomes `bin`.
    pub fn source(job: &JobId, ext: &str) -> Key {
        let ext = ext.to_ascii_lowercase();
        let ext = if check_ext("", &ext).is_ok() { ext } else { "bin".to_owned() };
        Key::Source { job: job.clone(), ext }
    }

    /// The key of a file that the planner made for `output`.
    ///
    /// # Errors
    /// An invalid name.
    pub fn segment(job: &JobId, output: &OutputId, term: Term, name: &str) -> Result<Key, DomainError> {
        check_name(name, name)?;
        Ok(Key::Segment { job: job.clone(), output: output.clone(), term, name: name.to_owned() })
    }

    /// The key of an attempt's file.
    ///
    /// # Errors
    /// An invalid name.
    pub fn work(
        job: &JobId,
        output: &OutputId,
        task: &TaskId,
        term: Term,
        name: &str,
    ) -> Result<Key, DomainError> {
        check_name(name, name)?;
        let (output, task) = (output.clone(), task.clone());
        Ok(Key::Work { job: job.clone(), output, task, term, name: name.to_owned() })
    }

    /// The key of the public index of an output.
    pub fn index(job: &JobId, output: &OutputId) -> Key {
        Key::Published { job: job.clone(), name: format!("outputs/{output}.json") }
    }

    /// The key of the manifest of a job.
    pub fn manifest(job: &JobId) -> Key {
        Key::Published { job: job.clone(), name: "manifest.json".to_owned() }
    }

    /// The key of a published file.
    ///
    /// # Errors
    /// An invalid name.
    pub fn published(job: &JobId, name: &str) -> Result<Key, DomainError> {
        check_name(name, name)?;
        Ok(Key::Published { job: job.clone(), name: name.to_owned() })
    }

    /// The job it belongs to.
    pub fn job(&self) -> &JobId {
        match self {
            Key::Source { job, .. }
            | Key::Segment { job, .. }
            | Key::Work { job, .. }
            | Key::Published { job, .. } => job,
        }
    }

    /// Prefix of the files of all attempts of a job.
    pub fn work_prefix(job: &JobId) -> String {
        format!("work/{job}/")
    }

    /// Prefix of the files of all attempts at an output.
    pub fn output_work_prefix(job: &JobId, output: &OutputId) -> String {
        format!("work/{job}/{output}/")
    }

    /// Prefix of the planners' files of a job.
    pub fn segment_prefix(job: &JobId) -> String {
        format!("segments/{job}/")
    }

    /// Prefix of the planners' files of an output.
    pub fn output_segment_prefix(job: &JobId, output: &OutputId) -> String {
        format!("segments/{job}/{output}/")
    }

    /// Prefix of the source of a job.
    pub fn input_prefix(job: &JobId) -> String {
        format!("input/{job}/")
    }

    /// Prefix of the published files of a job.
    pub fn published_prefix(job: &JobId) -> String {
        format!("jobs/{job}/")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Source { job, ext } => write!(f, "input/{job}/source.{ext}"),
            Key::Segment { job, output, term, name } => write!(f, "segments/{job}/{output}/{term}/{name}"),
            Key::Work { job, output, task, term, name } => {
                write!(f, "work/{job}/{output}/{task}/{term}/{name}")
            }
            Key::Published { job, name } => write!(f, "jobs/{job}/{name}"),
        }
    }
}

impl FromStr for Key {
    type Err = DomainError;

    fn from_str(key: &str) -> Result<Key, DomainError> {
        if key.len() > 1024 {
            return Err(refuse(key, "a key has at most 1,024 bytes"));
        }
        let (area, rest) = key.split_once('/').ok_or_else(|| refuse(key, "it has no '/'"))?;
        let (job, name) = rest.split_once('/').ok_or_else(|| refuse(key, "it names no file"))?;
        let job: JobId = job.parse().map_err(|_| refuse(key, "its job id is not plain"))?;
        match area {
            "input" => {
                let ext = name
                    .strip_prefix("source.")
                    .ok_or_else(|| refuse(key, "a source is named source.EXT"))?;
                check_ext(key, ext)?;
                Ok(Key::Source { job, ext: ext.to_owned() })
            }
            "segments" => parse_segment(key, job, name),
            "jobs" => check_name(key, name).map(|()| Key::Published { job, name: name.to_owned() }),
            "work" => parse_work(key, job, name),
            _ => Err(refuse(key, "it begins with none of input/, segments/, work/, jobs/")),
        }
    }
}

fn parse_output(key: &str, output: &str) -> Result<OutputId, DomainError> {
    output.parse().map_err(|_| refuse(key, "its output name is not plain"))
}

fn parse_term(key: &str, term: &str) -> Result<Term, DomainError> {
    let number: u64 = term.parse().map_err(|_| refuse(key, "its term is not a number"))?;
    if number.to_string() != term {
        return Err(refuse(key, "its term is not written plainly"));
    }
    Ok(Term(number))
}

fn parse_segment(key: &str, job: JobId, rest: &str) -> Result<Key, DomainError> {
    let mut parts = rest.splitn(3, '/');
    let (Some(output), Some(term), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(refuse(key, "a segment is named segments/JOB/OUTPUT/TERM/NAME"));
    };
    let (output, term) = (parse_output(key, output)?, parse_term(key, term)?);
    check_name(key, name)?;
    Ok(Key::Segment { job, output, term, name: name.to_owned() })
}

fn parse_work(key: &str, job: JobId, rest: &str) -> Result<Key, DomainError> {
    let mut parts = rest.splitn(4, '/');
    let (Some(output), Some(task), Some(term), Some(name)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(refuse(key, "work is named work/JOB/OUTPUT/TASK/TERM/NAME"));
    };
    let task: TaskId = task.parse().map_err(|_| refuse(key, "its task id is not plain"))?;
    let (output, term) = (parse_output(key, output)?, parse_term(key, term)?);
    check_name(key, name)?;
    Ok(Key::Work { job, output, task, term, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = Key> {
        let job = "[A-Za-z0-9_-]{1,40}".prop_map(|s| s.parse::<JobId>().unwrap());
        let task = "[a-z]{1,10}-[0-9]{5}".prop_map(|s| s.parse::<TaskId>().unwrap());
        let output = "[a-z]{1,10}".prop_map(|s| s.parse::<OutputId>().unwrap());
        let name = "[a-z0-9_-]{1,8}(/[a-z0-9_-]{1,8}){0,2}\\.[a-z]{2,4}";
        (job, output, task, any::<u64>(), name, "[a-z0-9]{1,8}", 0..4u8).prop_map(
            |(job, output, task, term, name, ext, which)| match which {
                0 => Key::Source { job, ext },
                1 => Key::Segment { job, output, term: Term(term), name },
                2 => Key::Work { job, output, task, term: Term(term), name },
                _ => Key::Published { job, name },
            },
        )
    }

    proptest! {
        #[test]
        fn round_trips(key in any_key()) {
            prop_assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }

        #[test]
        fn what_parses_prints_the_same(text in "(input|segments|work|jobs|x)(/[A-Za-z0-9._+ ü-]{0,12}){0,6}") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = text.parse::<Key>();
        }
    }

    #[test]
    fn hostile_keys_are_refused() {
        for bad in [
            "",
            "input",
            "input/j",
            "input/j/",
            "input/j/movie.mp4",
            "input/../source.mp4",
            "input/j/source.mp4/x",
            "jobs/j/../k/final.mp4",
            "jobs/j//final.mp4",
            "jobs/j/a b",
            "jobs/j/a+b",
            "jobs/j/ü.mp4",
            "work/j/o/t/1",
            "work/j/o/t/01/x",
            "work/j/o/t/-1/x",
            "work/j/o.o/t/1/x",
            "segments/j/o/1",
            "segments/j/o/x/y",
            "/jobs/j/x",
            "jobs/j/x/.",
            "other/j/x",
            "jobs/j/a\0b",
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?} was taken");
        }
        assert!(format!("jobs/j/{}", "x".repeat(1100)).parse::<Key>().is_err());
        assert_eq!(Key::source(&"j".parse().unwrap(), "MP4").to_string(), "input/j/source.mp4");
        assert_eq!(Key::source(&"j".parse().unwrap(), "m/4").to_string(), "input/j/source.bin");
    }
}
