//! Listing: a walk through the folders in the order of whole keys, which stops when the
//! page is full.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use segue_ports::{Object, ObjectPage, PortError};

/// First components of keys; nothing else in the folder is an object.
const AREAS: [&str; 4] = ["input/", "jobs/", "segments/", "work/"];

struct Walk<'a> {
    root: &'a Path,
    prefix: &'a str,
    from: &'a str,
    max: usize,
    found: Vec<Object>,
}

/// Objects whose keys start with `prefix` and follow `from`, at most `max`.
pub fn list(root: &Path, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
    let mut walk = Walk { root, prefix, from: from.unwrap_or_default(), max, found: Vec::new() };
    // the deepest folder that the prefix names completely; its parents need not be read
    let start = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
    let plain = start.split_terminator('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if start.is_empty() {
        for area in AREAS {
            walk.enter(area)?;
        }
    } else if plain && AREAS.iter().any(|area| start.starts_with(area)) {
        walk.enter(start)?;
    }
    let more = walk.found.len() > max;
    walk.found.truncate(max);
    let next = walk.found.last().filter(|_| more).map(|object| object.key.clone());
    Ok(ObjectPage { objects: walk.found, next })
}

impl Walk<'_> {
    fn is_full(&self) -> bool {
        self.found.len() > self.max
    }

    /// Walks the folder `inside`, which ends with `/`.
    fn enter(&mut self, inside: &str) -> Result<(), PortError> {
        let may_match = inside.starts_with(self.prefix) || self.prefix.starts_with(inside);
        let is_over = self.from > inside && !self.from.starts_with(inside);
        if !may_match || is_over || self.is_full() {
            return Ok(());
        }
        for name in self.names(inside)? {
            if self.is_full() {
                break;
            }
            let key = format!("{inside}{name}");
            if name.ends_with('/') {
                self.enter(&key)?;
            } else if key.starts_with(self.prefix) && key.as_str() > self.from {
                self.add(key)?;
            }
        }
        Ok(())
    }

    /// The names in a folder in the order of the keys below it: a folder's own name ends
    /// with `/`, as in a key. A missing folder has none.
    fn names(&self, inside: &str) -> Result<Vec<String>, PortError> {
        let path = self.root.join(inside);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(e) => return Err(PortError::file("cannot list", &path, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| PortError::file("cannot list", &path, e))?;
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            if entry.file_type().is_ok_and(|what| what.is_dir()) {
                name.push('/');
            }
            names.push(name);
        }
        names.sort_unstable();
        Ok(names)
    }

    fn add(&mut self, key: String) -> Result<(), PortError> {
        let path = self.root.join(&key);
        match fs::metadata(&path) {
            Ok(what) if what.is_file() => self.found.push(Object { key, bytes: what.len() }),
            // a link to a folder, or deleted since
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(e) => return Err(PortError::file("cannot look at", &path, e)),
        }
        Ok(())
    }
}
