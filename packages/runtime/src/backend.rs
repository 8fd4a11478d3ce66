//! A URL, or a path, chooses the backend.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use segue_adapter_local::LocalBackend;
use segue_domain::{Failure, Key};
use segue_pipeline::Deps;
use segue_ports::Reporter;

use crate::failure;

/// Where queue, ledger and media are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendUrl {
    /// An embedded database and a folder, in this folder.
    Folder(PathBuf),
}

/// Schemes that belong to a backend which this build was made without.
const NOT_COMPILED: [(&str, &str); 5] =
    [("postgres", "Postgres"), ("postgresql", "Postgres"), ("aws", "AWS"), ("s3", "AWS"), ("redis", "Redis")];

impl BackendUrl {
    /// The folder of an embedded backend.
    pub fn folder(&self) -> &Path {
        let BackendUrl::Folder(path) = self;
        path
    }
}

impl FromStr for BackendUrl {
    type Err = Failure;

    fn from_str(text: &str) -> Result<BackendUrl, Failure> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err(failure::usage("the state folder has no name")),
                path => Ok(BackendUrl::Folder(path.into())),
            };
        };
        // never the rest of the URL in a message: it may hold a password
        if scheme == "file" {
            return if rest.starts_with('/') {
                Ok(BackendUrl::Folder(rest.into()))
            } else {
                Err(failure::usage("a file URL names a folder from the root: file:///var/lib/segue"))
            };
        }
        match NOT_COMPILED.iter().find(|(known, _)| *known == scheme) {
            Some((_, name)) => Err(failure::usage(format!(
                "the {name} backend ({scheme}://) is not compiled into this build; give a folder on this machine"
            ))),
            None => Err(failure::usage(format!(
                "there is no backend for {scheme}://; give a folder on this machine or a file:// URL"
            ))),
        }
    }
}

/// An open backend.
pub struct Backend {
    local: LocalBackend,
}

impl Backend {
    /// Opens the embedded backend in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// A folder that cannot be used, or a database in it that is damaged or newer.
    pub async fn open_folder(folder: &Path) -> Result<Backend, Failure> {
        let path = folder.to_owned();
        let opened = tokio::task::spawn_blocking(move || LocalBackend::open(&path)).await;
        let opened = opened.map_err(|error| failure::internal(format!("opening the state: {error}")))?;
        let local = opened.map_err(|error| Failure {
            cause: format!("state folder {}: {error}", folder.display()),
            ..failure::port(&error)
        })?;
        Ok(Backend { local })
    }

    /// What the roles are given.
    pub fn deps(&self, reporter: Arc<dyn Reporter>) -> Deps {
        Deps {
            ledger: self.local.ledger.clone(),
            queue: self.local.queue.clone(),
            store: self.local.store.clone(),
            reporter,
        }
    }

    /// Makes the file at `path`, which stays where it is, readable as `key`.
    ///
    /// # Errors
    /// The store's.
    pub async fn adopt(&self, key: &Key, path: &Path) -> Result<(), Failure> {
        self.local.store.adopt(key, path).await.map(|_| ()).map_err(|error| failure::port(&error))
    }

    /// Where the roles see an adopted file; in what a user reads it is better called by
    /// its own name.
    pub fn adopted_path(&self, key: &Key) -> PathBuf {
        self.local.store.root().join(key.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_or_a_path_chooses() {
        for (text, folder) in [("x", "x"), ("/a/b", "/a/b"), ("file:///a", "/a")] {
            assert_eq!(text.parse::<BackendUrl>().unwrap().folder(), Path::new(folder), "{text}");
        }
        for (text, said) in [
            ("postgres://me:secret@host/db", "not compiled into this build"),
            ("s3://bucket", "not compiled into this build"),
            ("gopher://secret", "no backend for gopher"),
            ("file://secret", "from the root"),
            ("", "no name"),
        ] {
            let cause = text.parse::<BackendUrl>().unwrap_err().cause;
            assert!(cause.contains(said), "{cause}");
            assert!(!cause.contains("secret"), "{cause}");
        }
    }
}
