//! The simulated media store, and the files on the disks of the simulated machines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Named bytes, and files that exist only in the simulation.
#[derive(Debug, Default)]
pub struct Objects {
    objects: BTreeMap<String, Bytes>,
    files: BTreeMap<PathBuf, Bytes>,
    copies: u64,
}

impl Objects {
    /// What a key holds.
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        self.objects.get(key)
    }

    /// Writes; what was there is gone.
    pub fn put(&mut self, key: &str, bytes: Bytes) {
        self.objects.insert(key.to_owned(), bytes);
    }

    /// Removes.
    pub fn delete(&mut self, key: &str) {
        self.objects.remove(key);
    }

    /// Keys that begin with `prefix`, after `from`, with their sizes.
    pub fn keys<'a>(
        &'a self,
        prefix: &'a str,
        from: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, u64)> {
        let found =
            self.objects.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix));
        let found = found.filter(move |(key, _)| from.is_none_or(|from| key.as_str() > from));
        found.map(|(key, bytes)| (key.as_str(), bytes.len() as u64))
    }

    /// Puts a file on a simulated disk.
    pub fn write_file(&mut self, path: PathBuf, bytes: Bytes) {
        self.files.insert(path, bytes);
    }

    /// Puts a copy of an object on a simulated disk, under a name of its own.
    pub fn copy_out(&mut self, bytes: Bytes, scratch: &Path) -> PathBuf {
        self.copies += 1;
        let path = scratch.join(format!("get-{}", self.copies));
        self.files.insert(path.clone(), bytes);
        path
    }

    /// What a simulated file holds.
    pub fn read_file(&self, path: &Path) -> Option<&Bytes> {
        self.files.get(path)
    }

    /// Takes a file away from the disk: a simulated one, else a real one.
    ///
    /// # Errors
    /// There is no such file.
    pub fn take_file(&mut self, path: &Path) -> std::io::Result<Bytes> {
        if let Some(bytes) = self.files.remove(path) {
            return Ok(bytes);
        }
        let bytes = std::fs::read(path)?;
        std::fs::remove_file(path)?;
        Ok(Bytes::from(bytes))
    }

    /// What a file holds that stays where it is: a simulated one, else a real one.
    ///
    /// # Errors
    /// There is no such file.
    pub fn keep_file(&self, path: &Path) -> std::io::Result<Bytes> {
        match self.files.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None => std::fs::read(path).map(Bytes::from),
        }
    }
}
