//! Signed links to objects: an optional capability of a store.

use std::time::Duration;

use async_trait::async_trait;
use segue_domain::Key;

use crate::error::PortError;
use crate::store::PutOptions;

/// Response headers that a link to read an object sets in place of the stored ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// `Content-Type`.
    pub media_type: Option<String>,
    /// `Content-Disposition`, e.g. `attachment; filename="talk.mp4"`.
    pub disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
}

/// A signed request to send bytes: one PUT to `url` with exactly these headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPut {
    /// The URL of the PUT.
    pub url: String,
    /// Name and value of each header that was signed and has to be sent; `Content-Length` is
    /// among them and is set by HTTP clients themselves.
    pub headers: Vec<(String, String)>,
}

/// Id of a multipart upload that was started and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(pub String);

/// An uploaded part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: u32,
    /// The `ETag` header of the response to its PUT.
    pub etag: String,
}

/// Signed links with which a client without credentials reads or writes one object.
///
/// A link is valid for `ttl`, at most 7 days: [`PortErrorKind::Misuse`](crate::PortErrorKind)
/// for more. Whether the object exists is not checked when a link is signed. A multipart upload
/// stores nothing before it is completed; one that is never ended is removed by a lifecycle rule
/// of the store.
#[async_trait]
pub trait StoreLinks: Send + Sync {
    /// A link to GET the object, with or without a `Range` header.
    async fn presign_get(&self, key: &Key, ttl: Duration, options: &ReadOptions)
    -> Result<String, PortError>;

    /// A link to PUT the object in one request of exactly `bytes` bytes, at most 5 GB. Media type
    /// and cache control of `options` are stored with it.
    async fn presign_put(
        &self,
        key: &Key,
        bytes: u64,
        ttl: Duration,
        options: &PutOptions,
    ) -> Result<SignedPut, PortError>;

    /// Part size for an object of `bytes` bytes, in bytes; the last part is
    /// shorter.
    fn part_bytes(&self, bytes: u64) -> u64;

    /// Starts a multipart upload of an object.
    async fn start_multipart(&self, key: &Key, options: &PutOptions) -> Result<UploadId, PortError>;

    /// A link to PUT part `number`, from 1, of exactly `bytes` bytes.
    async fn presign_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        bytes: u64,
        ttl: Duration,
    ) -> Result<SignedPut, PortError>;

    /// Stores the object from its parts, in the order of their numbers.
    /// [`PortErrorKind::Corrupt`](crate::PortErrorKind) when the store lacks one of them.
    async fn complete_multipart(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
    ) -> Result<(), PortError>;

    /// Ends an upload and removes its parts; succeeds when it does not exist.
    async fn abort_multipart(&self, key: &Key, upload: &UploadId) -> Result<(), PortError>;
}
