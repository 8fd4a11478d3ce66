//! Paths of the programs that are measured and compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The `segue` program: `SEGUE_BIN`, else a new release build.
///
/// # Errors
/// A build that fails.
pub fn segue(features: &[String]) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("SEGUE_BIN").filter(|name| !name.is_empty()) {
        return std::path::absolute(&named).with_context(|| format!("SEGUE_BIN {named:?}"));
    }
    let speech = ["-p", "segue-speech"];
    let packages = if features.is_empty() { &[][..] } else { &speech };
    build(&[&["-p", "segue-cli", "--bin", "segue"][..], packages].concat(), features)?;
    Ok(release_dir()?.join("segue"))
}

/// The program that runs one pass of whisper.cpp over a file: `SEGUE_ONE_PASS`, else a new release build.
///
/// # Errors
/// A build that fails.
pub fn one_pass(features: &[String]) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("SEGUE_ONE_PASS").filter(|name| !name.is_empty()) {
        return std::path::absolute(&named).with_context(|| format!("SEGUE_ONE_PASS {named:?}"));
    }
    build(&["-p", "segue-speech", "--example", "one_pass"], features)?;
    Ok(release_dir()?.join("examples").join("one_pass"))
}

/// The program that makes the sizes of one image: a new release build.
///
/// # Errors
/// A build that fails.
pub fn image_variants() -> Result<PathBuf> {
    build(&["-p", "segue-image", "--example", "variants"], &[])?;
    Ok(release_dir()?.join("examples").join("variants"))
}

fn build(what: &[&str], features: &[String]) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["build", "--release", "--quiet"]).args(what);
    for feature in features {
        cargo.arg("--features").arg(format!("segue-speech/{feature}"));
    }
    let ended = cargo.status().context("starting cargo")?;
    ensure!(ended.success(), "cargo build {} failed", what.join(" "));
    Ok(())
}

fn release_dir() -> Result<PathBuf> {
    Ok(target_dir()?.join("release"))
}

fn target_dir() -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// A debug build of a program of the workspace.
///
/// # Errors
/// A build that fails.
pub fn debug(package: &str) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let ended = cargo.current_dir(root()).args(["build", "--quiet", "--package", package]).status();
    ensure!(ended.context("starting cargo")?.success(), "cargo build {package} failed");
    Ok(target_dir()?.join("debug").join(package))
}

/// The folder with test media and tools: the flag, else `SEGUE_SHARED`.
///
/// # Errors
/// None is named, or it does not exist.
pub fn shared(flag: Option<&Path>) -> Result<PathBuf> {
    let named = flag.map(Path::to_owned).or_else(|| std::env::var_os("SEGUE_SHARED").map(PathBuf::from));
    match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) if path.join("tools").is_dir() => Ok(std::path::absolute(path)?),
        Some(path) => bail!("{} has no folder tools; give the folder with media/ and tools/", path.display()),
        None => bail!("set --shared or SEGUE_SHARED to the folder with media/ and tools/"),
    }
}

/// A `PATH` that begins with `links`, in which this ffmpeg and its ffprobe are linked.
///
/// # Errors
/// A program does not exist.
pub fn path_with(ffmpeg: &Path, links: &Path) -> Result<std::ffi::OsString> {
    let ffmpeg = ffmpeg.canonicalize().with_context(|| format!("{}", ffmpeg.display()))?;
    let ffprobe = ffmpeg.with_file_name("ffprobe");
    ensure!(ffprobe.is_file(), "there is no ffprobe beside {}", ffmpeg.display());
    std::os::unix::fs::symlink(&ffmpeg, links.join("ffmpeg"))?;
    std::os::unix::fs::symlink(&ffprobe, links.join("ffprobe"))?;
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(links.to_owned()).chain(std::env::split_paths(&rest));
    Ok(std::env::join_paths(all)?)
}
