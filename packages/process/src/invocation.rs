//! One command: its line, its environment, and the files that it may use.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What kind of program a child is; the sandbox differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A program that parses untrusted media, such as ffmpeg: it can access the declared files and
    /// has no network.
    Media,
    /// A custom program of a recipe. It may start child processes, which are killed with this process
    /// as well; [`MapAccess`](crate::MapAccess) sets its permissions.
    Map,
}

/// One command: its purpose, and its command line.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The operation, for error messages ("joining the parts").
    pub what: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables to add.
    pub envs: Vec<(String, OsString)>,
    /// Folder to run in.
    pub dir: Option<PathBuf>,
    /// What kind of program it is.
    pub profile: Profile,
    /// Limit of its address space, bytes; `None` for that of this process.
    pub memory: Option<u64>,
    /// Limit of the size of each file that it writes, bytes; `None` for that of this process.
    pub file_size: Option<u64>,
    /// Whether it uses a GPU.
    pub gpu: bool,
    reads: Vec<PathBuf>,
    writes: Vec<PathBuf>,
    inherited: Vec<Arc<File>>,
}

impl Invocation {
    /// A command of the [`Profile::Media`] that may use no file beyond system folders.
    pub fn new(what: impl Into<String>, program: impl Into<PathBuf>, args: Vec<OsString>) -> Self {
        Invocation {
            what: what.into(),
            program: program.into(),
            args,
            envs: Vec::new(),
            dir: None,
            profile: Profile::Media,
            memory: None,
            file_size: None,
            gpu: false,
            reads: Vec::new(),
            writes: Vec::new(),
            inherited: Vec::new(),
        }
    }

    /// Allows reading a file, or a folder with all that is in it.
    #[must_use]
    pub fn reading(mut self, path: impl Into<PathBuf>) -> Self {
        self.reads.push(path.into());
        self
    }

    /// Allows reading and writing the folder of this file, or this folder.
    #[must_use]
    pub fn writing(mut self, path: impl Into<PathBuf>) -> Self {
        self.writes.push(path.into());
        self
    }

    /// Lets the child inherit an open file under the same descriptor, which it opens as
    /// `/proc/self/fd/NUMBER`.
    #[must_use]
    pub fn inheriting(mut self, file: Arc<File>) -> Self {
        self.inherited.push(file);
        self
    }

    /// Sets what kind of program it is.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Limits the address space, in bytes.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Limits the size of each file that it writes, in bytes.
    #[must_use]
    pub fn with_file_size(mut self, bytes: u64) -> Self {
        self.file_size = Some(bytes);
        self
    }

    /// For a program that keeps lists of all packets: glibc places each growing list in a mapping
    /// of its own and returns the memory of the smaller ones (`M_MMAP_THRESHOLD`, mallopt(3)).
    /// Not for a program that allocates and frees large frames all the time.
    #[must_use]
    pub fn with_growing_lists(mut self) -> Self {
        self.envs.push(("MALLOC_MMAP_THRESHOLD_".to_owned(), "131072".into()));
        self
    }

    /// Files and folders that it may read.
    pub fn reads(&self) -> &[PathBuf] {
        &self.reads
    }

    /// Folders that it may write.
    pub fn written_folders(&self) -> impl Iterator<Item = &Path> {
        self.writes.iter().map(|path| match path.parent() {
            _ if path.is_dir() => path,
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        })
    }

    pub(crate) fn inherited(&self) -> &[Arc<File>] {
        &self.inherited
    }
}
