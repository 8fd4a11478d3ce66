//! Reads from the media folder. A source may be a link to where the user has it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{Object, PortError, PortErrorKind};

use super::folder::Folder;
use crate::error::{self, say};

/// The key names nothing.
pub fn not_there(key: &Key) -> PortError {
    say(PortErrorKind::NotFound, format_args!("{key} is not in the media folder"))
}

impl Folder {
    /// The object's size, or `None`.
    pub fn head(&self, key: &Key) -> Result<Option<Object>, PortError> {
        let path = self.path_of(key);
        match fs::metadata(&path) {
            Ok(what) if what.is_file() => Ok(Some(Object { key: key.to_string(), bytes: what.len() })),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(error::file("cannot look at", &path, e)),
        }
    }

    /// Where the object lies.
    pub fn find_file(&self, key: &Key) -> Result<PathBuf, PortError> {
        let path = self.path_of(key);
        if self.head(key)?.is_some() {
            return Ok(path);
        }
        match fs::read_link(&path) {
            Ok(target) => Err(say(
                PortErrorKind::NotFound,
                format_args!("the source {} is gone, put it back or start a new job", target.display()),
            )),
            Err(_) => Err(not_there(key)),
        }
    }

    /// The whole of a small object.
    pub fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        let path = self.find_file(key)?;
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(not_there(key)),
            Err(e) => return Err(error::file("cannot read", &path, e)),
        };
        let mut bytes = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|e| error::file("cannot read", &path, e))?;
        if bytes.len() as u64 > limit {
            let message = format_args!("{key} has more than the {limit} bytes that were expected");
            return Err(say(PortErrorKind::Corrupt, message));
        }
        Ok(Bytes::from(bytes))
    }
}
