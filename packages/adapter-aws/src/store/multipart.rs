//! Multipart uploads: no object exists before completion.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{PortError, PutOptions};

use super::writing::{base64_of, is_contended, is_refused};
use super::{Condition, META_CRC32, META_WRITE, S3Store, TRIES, Write, media_type};
use crate::error::{self, back_off, odd};

/// An upload that is aborted on drop unless it is completed.
pub struct Upload {
    store: S3Store,
    pub key: Key,
    pub id: String,
    open: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        // a lifecycle rule aborts it if no runtime is left
        if self.open
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (store, key, id) = (self.store.clone(), self.key.clone(), self.id.clone());
            runtime.spawn(async move {
                if let Err(error) = abort(&store, &key, &id).await {
                    tracing::warn!(%key, %error, "an upload is left for the bucket's lifecycle rule");
                }
            });
        }
    }
}

/// Aborts an upload.
pub async fn abort(store: &S3Store, key: &Key, id: &str) -> Result<(), PortError> {
    let request = store.client.abort_multipart_upload().bucket(store.buckets.of(key));
    match request.key(key.to_string()).upload_id(id).send().await {
        Ok(_) => Ok(()),
        Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_upload()) => Ok(()),
        Err(e) => Err(error::sdk(format_args!("cannot abort the upload of {key}"), e)),
    }
}

impl Upload {
    /// Starts an upload; `mark` is the id of the write, `crc32` is of the whole object.
    pub async fn begin(
        store: &S3Store,
        key: &Key,
        mark: &str,
        crc32: Option<u32>,
        options: &PutOptions,
    ) -> Result<Upload, PortError> {
        let begun = store
            .client
            .create_multipart_upload()
            .bucket(store.buckets.of(key))
            .key(key.to_string())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .content_type(media_type(key, options))
            .set_cache_control(options.cache_control.clone())
            .metadata(META_WRITE, mark);
        let begun = match crc32 {
            Some(crc32) => begun.metadata(META_CRC32, base64_of(crc32)),
            None => begun,
        };
        let begun = begun.send().await;
        let begun = begun.map_err(|e| error::sdk(format_args!("cannot begin to write {key}"), e))?;
        let id = begun.upload_id.ok_or_else(|| odd("an upload", "it has no id"))?;
        Ok(Upload { store: store.clone(), key: key.clone(), id, open: true })
    }

    /// Sends part `number`, from 1, with its checksum.
    pub async fn send(
        &self,
        number: i32,
        bytes: Bytes,
    ) -> Result<(CompletedPart, crc32fast::Hasher), PortError> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes);
        let crc32 = base64_of(crc.clone().finalize());
        let sent = self
            .store
            .client
            .upload_part()
            .bucket(self.store.buckets.of(&self.key))
            .key(self.key.to_string())
            .upload_id(&self.id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .checksum_crc32(&crc32)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|e| error::sdk(format_args!("cannot write part {number} of {}", self.key), e))?;
        let part = CompletedPart::builder().part_number(number).checksum_crc32(crc32);
        Ok((part.set_e_tag(sent.e_tag).build(), crc))
    }

    /// Completes the upload.
    pub async fn complete(
        mut self,
        parts: Vec<CompletedPart>,
        condition: Condition<'_>,
        mark: &str,
    ) -> Result<Write, PortError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        for tried in 0.. {
            let request = self
                .store
                .client
                .complete_multipart_upload()
                .bucket(self.store.buckets.of(&self.key))
                .key(self.key.to_string())
                .upload_id(&self.id)
                .multipart_upload(parts.clone())
                .set_if_none_match(condition.if_none_match())
                .set_if_match(condition.if_match());
            match request.send().await {
                Ok(done) => {
                    self.open = false;
                    return Ok(Write::Done(done.e_tag.unwrap_or_default()));
                }
                // dropped, and so aborted, unless only the first response was lost
                Err(e) if is_refused(&e) => return self.store.is_it_ours(&self.key, mark).await,
                Err(e) if is_contended(&e) && tried < TRIES => back_off(tried).await,
                Err(e) => return Err(error::sdk(format_args!("cannot finish writing {}", self.key), e)),
            }
        }
        unreachable!("the loop has no end")
    }
}
