//! What the machine may offer: shared media, speech models, rights. What is missing is said.

use std::path::{Path, PathBuf};

use crate::fixture::{Fixture, fixture};

fn folder(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|name| !name.is_empty()).map(PathBuf::from)?;
    assert!(path.is_dir(), "{variable} names {}, which is no folder", path.display());
    Some(path)
}

/// A file of the folder `SEGUE_SHARED`, where it is set.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = folder("SEGUE_SHARED").map(|shared| shared.join(path)).filter(|path| path.exists());
    if found.is_none() {
        println!("note: no {path} (SEGUE_SHARED); a file made here takes its place");
    }
    found
}

/// Every file in `SEGUE_SHARED` that must end badly or say what was lost.
pub fn bad_files() -> Vec<PathBuf> {
    let Some(folder) = shared("media/derived") else { return Vec::new() };
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bad_")));
    files.sort();
    files
}

/// Where the speech models are; `None` when there are none to test with.
pub fn model_dir() -> Option<PathBuf> {
    let found = folder("SEGUE_MODEL_DIR").filter(|dir| dir.join("ggml-base.en.bin").is_file());
    if found.is_none() {
        println!("note: no base.en model (SEGUE_MODEL_DIR): no words are tested here");
    }
    found
}

/// Somebody who speaks, and words that must be heard.
pub fn speech() -> (PathBuf, &'static [&'static str]) {
    match shared("media/speech/jfk.wav") {
        Some(path) => {
            (path, &["fellow", "americans", "ask", "not", "what", "your", "country", "can", "do", "you"])
        }
        None => (fixture(Fixture::MachineVoice), &["country", "ask", "what", "you", "your"]),
    }
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Lets every user in: what a test gives to another user lies in private folders.
pub fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("the mode can be set");
}
