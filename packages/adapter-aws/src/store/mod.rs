//! The media store in S3: two buckets with one key space.
//!
//! * **Atomic writes** are S3's own guarantee, also for a multipart upload: no object exists
//!   before it is completed. Parts left by a crash are aborted here if that is still
//!   possible, and by a lifecycle rule of the bucket otherwise.
//! * **Promotion** copies on the server's side as a multipart copy; small objects are read and
//!   put, which takes fewer requests. Both set media type and cache control again.
//! * **Documents** use `If-None-Match: *` and `If-Match: ETAG`. When S3 reports that the condition
//!   failed, the object's write id shows whether it was this write whose first response was
//!   lost.
//! * **Checksums**: every part is sent with its CRC32, which S3 verifies; the CRC32 of the whole
//!   is kept as metadata by copies, and a downloaded file is verified against it.
//! * **Downloads** fetch ranges of a file in parallel, all of the same version.

use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{
    ByteStream, FileUse, MediaStore, ObjectInfo, ObjectPage, PortError, PutOptions, Version, media_type_of,
};

mod copying;
mod deleting;
mod documents;
mod file;
mod listing;
mod multipart;
mod presign;
mod ranges;
mod reading;
mod writing;

/// Size of the parts of an upload and of the ranges of a download, bytes. Four of them are
/// in memory for each file in transfer.
const PART_BYTES: u64 = 8 << 20;

/// Number of concurrent parts of one file.
const PARTS_AT_ONCE: usize = 4;

/// Maximum number of parts in S3.
const PARTS_MAX: u64 = 10_000;

/// Maximum number of tries of a conflicting operation.
const TRIES: u32 = 6;

/// Metadata: CRC32 of all bytes, base64.
const META_CRC32: &str = "segue-crc32";

/// Metadata: id of the write that created the object.
const META_WRITE: &str = "segue-write";

/// Names of the buckets; both may be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    /// `input/` and `segments/`.
    pub input: String,
    /// `work/` and `jobs/`.
    pub output: String,
}

impl Buckets {
    fn of(&self, key: &Key) -> &str {
        match key {
            Key::Source { .. } | Key::Segment { .. } => &self.input,
            Key::Work { .. } | Key::Published { .. } => &self.output,
        }
    }
}

/// The media store over two buckets.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    /// Signs without checksums: the bytes come from another client.
    signer: Client,
    buckets: Buckets,
    /// Part size of a copy, bytes.
    copy_part_bytes: u64,
}

/// Metadata of an object in S3.
#[derive(Debug, Clone)]
struct Facts {
    bytes: u64,
    /// Id of this version.
    etag: String,
    crc32: Option<u32>,
    write: Option<String>,
    media_type: Option<String>,
    cache_control: Option<String>,
}

/// Part size for `bytes` bytes in total, so that the number of parts is within S3's limit.
fn part_bytes(bytes: u64, at_least: u64) -> u64 {
    let mut size = at_least;
    while bytes.div_ceil(size) > PARTS_MAX {
        size *= 2;
    }
    size
}

/// Half-open ranges of `size` bytes each, the last one shorter.
fn ranges(bytes: u64, size: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..bytes.div_ceil(size)).map(move |n| n * size..((n + 1) * size).min(bytes))
}

impl S3Store {
    pub(crate) fn new(client: Client, signer: Client, buckets: Buckets) -> S3Store {
        S3Store { client, signer, buckets, copy_part_bytes: 256 << 20 }
    }

    /// The same store with another part size of copies, bytes; S3 allows 5 MiB to 5 GiB.
    #[must_use]
    pub fn with_copy_parts_of(mut self, bytes: u64) -> S3Store {
        self.copy_part_bytes = bytes.clamp(5 << 20, 5 << 30);
        self
    }
}

/// Precondition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    /// None.
    None,
    /// The key does not exist.
    Absent,
    /// The object has this ETag.
    Etag(&'a str),
}

impl Condition<'_> {
    fn if_none_match(self) -> Option<String> {
        (self == Condition::Absent).then(|| "*".to_owned())
    }

    fn if_match(self) -> Option<String> {
        match self {
            Condition::Etag(etag) => Some(etag.to_owned()),
            Condition::None | Condition::Absent => None,
        }
    }
}

/// Result of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Write {
    /// The object is stored and has this ETag.
    Done(String),
    /// The precondition does not hold, and nothing was written.
    Refused,
}

/// The media type stored with an object.
fn media_type(key: &Key, options: &PutOptions) -> String {
    options.media_type.clone().unwrap_or_else(|| media_type_of(&key.to_string()).to_owned())
}

#[async_trait]
impl MediaStore for S3Store {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, options: &PutOptions) -> Result<(), PortError> {
        self.put_object(key, bytes, options, Condition::None).await.map(drop)
    }

    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        options: &PutOptions,
    ) -> Result<(), PortError> {
        self.send_file(key, file, options, Condition::None).await?;
        match file_use {
            FileUse::Keep => Ok(()),
            FileUse::Consume => file::remove(file).await,
        }
    }

    async fn promote(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
        self.copy(from, to, options).await
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        self.read_small(key, limit).await.map(|(bytes, _)| bytes)
    }

    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        self.download(key, scratch).await
    }

    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        self.stream_range(key, version, range).await
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        Ok(self.facts(key).await?.map(|facts| ObjectInfo {
            bytes: facts.bytes,
            version: Version(facts.etag),
            media_type: facts.media_type,
            cache_control: facts.cache_control,
            crc32: facts.crc32,
        }))
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        self.list_areas(prefix, from, max).await
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.delete_one(key).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
        self.delete_in_batches(keys).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_no_more_than_s3_takes() {
        assert_eq!(part_bytes(0, PART_BYTES), PART_BYTES);
        assert_eq!(part_bytes(80 << 30, PART_BYTES), 16 << 20);
        for bytes in [1_u64, 5 << 40, 50 << 40] {
            assert!(bytes.div_ceil(part_bytes(bytes, PART_BYTES)) <= PARTS_MAX);
        }
    }

    #[test]
    fn ranges_are_all_of_it_and_no_more() {
        assert_eq!(ranges(0, 10).count(), 0);
        assert_eq!(ranges(20, 10).collect::<Vec<_>>(), [0..10, 10..20]);
        assert_eq!(ranges(21, 10).last(), Some(20..21));
    }

    #[test]
    fn each_area_has_its_bucket() {
        let buckets = Buckets { input: "in".into(), output: "out".into() };
        let keys = ["input/j/source.mp4", "segments/j/video/1/a", "work/j/video/t/1/a", "jobs/j/a"];
        let found = keys.map(|key| buckets.of(&key.parse().unwrap()).to_owned());
        assert_eq!(found, ["in", "in", "out", "out"]);
    }
}
