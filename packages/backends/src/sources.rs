//! Intake: adds sources to a store without reading them in this process.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use segue_domain::{Failure, Key};
use segue_ports::PortError;

/// Intake of sources, a capability of every store.
#[async_trait]
pub trait Sources: Send + Sync {
    /// Makes the file at `path` readable as `key`: a link in a folder store, a
    /// copy in other stores. The file stays. A repeat with the same file changes nothing.
    async fn adopt(&self, key: &Key, path: &Path) -> Result<(), PortError>;

    /// Makes the object `bucket/name` of S3 readable as `key`, copied by the service itself.
    ///
    /// # Errors
    /// A store that is not S3; an object that does not exist.
    async fn import(&self, bucket: &str, name: &str, key: &Key) -> Result<(), Failure>;

    /// The bucket whose objects are sources already, if there is one.
    fn input_bucket(&self) -> Option<&str>;

    /// The path under which engines see an adopted file, if it differs from the user's own.
    fn adopted_path(&self, key: &Key) -> Option<PathBuf>;
}
