//! The media store as one process sees it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{MediaStore, Object, ObjectPage, PortError, PortErrorKind, PutMode, PutResult};

use crate::op::Op;
use crate::port::{By, Port};
use crate::world::{State, World};

fn not_there(key: &str) -> PortError {
    PortError::new(PortErrorKind::NotFound, format!("{key} is not in the store"))
}

fn put(state: &mut State, world: &World, by: &By, key: &Key, bytes: Bytes, mode: PutMode) -> PutResult {
    let name = key.to_string();
    if mode == PutMode::CreateOnce && state.objects.get(&name).is_some() {
        return PutResult::Exists;
    }
    world.judge_put(state, by, key);
    state.objects.put(&name, bytes);
    PutResult::Written
}

#[async_trait]
impl MediaStore for Port {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<PutResult, PortError> {
        let key = key.clone();
        self.call(Op::PutBytes, key.to_string(), move |state, world, by| {
            Ok(put(state, world, by, &key, bytes.clone(), mode))
        })
        .await
    }

    async fn put_file(&self, key: &Key, file: &Path, mode: PutMode) -> Result<PutResult, PortError> {
        let (key, file) = (key.clone(), file.to_owned());
        let mut taken = None;
        self.call(Op::PutFile, key.to_string(), move |state, world, by| {
            if taken.is_none() {
                let bytes = state.objects.take_file(&file);
                // without its folder, which has another name in every history
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                taken = Some(bytes.map_err(|e| PortError::io(format!("{name} cannot be taken"), e))?);
            }
            if by.partial {
                // the file was taken and the upload broke off: the key holds nothing of it
                return Ok(PutResult::Exists);
            }
            Ok(put(state, world, by, &key, taken.clone().expect("taken above"), mode))
        })
        .await
    }

    async fn promote(&self, from: &Key, to: &Key, mode: PutMode) -> Result<PutResult, PortError> {
        let (from, to) = (from.clone(), to.clone());
        self.call(Op::Promote, format!("{from} to {to}"), move |state, world, _| {
            let name = to.to_string();
            let (source, stands) = (from.to_string(), state.objects.get(&name).cloned());
            if stands.is_some() && mode == PutMode::CreateOnce {
                return Ok(PutResult::Exists);
            }
            let bytes = match state.objects.get(&source).cloned() {
                Some(bytes) => bytes,
                None if stands.is_some() => return Ok(PutResult::Exists),
                None => return Err(not_there(&source)),
            };
            if stands.is_none_or(|stands| stands != bytes) {
                world.judge_promote(state, &from, &to);
            }
            state.objects.put(&name, bytes);
            Ok(PutResult::Written)
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

    async fn head(&self, key: &Key) -> Result<Option<Object>, PortError> {
        let key = key.to_string();
        self.call(Op::Head, key.clone(), move |state, _, _| {
            let bytes = state.objects.get(&key).map(|bytes| bytes.len() as u64);
            Ok(bytes.map(|bytes| Object { key: key.clone(), bytes }))
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
}
