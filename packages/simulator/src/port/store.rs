//! The media store as one process sees it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use segue_domain::Key;
use segue_ports::{
    ByteStream, Document, DocumentWrite, Expected, FileUse, MediaStore, Object, ObjectInfo, ObjectPage,
    PortError, PortErrorKind, PutOptions, StoreDocuments, Version, check_range, media_type_of,
};

use crate::op::Op;
use crate::port::{By, Port};
use crate::world::{State, World};

fn not_there(key: &str) -> PortError {
    PortError::new(PortErrorKind::NotFound, format!("{key} is not in the store"))
}

fn put(state: &mut State, world: &World, by: &By, key: &Key, bytes: Bytes) {
    world.judge_put(state, by, key);
    state.objects.put(&key.to_string(), bytes);
}

fn version_of(bytes: &Bytes) -> Version {
    let mut hash = DefaultHasher::new();
    bytes.hash(&mut hash);
    Version(format!("{:016x}", hash.finish()))
}

#[async_trait]
impl MediaStore for Port {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, _options: &PutOptions) -> Result<(), PortError> {
        let key = key.clone();
        self.call(Op::PutBytes, key.to_string(), move |state, world, by| {
            put(state, world, by, &key, bytes.clone());
            Ok(())
        })
        .await
    }

    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        _options: &PutOptions,
    ) -> Result<(), PortError> {
        let (key, file) = (key.clone(), file.to_owned());
        let mut taken = None;
        self.call(Op::Upload, key.to_string(), move |state, world, by| {
            if taken.is_none() {
                let bytes = match file_use {
                    FileUse::Consume => state.objects.take_file(&file),
                    FileUse::Keep => state.objects.keep_file(&file),
                };
                // without its folder, whose name differs in every run
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                taken = Some(bytes.map_err(|e| PortError::io(format!("{name} cannot be taken"), e))?);
            }
            if by.partial {
                // the file was taken and the upload broke off: the key holds nothing of it
                return Ok(());
            }
            put(state, world, by, &key, taken.clone().expect("taken above"));
            Ok(())
        })
        .await
    }

    async fn promote(&self, from: &Key, to: &Key, _options: &PutOptions) -> Result<(), PortError> {
        let (from, to) = (from.clone(), to.clone());
        self.call(Op::Promote, format!("{from} to {to}"), move |state, world, _| {
            let name = to.to_string();
            let (source, stands) = (from.to_string(), state.objects.get(&name).cloned());
            let bytes = match state.objects.get(&source).cloned() {
                Some(bytes) => bytes,
                None if stands.is_some() => return Ok(()),
                None => return Err(not_there(&source)),
            };
            if stands.is_none_or(|stands| stands != bytes) {
                world.judge_promote(state, &from, &to);
            }
            state.objects.put(&name, bytes);
            Ok(())
        })
        .await
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        let key = key.to_string();
        self.call(Op::GetBytes, key.clone(), move |state, _, _| {
            let bytes = state.objects.get(&key).ok_or_else(|| not_there(&key))?;
            if bytes.len() as u64 > limit {
                return Err(PortError::new(PortErrorKind::Corrupt, format!("{key} is too large")));
            }
            Ok(bytes.clone())
        })
        .await
    }

    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        let (key, scratch) = (key.to_string(), scratch.to_owned());
        self.call(Op::GetFile, key.clone(), move |state, _, _| {
            let bytes = state.objects.get(&key).cloned().ok_or_else(|| not_there(&key))?;
            Ok(state.objects.copy_out(bytes, &scratch))
        })
        .await
    }

    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        let (key, version) = (key.clone(), version.clone());
        let bytes = self.call(Op::GetBytes, key.to_string(), move |state, _, _| {
            let name = key.to_string();
            let bytes = state.objects.get(&name).ok_or_else(|| not_there(&name))?;
            if version_of(bytes) != version {
                return Err(PortError::new(PortErrorKind::Replaced, format!("{name} was replaced")));
            }
            check_range(&key, &range, bytes.len() as u64)?;
            Ok(bytes.slice(range.start as usize..range.end as usize))
        });
        let bytes = bytes.await?;
        Ok(stream::once(async { Ok(bytes) }).boxed())
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        let key = key.to_string();
        self.call(Op::Head, key.clone(), move |state, _, _| {
            Ok(state.objects.get(&key).map(|bytes| ObjectInfo {
                bytes: bytes.len() as u64,
                version: version_of(bytes),
                media_type: Some(media_type_of(&key).to_owned()),
                cache_control: None,
                crc32: None,
            }))
        })
        .await
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        let (prefix, from) = (prefix.to_owned(), from.map(str::to_owned));
        let max = max.min(self.world.params.page);
        self.call(Op::List, prefix.clone(), move |state, _, _| {
            let found = state.objects.keys(&prefix, from.as_deref()).take(max + 1);
            let mut objects: Vec<Object> =
                found.map(|(key, bytes)| Object { key: key.to_owned(), bytes }).collect();
            let more = objects.len() > max;
            objects.truncate(max);
            let next = objects.last().filter(|_| more).map(|object| object.key.clone());
            Ok(ObjectPage { objects, next })
        })
        .await
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        let (key, asked) = (key.clone(), self.life.asked(key.job()));
        self.call(Op::Delete, key.to_string(), move |state, world, by| {
            world.judge_delete(state, by, &key, asked);
            state.objects.delete(&key.to_string());
            Ok(())
        })
        .await
    }

    /// One call for each key, so that a fault can come between any two of them.
    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl StoreDocuments for Port {
    async fn put_document(
        &self,
        key: &Key,
        bytes: Bytes,
        expected: &Expected,
        _options: &PutOptions,
    ) -> Result<DocumentWrite, PortError> {
        let (key, expected) = (key.clone(), expected.clone());
        self.call(Op::PutDocument, key.to_string(), move |state, world, _| {
            let name = key.to_string();
            let stored = state.objects.get(&name).map(version_of);
            let as_expected = match &expected {
                Expected::Absent => stored.is_none(),
                Expected::Version(version) => stored.as_ref() == Some(version),
            };
            if !as_expected {
                return Ok(DocumentWrite::Conflict);
            }
            world.judge_document(state, &key, &bytes);
            state.objects.put(&name, bytes.clone());
            Ok(DocumentWrite::Written(version_of(&bytes)))
        })
        .await
    }

    async fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError> {
        let key = key.to_string();
        self.call(Op::GetDocument, key.clone(), move |state, _, _| {
            let Some(bytes) = state.objects.get(&key) else { return Ok(None) };
            if bytes.len() as u64 > limit {
                return Err(PortError::new(PortErrorKind::Corrupt, format!("{key} is too large")));
            }
            Ok(Some(Document { bytes: bytes.clone(), version: version_of(bytes) }))
        })
        .await
    }
}
