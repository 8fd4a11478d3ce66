//! Finds ffmpeg and ffprobe and determines their versions.
//!
//! Running a program for its version takes longer than a small job. The version
//! is cached in the user's cache folder with the identity of the file; a program that
//! was replaced is run again. A script is run every time: the program it calls may change.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use segue_domain::Failure;
use segue_media::Tools;
use serde::{Deserialize, Serialize};

use crate::failure;
use crate::settings::Settings;

/// Identity of a file on disk.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

/// Both programs with their identities and versions, as cached.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    ffmpeg: Stamp,
    ffprobe: Stamp,
    tools: Tools,
}

/// The programs that the settings name, with their versions.
///
/// # Errors
/// A program that is missing, not ffmpeg, or too old.
pub async fn tools(settings: &Settings) -> Result<Tools, Failure> {
    let (ffmpeg, ffprobe) = (&settings.ffmpeg, &settings.ffprobe);
    let stamps = stamp(ffmpeg).zip(stamp(ffprobe));
    let cache = cache_file();
    if let (Some((a, b)), Some(cache)) = (&stamps, &cache)
        && let Some(known) = read(cache)
        && known.ffmpeg == *a
        && known.ffprobe == *b
        && (&known.tools.ffmpeg, &known.tools.ffprobe) == (ffmpeg, ffprobe)
    {
        return Ok(known.tools);
    }
    let found = Tools::at(ffmpeg.clone(), ffprobe.clone()).await.map_err(|error| Failure {
        cause: format!("{error}; segue doctor says what to install"),
        ..failure::media(&error)
    })?;
    if let (Some((ffmpeg, ffprobe)), Some(cache)) = (stamps, cache) {
        let known = Known { ffmpeg, ffprobe, tools: found.clone() };
        if let Err(error) = write(&cache, &known) {
            tracing::debug!(%error, file = %cache.display(), "cannot cache the versions of ffmpeg and ffprobe");
        }
    }
    Ok(found)
}

/// Identity of the program on disk; `None` for scripts and missing files.
fn stamp(program: &Path) -> Option<Stamp> {
    let path = which::which(program).ok()?.canonicalize().ok()?;
    let mut file = fs::File::open(&path).ok()?;
    let mut head = [0; 2];
    file.read_exact(&mut head).ok()?;
    if head == *b"#!" {
        return None;
    }
    let meta = file.metadata().ok()?;
    Some(Stamp {
        path,
        device: meta.dev(),
        inode: meta.ino(),
        bytes: meta.len(),
        modified_ns: (meta.mtime(), meta.mtime_nsec()),
        changed_ns: (meta.ctime(), meta.ctime_nsec()),
    })
}

fn cache_file() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.cache_dir().join("segue").join("programs.json"))
}

fn read(cache: &Path) -> Option<Known> {
    serde_json::from_slice(&fs::read(cache).ok()?).ok()
}

fn write(cache: &Path, known: &Known) -> std::io::Result<()> {
    let folder = cache.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, known)?;
    file.persist(cache)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_replaced_program_has_another_stamp_and_a_script_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        let put = |bytes: &[u8]| {
            let new = dir.path().join("new");
            fs::write(&new, bytes).unwrap();
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(&new, &program).unwrap();
        };
        put(b"\x7fELF one");
        let first = stamp(&program).unwrap();
        assert_eq!(Some(&first), stamp(&program).as_ref());
        put(b"\x7fELF two");
        assert_ne!(Some(&first), stamp(&program).as_ref());
        put(b"#!/bin/sh\n");
        assert_eq!(stamp(&program), None);
    }

    #[test]
    fn what_is_kept_is_read_again_and_rubbish_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("deep").join("programs.json");
        let tools = Tools {
            ffmpeg: "ffmpeg".into(),
            ffprobe: "ffprobe".into(),
            ffmpeg_version: "7.1".into(),
            ffprobe_version: "7.1".into(),
        };
        let of = || stamp(&std::env::current_exe().unwrap()).unwrap();
        write(&cache, &Known { ffmpeg: of(), ffprobe: of(), tools: tools.clone() }).unwrap();
        assert_eq!(read(&cache).unwrap().tools, tools);
        fs::write(&cache, "{").unwrap();
        assert!(read(&cache).is_none());
    }
}
