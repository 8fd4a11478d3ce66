//! Reading: metadata, small objects, and files in parallel ranges.

use std::ops::Range;
use std::path::{Path, PathBuf};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::ChecksumMode;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use segue_domain::Key;
use segue_ports::{PortError, PortErrorKind, Version};

use super::file::Copy;
use super::writing::crc32_of;
use super::{Facts, META_CRC32, META_WRITE, PART_BYTES, PARTS_AT_ONCE, S3Store, TRIES, ranges};
use crate::error::{self, back_off, say};

/// The error of a missing object.
pub fn not_there(key: &Key) -> PortError {
    say(PortErrorKind::NotFound, format_args!("{key} is not in the store"))
}

/// The body of a response, at most `limit` bytes.
async fn collect(key: &Key, answer: GetObjectOutput, limit: u64) -> Result<Bytes, PortError> {
    let too_many = |bytes: u64| {
        let message = format_args!("{key} has {bytes} bytes or more, at most {limit} were expected");
        say(PortErrorKind::Corrupt, message)
    };
    let told = answer.content_length().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    if told > limit {
        return Err(too_many(told));
    }
    let mut body = answer.body;
    let mut bytes = BytesMut::with_capacity(usize::try_from(told).unwrap_or(0));
    while let Some(more) = body.next().await {
        // a lost connection, or a checksum mismatch
        let more = more
            .map_err(|e| PortError::with(PortErrorKind::Transient, format_args!("cannot read {key}"), e))?;
        bytes.extend_from_slice(&more);
        if bytes.len() as u64 > limit {
            return Err(too_many(bytes.len() as u64));
        }
    }
    if (bytes.len() as u64) < told {
        let message = format_args!("{key} ended after {} of {told} bytes", bytes.len());
        return Err(say(PortErrorKind::Transient, message));
    }
    Ok(bytes.freeze())
}

impl S3Store {
    /// Metadata of the object, or `None`.
    pub(super) async fn facts(&self, key: &Key) -> Result<Option<Facts>, PortError> {
        let request = self.client.head_object().bucket(self.buckets.of(key)).key(key.to_string());
        let head = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => head,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_not_found()) => return Ok(None),
            Err(e) => return Err(error::sdk(format_args!("cannot look at {key}"), e)),
        };
        let meta = |name| head.metadata().and_then(|all| all.get(name));
        // S3's own checksum covers the whole unless it is composed of parts
        let crc32 = meta(META_CRC32).map(String::as_str).or(head.checksum_crc32());
        Ok(Some(Facts {
            bytes: head.content_length().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            etag: head.e_tag().unwrap_or_default().to_owned(),
            crc32: crc32.and_then(crc32_of),
            write: meta(META_WRITE).cloned(),
            media_type: head.content_type().map(str::to_owned),
            cache_control: head.cache_control().map(str::to_owned),
        }))
    }

    /// Reads a small object with its ETag.
    pub(super) async fn read_small(&self, key: &Key, limit: u64) -> Result<(Bytes, String), PortError> {
        let mut tried = 0;
        loop {
            let request = self.client.get_object().bucket(self.buckets.of(key)).key(key.to_string());
            let answer = match request.checksum_mode(ChecksumMode::Enabled).send().await {
                Ok(answer) => answer,
                Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_key()) => {
                    return Err(not_there(key));
                }
                Err(e) => return Err(error::sdk(format_args!("cannot read {key}"), e)),
            };
            let etag = answer.e_tag().unwrap_or_default().to_owned();
            // the SDK retries a request, but not a body that breaks off
            match collect(key, answer, limit).await {
                Err(e) if e.is_retryable() && tried < TRIES => back_off(tried).await,
                read => return read.map(|bytes| (bytes, etag)),
            }
            tried += 1;
        }
    }

    /// The bytes of a range of one version. `None` when the object has another version by now.
    async fn range_of(&self, key: &Key, range: Range<u64>, etag: &str) -> Result<Option<Bytes>, PortError> {
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        let read = async {
            let mut stream = self.stream_range(key, &Version(etag.to_owned()), range).await?;
            while let Some(piece) = stream.try_next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(())
        };
        match read.await {
            Ok(()) => Ok(Some(bytes.freeze())),
            Err(PortError { kind: PortErrorKind::Replaced, .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) async fn download(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        for tried in 0..TRIES {
            let Some(facts) = self.facts(key).await? else { return Err(not_there(key)) };
            if let Some(path) = self.download_version(key, &facts, scratch).await? {
                return Ok(path);
            }
            back_off(tried).await;
        }
        let message = format_args!("{key} is replaced repeatedly and cannot be read as a whole");
        Err(say(PortErrorKind::Transient, message))
    }

    /// `None` when the object was replaced meanwhile.
    async fn download_version(
        &self,
        key: &Key,
        facts: &Facts,
        scratch: &Path,
    ) -> Result<Option<PathBuf>, PortError> {
        let text = key.to_string();
        let copy = Copy::create(scratch, text.rsplit('/').next().unwrap_or(&text)).await?;
        let parts: Vec<Option<crc32fast::Hasher>> = stream::iter(ranges(facts.bytes, PART_BYTES))
            .map(|range| {
                let copy = &copy;
                async move {
                    let start = range.start;
                    match self.range_of(key, range, &facts.etag).await? {
                        Some(bytes) => copy.write(start, bytes).await.map(Some),
                        None => Ok(None),
                    }
                }
            })
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut whole = crc32fast::Hasher::new();
        for part in parts {
            let Some(part) = part else { return Ok(None) };
            whole.combine(&part);
        }
        if facts.crc32.is_some_and(|crc32| crc32 != whole.finalize()) {
            let message = format_args!("{key} does not have the checksum that it was stored with");
            return Err(say(PortErrorKind::Corrupt, message));
        }
        Ok(Some(copy.keep()))
    }
}
