//! A store of media and documents with one fault.

use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use segue_domain::Key;
use segue_ports::{
    ByteStream, Document, DocumentWrite, Expected, FileUse, MediaStore, ObjectInfo, ObjectPage, PortError,
    PutOptions, StoreDocuments, Version,
};

use crate::{Broken, Fault};

#[async_trait]
impl MediaStore for Broken {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, options: &PutOptions) -> Result<(), PortError> {
        let forgotten = PutOptions::media_type("binary/octet-stream");
        let options = if self.is(Fault::ForgetsMediaTypes) { &forgotten } else { options };
        self.store.put_bytes(key, bytes, options).await
    }

    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        options: &PutOptions,
    ) -> Result<(), PortError> {
        let file_use = match self.fault {
            Fault::CopiesFiles => FileUse::Keep,
            Fault::ConsumesFiles => FileUse::Consume,
            _ => file_use,
        };
        self.store.upload(key, file, file_use, options).await
    }

    async fn promote(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
        if self.is(Fault::KeepsWhatIsPublished) && self.store.head(to).await?.is_some() {
            return Ok(());
        }
        self.store.promote(from, to, options).await
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        self.store.get_bytes(key, limit).await
    }

    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        self.store.get_file(key, scratch).await
    }

    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        let mut version = version.clone();
        if let Some(found) = self.store.head(key).await?.filter(|_| self.is(Fault::ReadsAnyVersion)) {
            version = found.version;
        }
        let stream = self.store.get_range(key, &version, range).await?;
        let pieces = if self.is(Fault::EndsEarly) { 3 } else { usize::MAX };
        Ok(stream.take(pieces).boxed())
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        let page = self.store.list(prefix, from, max).await?;
        Ok(if self.is(Fault::ForgetsPages) { ObjectPage { next: None, ..page } } else { page })
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.store.delete(key).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
        let most = if self.is(Fault::DeletesTheFirstThousand) { 1000 } else { usize::MAX };
        self.store.delete_many(&keys[..keys.len().min(most)]).await
    }
}

#[async_trait]
impl StoreDocuments for Broken {
    async fn put_document(
        &self,
        key: &Key,
        bytes: Bytes,
        expected: &Expected,
        options: &PutOptions,
    ) -> Result<DocumentWrite, PortError> {
        let found = self.store.get_document(key, u64::MAX).await?.map(|found| found.version);
        let present = found.clone().map_or(Expected::Absent, Expected::Version);
        match self.fault {
            Fault::IgnoresTheVersion if found.is_some() && *expected != Expected::Absent => {
                self.store.put_document(key, bytes, &present, options).await
            }
            Fault::ComparesThenWrites if *expected != present => Ok(DocumentWrite::Conflict),
            Fault::ComparesThenWrites => {
                tokio::task::yield_now().await;
                self.store.put_bytes(key, bytes, options).await?;
                let found = self.store.get_document(key, u64::MAX).await?;
                Ok(DocumentWrite::Written(found.expect("just written").version))
            }
            _ => self.store.put_document(key, bytes, expected, options).await,
        }
    }

    async fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError> {
        self.store.get_document(key, limit).await
    }
}
