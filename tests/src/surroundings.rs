//! Optional resources of the machine: shared media, speech models, permissions; prints a note for missing ones.

use std::path::{Path, PathBuf};

use crate::fixture::{Fixture, fixture};

fn folder(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|name| !name.is_empty()).map(PathBuf::from)?;
    assert!(path.is_dir(), "{variable}: {} is not a folder", path.display());
    Some(path)
}

/// A file of the folder `SEGUE_SHARED`, if set.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = folder("SEGUE_SHARED").map(|shared| shared.join(path)).filter(|path| path.exists());
    if found.is_none() {
        println!("note: no {path} (SEGUE_SHARED); a generated file is used instead");
    }
    found
}

/// Damaged files in `SEGUE_SHARED`, which must fail or have notes of what was lost.
pub fn bad_files() -> Vec<PathBuf> {
    let Some(folder) = shared("media/derived") else { return Vec::new() };
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bad_")));
    files.sort();
    files
}

/// Folder of the speech models, if available.
pub fn model_dir() -> Option<PathBuf> {
    let found = folder("SEGUE_MODEL_DIR").filter(|dir| dir.join("ggml-base.en.bin").is_file());
    if found.is_none() {
        println!("note: no base.en model (SEGUE_MODEL_DIR): transcription is not tested");
    }
    found
}

/// Recorded or synthetic speech, and words that its transcript must contain.
pub fn speech() -> (PathBuf, &'static [&'static str]) {
    match shared("media/speech/jfk.wav") {
        Some(path) => {
            (path, &["fellow", "americans", "ask", "not", "what", "your", "country", "can", "do", "you"])
        }
        None => (fixture(Fixture::MachineVoice), &["country", "ask", "what", "you", "your"]),
    }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Makes a folder accessible to all users, for tests that run a program as another user.
pub fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("the mode can be set");
}
