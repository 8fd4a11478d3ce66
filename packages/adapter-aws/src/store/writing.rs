//! Writing: small objects in one request, files in parts.

use std::path::Path;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedPart};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use segue_domain::Key;
use segue_ports::{PortError, PutOptions};

use super::file::{Source, blocking};
use super::multipart::Upload;
use super::{Condition, PART_BYTES, PARTS_AT_ONCE, S3Store, TRIES, Write, media_type, part_bytes, ranges};
use crate::error::{self, back_off};

/// A checksum in S3's encoding.
pub fn base64_of(crc32: u32) -> String {
    BASE64_STANDARD.encode(crc32.to_be_bytes())
}

/// A checksum in S3's encoding; `None` for one that does not cover one whole object.
pub fn crc32_of(text: &str) -> Option<u32> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Whether S3 reports that a condition of the request does not hold.
pub fn is_refused<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("PreconditionFailed")
        || error.raw_response().is_some_and(|answer| answer.status().as_u16() == 412)
}

/// Whether another client was writing the same key; it is free or taken a moment later.
pub fn is_contended<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error.code(), Some("ConditionalRequestConflict" | "OperationAborted"))
        || error.raw_response().is_some_and(|answer| answer.status().as_u16() == 409)
}

/// A unique id of a write.
pub fn mark() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

impl S3Store {
    pub(super) async fn put_object(
        &self,
        key: &Key,
        bytes: Bytes,
        options: &PutOptions,
        condition: Condition<'_>,
    ) -> Result<Write, PortError> {
        let (mark, crc32) = (mark(), base64_of(crc32fast::hash(&bytes)));
        for tried in 0.. {
            let request = self
                .client
                .put_object()
                .bucket(self.buckets.of(key))
                .key(key.to_string())
                .body(ByteStream::from(bytes.clone()))
                .content_type(media_type(key, options))
                .set_cache_control(options.cache_control.clone())
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .checksum_crc32(&crc32)
                .metadata(super::META_CRC32, &crc32)
                .metadata(super::META_WRITE, &mark)
                .set_if_none_match(condition.if_none_match())
                .set_if_match(condition.if_match());
            match request.send().await {
                Ok(written) => return Ok(Write::Done(written.e_tag.unwrap_or_default())),
                Err(e) if is_refused(&e) => return self.is_it_ours(key, &mark).await,
                // the object with that ETag was deleted
                Err(e) if condition.if_match().is_some() && e.code() == Some("NoSuchKey") => {
                    return Ok(Write::Refused);
                }
                Err(e) if is_contended(&e) && tried < TRIES => back_off(tried).await,
                Err(e) => return Err(error::sdk(format_args!("cannot write {key}"), e)),
            }
        }
        unreachable!("the loop has no end")
    }

    /// The condition failed: because of this write, whose first response was lost, or of another.
    pub(super) async fn is_it_ours(&self, key: &Key, mark: &str) -> Result<Write, PortError> {
        let ours = self.facts(key).await?.filter(|facts| facts.write.as_deref() == Some(mark));
        Ok(ours.map_or(Write::Refused, |facts| Write::Done(facts.etag)))
    }

    /// Stores a copy of a plain file, which stays, if the key does not exist; otherwise does nothing.
    ///
    /// # Errors
    /// As [`MediaStore::upload`](segue_ports::MediaStore::upload).
    pub async fn adopt(&self, key: &Key, file: &Path) -> Result<(), PortError> {
        self.send_file(key, file, &PutOptions::default(), Condition::Absent).await.map(drop)
    }

    pub(super) async fn send_file(
        &self,
        key: &Key,
        file: &Path,
        options: &PutOptions,
        condition: Condition<'_>,
    ) -> Result<Write, PortError> {
        let path = file.to_owned();
        let source = blocking(move || Source::open(&path)).await?;
        if source.bytes <= PART_BYTES {
            self.put_object(key, source.part(0..source.bytes).await?, options, condition).await
        } else if condition == Condition::Absent && self.facts(key).await?.is_some() {
            // checked first, to avoid sending gigabytes in vain
            Ok(Write::Refused)
        } else {
            self.send_parts(key, &source, options, condition).await
        }
    }

    async fn send_parts(
        &self,
        key: &Key,
        source: &Source,
        options: &PutOptions,
        condition: Condition<'_>,
    ) -> Result<Write, PortError> {
        let (mark, crc32) = (mark(), source.crc32().await?);
        let upload = Upload::begin(self, key, &mark, Some(crc32), options).await?;
        let parts = ranges(source.bytes, part_bytes(source.bytes, PART_BYTES));
        let sent: Vec<(CompletedPart, crc32fast::Hasher)> = stream::iter(parts.zip(1..))
            .map(|(range, number)| {
                let upload = &upload;
                async move { upload.send(number, source.part(range).await?).await }
            })
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        let mut whole = crc32fast::Hasher::new();
        for (_, part) in &sent {
            whole.combine(part);
        }
        if whole.finalize() != crc32 {
            return Err(source.changed());
        }
        upload.complete(sent.into_iter().map(|(part, _)| part).collect(), condition, &mark).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_comes_back_as_it_was() {
        for crc32 in [0, 1, 0xcbf4_3926, u32::MAX] {
            assert_eq!(crc32_of(&base64_of(crc32)), Some(crc32));
        }
        assert_eq!(base64_of(crc32fast::hash(b"123456789")), "y/Q5Jg==");
        for foreign in ["", "y/Q5Jg==-3", "y/Q5", "!"] {
            assert_eq!(crc32_of(foreign), None, "{foreign}");
        }
    }
}
