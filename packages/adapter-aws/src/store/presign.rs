//! Links with which somebody who has no credentials reads or writes one object.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use segue_domain::Key;
use segue_ports::{PortError, PortErrorKind};

use super::{PART_BYTES, S3Store, multipart, part_bytes};
use crate::error::{self, odd, say};

/// An upload in parts by somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedUpload {
    /// S3's name of it.
    pub id: String,
    /// Size of every part but the last, bytes.
    pub part_bytes: u64,
    /// Where to PUT each part, the first one first.
    pub parts: Vec<String>,
}

/// A part that somebody else has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: i32,
    /// What S3 answered with as `ETag`.
    pub etag: String,
}

fn for_a_while(ttl: Duration) -> Result<PresigningConfig, PortError> {
    PresigningConfig::expires_in(ttl).map_err(|e| PortError::with(PortErrorKind::Misuse, "a link's time", e))
}

impl S3Store {
    /// A link to GET the object, good for `ttl`, at most 7 days; also with a `Range`. Whether
    /// the object is there is not looked at.
    ///
    /// # Errors
    /// `Misuse` for a longer time, `Denied` without credentials.
    pub async fn presign_get(&self, key: &Key, ttl: Duration) -> Result<String, PortError> {
        let request = self.signer.get_object().bucket(self.buckets.of(key)).key(key.to_string());
        let signed = request.presigned(for_a_while(ttl)?).await;
        let signed = signed.map_err(|e| error::sdk(format_args!("cannot sign a link to {key}"), e))?;
        Ok(signed.uri().to_owned())
    }

    /// A link to PUT the object in one go, at most 5 GB; good for `ttl`, at most 7 days.
    ///
    /// # Errors
    /// As [`S3Store::presign_get`].
    pub async fn presign_put(&self, key: &Key, ttl: Duration) -> Result<String, PortError> {
        let request = self.signer.put_object().bucket(self.buckets.of(key)).key(key.to_string());
        let signed = request.presigned(for_a_while(ttl)?).await;
        let signed = signed.map_err(|e| error::sdk(format_args!("cannot sign a link to {key}"), e))?;
        Ok(signed.uri().to_owned())
    }

    /// Begins an upload of `bytes` in parts and gives a link to PUT each of them. It ends
    /// with [`S3Store::complete_upload`] or [`S3Store::abort_upload`]; what nobody ends, a
    /// lifecycle rule of the bucket does.
    ///
    /// # Errors
    /// As [`S3Store::presign_get`]; `Misuse` for no bytes.
    pub async fn presign_upload(
        &self,
        key: &Key,
        bytes: u64,
        ttl: Duration,
    ) -> Result<PresignedUpload, PortError> {
        if bytes == 0 {
            return Err(say(PortErrorKind::Misuse, format_args!("an upload of {key} in no parts")));
        }
        let (bucket, text) = (self.buckets.of(key), key.to_string());
        let begun = self.signer.create_multipart_upload().bucket(bucket).key(&text).send().await;
        let begun = begun.map_err(|e| error::sdk(format_args!("cannot begin to write {key}"), e))?;
        let id = begun.upload_id.ok_or_else(|| odd("an upload", "it has no id"))?;
        let size = part_bytes(bytes, PART_BYTES);
        let mut parts = Vec::new();
        for number in 1..=bytes.div_ceil(size) as i32 {
            let part = self.signer.upload_part().bucket(bucket).key(&text).upload_id(&id).part_number(number);
            let signed = part.presigned(for_a_while(ttl)?).await;
            let signed = signed.map_err(|e| error::sdk(format_args!("cannot sign a link to {key}"), e))?;
            parts.push(signed.uri().to_owned());
        }
        Ok(PresignedUpload { id, part_bytes: size, parts })
    }

    /// Puts the parts together that somebody else has sent.
    ///
    /// # Errors
    /// `Corrupt` when S3 does not have these parts; as the service says.
    pub async fn complete_upload(
        &self,
        key: &Key,
        id: &str,
        parts: &[UploadedPart],
    ) -> Result<(), PortError> {
        let parts = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number).e_tag(&part.etag).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let request = self.signer.complete_multipart_upload().bucket(self.buckets.of(key));
        let done = request.key(key.to_string()).upload_id(id).multipart_upload(parts).send().await;
        done.map(drop).map_err(|e| error::sdk(format_args!("cannot finish writing {key}"), e))
    }

    /// Gives an upload up; fine when it is not there.
    ///
    /// # Errors
    /// As the service says.
    pub async fn abort_upload(&self, key: &Key, id: &str) -> Result<(), PortError> {
        multipart::abort(self, key, id).await
    }
}
