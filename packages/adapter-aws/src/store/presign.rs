//! Signed links: a client without credentials reads or writes one object.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use segue_domain::Key;
use segue_ports::{
    PortError, PortErrorKind, PutOptions, ReadOptions, SignedPut, StoreLinks, UploadId, UploadedPart,
};

use super::{PART_BYTES, S3Store, media_type, multipart, part_bytes};
use crate::error::{self, odd, say};

fn valid_for(ttl: Duration) -> Result<PresigningConfig, PortError> {
    PresigningConfig::expires_in(ttl).map_err(|e| PortError::with(PortErrorKind::Misuse, "a link's time", e))
}

fn length(key: &Key, bytes: u64) -> Result<i64, PortError> {
    i64::try_from(bytes).map_err(|e| PortError::with(PortErrorKind::Misuse, format_args!("{key}"), e))
}

fn signed_put(signed: &PresignedRequest) -> SignedPut {
    let header = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    SignedPut { url: signed.uri().to_owned(), headers: signed.headers().map(header).collect() }
}

#[async_trait]
impl StoreLinks for S3Store {
    async fn presign_get(
        &self,
        key: &Key,
        ttl: Duration,
        options: &ReadOptions,
    ) -> Result<String, PortError> {
        let request = self
            .signer
            .get_object()
            .bucket(self.buckets.of(key))
            .key(key.to_string())
            .set_response_content_type(options.media_type.clone())
            .set_response_content_disposition(options.disposition.clone())
            .set_response_cache_control(options.cache_control.clone());
        let signed = request.presigned(valid_for(ttl)?).await;
        let signed = signed.map_err(|e| error::sdk(format_args!("cannot sign a link to {key}"), e))?;
        Ok(signed.uri().to_owned())
    }

    async fn presign_put(
        &self,
        key: &Key,
        bytes: u64,
        ttl: Duration,
        options: &PutOptions,
    ) -> Result<SignedPut, PortError> {
        let request = self
            .signer
            .put_object()
            .bucket(self.buckets.of(key))
            .key(key.to_string())
            .content_length(length(key, bytes)?)
            .content_type(media_type(key, options))
            .set_cache_control(options.cache_control.clone());
        let signed = request.presigned(valid_for(ttl)?).await;
        let signed = signed.map_err(|e| error::sdk(format_args!("cannot sign a link to {key}"), e))?;
        Ok(signed_put(&signed))
    }

    fn part_bytes(&self, bytes: u64) -> u64 {
        part_bytes(bytes, PART_BYTES)
    }

    async fn start_multipart(&self, key: &Key, options: &PutOptions) -> Result<UploadId, PortError> {
        let started = self
            .signer
            .create_multipart_upload()
            .bucket(self.buckets.of(key))
            .key(key.to_string())
            .content_type(media_type(key, options))
            .set_cache_control(options.cache_control.clone())
            .send()
            .await
            .map_err(|e| error::sdk(format_args!("cannot begin to write {key}"), e))?;
        started.upload_id.map(UploadId).ok_or_else(|| odd("an upload", "it has no id"))
    }

    async fn presign_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        bytes: u64,
        ttl: Duration,
    ) -> Result<SignedPut, PortError> {
        let request = self
            .signer
            .upload_part()
            .bucket(self.buckets.of(key))
            .key(key.to_string())
            .upload_id(&upload.0)
            .part_number(part_number(key, number)?)
            .content_length(length(key, bytes)?);
        let signed = request.presigned(valid_for(ttl)?).await;
        let signed = signed.map_err(|e| error::sdk(format_args!("cannot sign a link to {key}"), e))?;
        Ok(signed_put(&signed))
    }

    async fn complete_multipart(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<(), PortError> {
        let mut parts: Vec<&UploadedPart> = parts.iter().collect();
        parts.sort_by_key(|part| part.number);
        let mut completed = CompletedMultipartUpload::builder();
        for part in parts {
            let number = part_number(key, part.number)?;
            completed =
                completed.parts(CompletedPart::builder().part_number(number).e_tag(&part.etag).build());
        }
        let request = self.signer.complete_multipart_upload().bucket(self.buckets.of(key));
        let request = request.key(key.to_string()).upload_id(&upload.0).multipart_upload(completed.build());
        let done = request.send().await;
        done.map(drop).map_err(|e| error::sdk(format_args!("cannot finish writing {key}"), e))
    }

    async fn abort_multipart(&self, key: &Key, upload: &UploadId) -> Result<(), PortError> {
        multipart::abort(self, key, &upload.0).await
    }
}

fn part_number(key: &Key, number: u32) -> Result<i32, PortError> {
    match i32::try_from(number) {
        Ok(number @ 1..=10_000) => Ok(number),
        _ => Err(say(PortErrorKind::Misuse, format_args!("{key} has no part {number}, from 1 to 10,000"))),
    }
}
