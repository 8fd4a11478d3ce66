//! Promotion: a second name, given once.

use aws_sdk_s3::types::CompletedPart;
use futures::{StreamExt, TryStreamExt, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use segue_domain::Key;
use segue_ports::{PortError, PortErrorKind, PutMode, PutResult};

use super::multipart::Upload;
use super::reading::not_there;
use super::writing::{is_taken, mark};
use super::{Facts, PART_BYTES, PARTS_AT_ONCE, S3Store, part_bytes, ranges};
use crate::error;

impl S3Store {
    pub(super) async fn copy_once(&self, from: &Key, to: &Key) -> Result<PutResult, PortError> {
        if self.facts(to).await?.is_some() {
            return Ok(PutResult::Exists);
        }
        let copied = match self.facts(from).await? {
            Some(facts) if facts.bytes <= PART_BYTES => self.copy_small(from, to).await,
            Some(facts) => self.copy_large(from, &facts, to).await,
            None => Err(not_there(from)),
        };
        match copied {
            // somebody else may have promoted it and swept up in between
            Err(e) if e.kind == PortErrorKind::NotFound && self.facts(to).await?.is_some() => {
                Ok(PutResult::Exists)
            }
            copied => copied,
        }
    }

    async fn copy_small(&self, from: &Key, to: &Key) -> Result<PutResult, PortError> {
        let bytes = self.read_small(from, PART_BYTES).await?;
        self.put_object(to, bytes, PutMode::CreateOnce).await
    }

    async fn copy_large(&self, from: &Key, facts: &Facts, to: &Key) -> Result<PutResult, PortError> {
        let mark = mark();
        let upload = Upload::begin(self, to, &mark, facts.crc32).await?;
        let parts = ranges(facts.bytes, part_bytes(facts.bytes, self.copy_part_bytes));
        let copied: Vec<CompletedPart> = stream::iter(parts.zip(1..))
            .map(|(range, number)| self.copy_part(&upload, from, facts, range, number))
            .buffered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        upload.complete(copied, PutMode::CreateOnce, &mark).await
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        from: &Key,
        facts: &Facts,
        range: std::ops::Range<u64>,
        number: i32,
    ) -> Result<CompletedPart, PortError> {
        let source = format!("{}/{from}", self.buckets.of(from));
        let to = &upload.key;
        let copied = self
            .client
            .upload_part_copy()
            .bucket(self.buckets.of(to))
            .key(to.to_string())
            .upload_id(&upload.id)
            .part_number(number)
            .copy_source(utf8_percent_encode(&source, NON_ALPHANUMERIC).to_string())
            .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1))
            // all parts of one version
            .copy_source_if_match(&facts.etag)
            .send()
            .await
            .map_err(|e| {
                if is_taken(&e) {
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
