//! Documents that are replaced by compare-and-swap: conditional writes of S3. The version is the
//! ETag.

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{
    Document, DocumentWrite, Expected, PortError, PortErrorKind, PutOptions, StoreDocuments, Version,
};

use super::{Condition, S3Store, Write};

#[async_trait]
impl StoreDocuments for S3Store {
    async fn put_document(
        &self,
        key: &Key,
        bytes: Bytes,
        expected: &Expected,
        options: &PutOptions,
    ) -> Result<DocumentWrite, PortError> {
        let condition = match expected {
            Expected::Absent => Condition::Absent,
            Expected::Version(version) => Condition::Etag(&version.0),
        };
        Ok(match self.put_object(key, bytes, options, condition).await? {
            Write::Done(etag) => DocumentWrite::Written(Version(etag)),
            Write::Refused => DocumentWrite::Conflict,
        })
    }

    async fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError> {
        match self.read_small(key, limit).await {
            Ok((bytes, etag)) => Ok(Some(Document { bytes, version: Version(etag) })),
            Err(e) if e.kind == PortErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}
