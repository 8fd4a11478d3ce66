//! Reads from the media folder. A source may be a link to the user's own file.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{ObjectInfo, PortError, PortErrorKind, Version, check_range, media_type_of};

use crate::folder::Folder;

/// Size of a stream item, bytes.
const PIECE: u64 = 1 << 20;

/// The error of a missing object.
pub fn not_there(key: &Key) -> PortError {
    PortError::new(PortErrorKind::NotFound, format!("{key} is not in the media folder"))
}

/// Size, modification time and inode: a replaced object is another file, and a
/// change of a linked source is detected.
fn version_of(what: &fs::Metadata) -> Version {
    let (bytes, secs, nanos) = (what.len(), what.mtime(), what.mtime_nsec());
    Version(format!("{bytes}-{secs}.{nanos:09}-{}", what.ino()))
}

/// The remaining range of one version of an object.
#[derive(Debug)]
pub struct OpenRange {
    file: File,
    key: Key,
    version: Version,
    at: u64,
    end: u64,
}

impl OpenRange {
    fn replaced(&self) -> PortError {
        let message = format!("{} was replaced since its version {} was read", self.key, self.version.0);
        PortError::new(PortErrorKind::Replaced, message)
    }

    /// The next bytes, or `None` at the end. An object that is replaced is read to its end; one
    /// that is modified in place is `Replaced`.
    pub fn next(&mut self) -> Result<Option<Bytes>, PortError> {
        if self.at == self.end {
            return Ok(None);
        }
        let mut bytes = vec![0; PIECE.min(self.end - self.at) as usize];
        let read = self.file.read_exact_at(&mut bytes, self.at).and_then(|()| self.file.metadata());
        match read {
            Ok(what) if version_of(&what) == self.version => {}
            Ok(_) => return Err(self.replaced()),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Err(self.replaced()),
            Err(e) => return Err(PortError::io(format_args!("cannot read {}", self.key), e)),
        }
        self.at += bytes.len() as u64;
        Ok(Some(Bytes::from(bytes)))
    }
}

impl Folder {
    /// The object's current version, or `None`.
    pub fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        let path = self.path_of(key);
        match fs::metadata(&path) {
            Ok(what) if what.is_file() => Ok(Some(ObjectInfo {
                bytes: what.len(),
                version: version_of(&what),
                media_type: Some(media_type_of(&key.to_string()).to_owned()),
                cache_control: None,
                crc32: None,
            })),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(PortError::file("cannot look at", &path, e)),
        }
    }

    /// Opens a version of the object, to read `range`.
    pub fn open_range(
        &self,
        key: &Key,
        version: &Version,
        range: &Range<u64>,
    ) -> Result<OpenRange, PortError> {
        let path = self.find_file(key)?;
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(not_there(key)),
            Err(e) => return Err(PortError::file("cannot read", &path, e)),
        };
        let what = file.metadata().map_err(|e| PortError::file("cannot read", &path, e))?;
        let open =
            OpenRange { file, key: key.clone(), version: version.clone(), at: range.start, end: range.end };
        if version_of(&what) != *version {
            return Err(open.replaced());
        }
        check_range(key, range, what.len())?;
        Ok(open)
    }

    /// The path of the object.
    pub fn find_file(&self, key: &Key) -> Result<PathBuf, PortError> {
        let path = self.path_of(key);
        if self.head(key)?.is_some() {
            return Ok(path);
        }
        match fs::read_link(&path) {
            Ok(target) => Err(PortError::new(
                PortErrorKind::NotFound,
                format!("the source {} is gone, put it back or start a new job", target.display()),
            )),
            Err(_) => Err(not_there(key)),
        }
    }

    /// Reads a small object.
    pub fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        let path = self.find_file(key)?;
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(not_there(key)),
            Err(e) => return Err(PortError::file("cannot read", &path, e)),
        };
        let mut bytes = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|e| PortError::file("cannot read", &path, e))?;
        if bytes.len() as u64 > limit {
            let message = format!("{key} has more than the {limit} bytes that were expected");
            return Err(PortError::new(PortErrorKind::Corrupt, message));
        }
        Ok(Bytes::from(bytes))
    }
}
