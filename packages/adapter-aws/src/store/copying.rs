//! Promotion: copies an object to its public key.

use aws_sdk_s3::types::CompletedPart;
use futures::{StreamExt, TryStreamExt, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use segue_domain::Key;
use segue_ports::{PortError, PortErrorKind, PutOptions};

use super::multipart::Upload;
use super::reading::not_there;
use super::writing::{is_refused, mark};
use super::{Condition, Facts, PART_BYTES, PARTS_AT_ONCE, S3Store, part_bytes, ranges};
use crate::error;

impl S3Store {
    pub(super) async fn copy(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
        let copied = match self.facts(from).await? {
            Some(facts) if facts.bytes <= PART_BYTES => self.copy_small(from, to, options).await,
            Some(facts) => self.copy_large(from, &facts, to, options).await,
            None => Err(not_there(from)),
        };
        match copied {
            // a repeat, or another publisher has promoted it and removed the attempt in between
            Err(e) if e.kind == PortErrorKind::NotFound && self.facts(to).await?.is_some() => Ok(()),
            copied => copied,
        }
    }

    async fn copy_small(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
        let (bytes, _) = self.read_small(from, PART_BYTES).await?;
        self.put_object(to, bytes, options, Condition::None).await.map(drop)
    }

    async fn copy_large(
        &self,
        from: &Key,
        facts: &Facts,
        to: &Key,
        options: &PutOptions,
    ) -> Result<(), PortError> {
        let mark = mark();
        let upload = Upload::begin(self, to, &mark, facts.crc32, options).await?;
        let from = format!("{}/{from}", self.buckets.of(from));
        let copied = self.copy_parts(&upload, &from, facts.bytes, &facts.etag).await?;
        upload.complete(copied, Condition::None, &mark).await.map(drop)
    }

    /// Copies an object of any bucket on the server's side, if `to` is free.
    ///
    /// # Errors
    /// `NotFound`; `Misuse` for an empty one; errors of the service.
    pub async fn import(&self, bucket: &str, name: &str, to: &Key) -> Result<(), PortError> {
        if self.facts(to).await?.is_some() {
            return Ok(());
        }
        let from = format!("{bucket}/{name}");
        let missing = || error::say(PortErrorKind::NotFound, format_args!("there is no s3://{from}"));
        let head = match self.client.head_object().bucket(bucket).key(name).send().await {
            Ok(head) => head,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_not_found()) => return Err(missing()),
            Err(e) => return Err(error::sdk(format_args!("cannot look at s3://{from}"), e)),
        };
        let bytes = head.content_length().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        if bytes == 0 {
            return Err(error::say(PortErrorKind::Misuse, format_args!("s3://{from} is empty")));
        }
        let mark = mark();
        let upload = Upload::begin(self, to, &mark, None, &PutOptions::default()).await?;
        let copied = self.copy_parts(&upload, &from, bytes, head.e_tag().unwrap_or_default()).await?;
        upload.complete(copied, Condition::Absent, &mark).await.map(drop)
    }

    /// Copies all parts of one version of `from`, `BUCKET/KEY`.
    async fn copy_parts(
        &self,
        upload: &Upload,
        from: &str,
        bytes: u64,
        etag: &str,
    ) -> Result<Vec<CompletedPart>, PortError> {
        let parts = ranges(bytes, part_bytes(bytes, self.copy_part_bytes));
        stream::iter(parts.zip(1..))
            .map(|(range, number)| self.copy_part(upload, from, etag, range, number))
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        from: &str,
        etag: &str,
        range: std::ops::Range<u64>,
        number: i32,
    ) -> Result<CompletedPart, PortError> {
        let to = &upload.key;
        let copied = self
            .client
            .upload_part_copy()
            .bucket(self.buckets.of(to))
            .key(to.to_string())
            .upload_id(&upload.id)
            .part_number(number)
            .copy_source(utf8_percent_encode(from, NON_ALPHANUMERIC).to_string())
            .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1))
            .copy_source_if_match(etag)
            .send()
            .await
            .map_err(|e| {
                if is_refused(&e) {
                    let message = format_args!("{from} was replaced while it was being copied, try again");
                    return error::say(PortErrorKind::Transient, message);
                }
                error::sdk(format_args!("cannot copy {from} to {to}"), e)
            })?;
        let result =
            copied.copy_part_result.unwrap_or_else(|| aws_sdk_s3::types::CopyPartResult::builder().build());
        let part = CompletedPart::builder().part_number(number).set_e_tag(result.e_tag);
        Ok(part.set_checksum_crc32(result.checksum_crc32).build())
    }
}
