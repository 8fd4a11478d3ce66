//! Parser of S3's upload notices: separates arrived sources from all other records.
//!
//! S3 delivers a notice of an upload at least once and in any order, and encodes keys as forms do: a
//! space is `+`, and special characters are `%XX`. A notice is untrusted input. An invalid
//! record does not affect the others.

use aws_lambda_events::event::s3::{S3Event, S3EventRecord};
use percent_encoding::percent_decode_str;
use segue_domain::{JobId, Key};
use serde::Deserialize;

/// Parsed message from a queue or a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// S3's test message; there is nothing to do.
    Test,
    /// Events of objects.
    Objects {
        /// Arrived sources, each once, in the order of their first record.
        uploads: Vec<Upload>,
        /// Ignored records, with reasons.
        ignored: Vec<Ignored>,
    },
}

/// An uploaded source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The bucket.
    pub bucket: String,
    /// `input/JOB/source.EXT`.
    pub key: Key,
    /// Its job.
    pub job: JobId,
    /// Its size in bytes, if the notice has it.
    pub bytes: Option<u64>,
    /// Orders the notices of this one key: the greater, compared as strings of equal length
    /// with leading zeros, is the later.
    pub sequencer: Option<String>,
}

/// A record that is not an upload of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The key as in the notice, truncated to 1,024 characters.
    pub key: String,
    /// The reason.
    pub why: String,
    /// Its handling.
    pub kind: IgnoredKind,
}

/// Handling of a record that is not an upload of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoredKind {
    /// Another event, or another object than a source: there is nothing to do.
    Other,
    /// Permanently invalid: for an operator to check.
    Odd,
    /// A version that this build does not support: for a newer build.
    Newer,
}

/// A text that is not a notice of S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotANotice {
    why: String,
}

impl std::fmt::Display for NotANotice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "this is no event of S3: {}", self.why)
    }
}

impl std::error::Error for NotANotice {}

#[derive(Deserialize)]
struct TestEvent {
    #[serde(rename = "Event")]
    event: String,
}

/// Decodes a key of a notice. `None` if the result is not UTF-8.
pub fn decode_key(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
}

/// Parses a notice.
///
/// # Errors
/// A text that is not JSON, or JSON of another kind. A retry cannot succeed: it
/// should be dead-lettered.
pub fn parse(text: &str) -> Result<Notice, NotANotice> {
    if let Ok(test) = serde_json::from_str::<TestEvent>(text)
        && test.event == "s3:TestEvent"
    {
        return Ok(Notice::Test);
    }
    let event: S3Event = serde_json::from_str(text).map_err(|e| NotANotice { why: e.to_string() })?;
    Ok(read(&event))
}

/// The same for an event that a trigger has parsed already.
pub fn read(event: &S3Event) -> Notice {
    let (mut uploads, mut ignored) = (Vec::<Upload>::new(), Vec::new());
    for record in &event.records {
        match upload_of(record) {
            Ok(upload) => match uploads.iter_mut().find(|u| u.bucket == upload.bucket && u.key == upload.key)
            {
                Some(twice) if is_later(&upload, twice) => *twice = upload,
                Some(_) => {}
                None => uploads.push(upload),
            },
            Err((kind, why)) => {
                let key = record.s3.object.key.as_deref().unwrap_or_default();
                ignored.push(Ignored { key: key.chars().take(1024).collect(), why, kind });
            }
        }
    }
    Notice::Objects { uploads, ignored }
}

/// Whether `one` is a later event of the same key.
fn is_later(one: &Upload, other: &Upload) -> bool {
    let padded = |upload: &Upload| format!("{:0>64}", upload.sequencer.as_deref().unwrap_or_default());
    padded(one) > padded(other)
}

/// Newest supported major version of a record; new minor versions only add fields.
const NEWEST_MAJOR: u32 = 2;

/// Whether this build does not support the version. A text that is not a version is not newer.
fn is_newer(version: Option<&str>) -> bool {
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    major.is_some_and(|major| major > NEWEST_MAJOR)
}

fn upload_of(record: &S3EventRecord) -> Result<Upload, (IgnoredKind, String)> {
    let odd = |why: String| (IgnoredKind::Odd, why);
    let other = |why: String| (IgnoredKind::Other, why);
    let source = record.event_source.as_deref().unwrap_or_default();
    if source != "aws:s3" && source != "minio:s3" {
        return Err(odd(format!("its source is {source:?}, not S3")));
    }
    if is_newer(record.event_version.as_deref()) {
        let version = record.event_version.as_deref().unwrap_or_default();
        return Err((IgnoredKind::Newer, format!("its version {version:?} is newer than this build")));
    }
    let name = record.event_name.as_deref().unwrap_or_default();
    // all ways of creation: Put, Post, Copy and CompleteMultipartUpload
    let plain_name = name.strip_prefix("s3:").unwrap_or(name);
    if !plain_name.starts_with("ObjectCreated:") {
        return Err(other(format!("{name:?} creates no object")));
    }
    let bucket = record.s3.bucket.name.clone().filter(|name| !name.is_empty());
    let bucket = bucket.ok_or_else(|| odd("it names no bucket".to_owned()))?;
    let key = record.s3.object.key.as_deref().ok_or_else(|| odd("it names no key".to_owned()))?;
    let key = decode_key(key).ok_or_else(|| odd("its key is not UTF-8".to_owned()))?;
    let key: Key = key.parse().map_err(|e: segue_domain::DomainError| odd(e.to_string()))?;
    if !matches!(key, Key::Source { .. }) {
        return Err(other("it is no source".to_owned()));
    }
    Ok(Upload {
        bucket,
        job: key.job().clone(),
        key,
        bytes: record.s3.object.size.and_then(|bytes| u64::try_from(bytes).ok()),
        sequencer: record.s3.object.sequencer.clone(),
    })
}
