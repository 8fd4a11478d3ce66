//! Ranges of one version of an object.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::PortError;

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Size in bytes.
    pub bytes: u64,
    /// Its name.
    pub name: String,
    /// CRC32 of all of it, where it is known.
    pub crc32: Option<u32>,
}

/// A store that names the versions of an object, and reads ranges of them.
#[async_trait]
pub trait Versions: Send + Sync {
    /// The present version, or `None`.
    async fn version(&self, key: &Key) -> Result<Option<Version>, PortError>;

    /// The bytes of a half-open range of that version; `None` when it was replaced.
    async fn range(&self, key: &Key, version: &str, range: Range<u64>) -> Result<Option<Bytes>, PortError>;
}
