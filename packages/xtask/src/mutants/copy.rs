//! The copy of the simulator and of what it drives that has the mutants: a workspace of its own below the
//! target folder, with a target folder of its own that is kept between runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use super::edits;
use crate::program;

/// The package that is run; the copy has it and its dependencies in the workspace.
const SIMULATOR: &str = "segue-simulator";

/// The module of the switch: in the source a part of the simulator, in the copy one of the ports, which all
/// edited packages depend on.
const SWITCH: &str = "packages/simulator/src/switch.rs";
const SWITCH_IN_COPY: &str = "packages/ports/src/mutants.rs";
const PORTS: &str = "packages/ports/src/lib.rs";

/// The copy on disk.
#[derive(Debug)]
pub struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Brings the copy up to date. A file that is unchanged is not written, so that cargo does not compile it
    /// again.
    ///
    /// # Errors
    /// An edit does not apply, or a file cannot be read or written.
    pub fn write() -> Result<Copy> {
        let root = program::root();
        let metadata = MetadataCommand::new().current_dir(&root).exec()?;
        let copy = Copy { folder: metadata.target_directory.join("mutants").into_std_path_buf() };
        let mut files = sources(&root, &metadata)?;
        mutate(&root, &mut files)?;
        for file in files_below(&copy.folder.join("packages"))? {
            if !files.contains_key(file.strip_prefix(&copy.folder)?) {
                std::fs::remove_file(&file)?;
            }
        }
        for (file, bytes) in files {
            write_if_changed(&copy.folder.join(file), &bytes)?;
        }
        // cargo leaves out of the lock file what only other packages need, and takes no other versions
        MetadataCommand::new()
            .manifest_path(copy.manifest())
            .other_options(["--offline".to_owned()])
            .exec()?;
        Ok(copy)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its manifest.
    pub fn manifest(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }

    /// Variables with which cargo builds into its target folder.
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        ["CARGO_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"].map(|name| (name, self.folder.join("target")))
    }

    /// Takes the third-party crates that another clone has compiled.
    ///
    /// # Errors
    /// The script fails.
    pub fn restore_builds(&self) -> Result<()> {
        self.build_cache("restore")
    }

    /// Keeps the third-party crates that were compiled.
    ///
    /// # Errors
    /// The script fails.
    pub fn save_builds(&self) -> Result<()> {
        self.build_cache("save")
    }

    fn build_cache(&self, verb: &str) -> Result<()> {
        let mut script = Command::new(program::root().join("scripts/build-cache"));
        let ended = script.arg(verb).arg("--workspace").arg(&self.folder).envs(self.environment()).status();
        ensure!(
            ended.context("starting scripts/build-cache")?.success(),
            "scripts/build-cache {verb} failed"
        );
        Ok(())
    }
}

/// The manifest, the lock file and all files of the packages that the simulator needs, by path below the root.
fn sources(root: &Path, metadata: &Metadata) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    files.insert(PathBuf::from("Cargo.lock"), std::fs::read(root.join("Cargo.lock"))?);
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let members = r#"members = ["packages/*", "tests"]"#;
    ensure!(manifest.contains(members), "Cargo.toml no longer has the line {members}");
    let manifest = manifest.replace(members, r#"members = ["packages/*"]"#);
    // the recorded histories are short: to optimise the roles takes longer than to run them as they are
    let optimised = |line: &str| line.starts_with("segue-") && line.contains("opt-level");
    let manifest: Vec<&str> = manifest.lines().filter(|line| !optimised(line)).collect();
    files.insert(PathBuf::from("Cargo.toml"), manifest.join("\n").into_bytes());
    for package in needed(metadata) {
        let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
        for file in files_below(folder.as_std_path())? {
            files.insert(file.strip_prefix(root)?.to_owned(), std::fs::read(&file)?);
        }
    }
    Ok(files)
}

/// The simulator and the packages of the workspace that it needs, for tests as well.
fn needed(metadata: &Metadata) -> Vec<&Package> {
    let ours: BTreeMap<&str, &Package> =
        metadata.workspace_packages().into_iter().map(|package| (package.name.as_str(), package)).collect();
    let (mut names, mut left) = (BTreeSet::new(), vec![SIMULATOR]);
    while let Some(name) = left.pop() {
        if let Some(package) = ours.get(name).filter(|_| names.insert(name)) {
            left.extend(package.dependencies.iter().map(|dependency| dependency.name.as_str()));
        }
    }
    ours.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, package)| package).collect()
}

/// Applies the edits and moves the switch.
fn mutate(root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let source = |file: &str| Ok(std::fs::read_to_string(root.join(file))?);
    for (file, text) in edits::apply(&edits::read(root)?, source)? {
        ensure!(files.contains_key(Path::new(&file)), "the copy has no {file}");
        files.insert(file.into(), text.into_bytes());
    }
    let mut ports = source(PORTS)?;
    ports.push_str("\nextern crate self as segue_ports;\npub mod mutants;\n");
    files.insert(PORTS.into(), ports.into_bytes());
    let (switch, off, on) =
        (source(SWITCH)?, "is_in_build() -> bool {\n    false", "is_in_build() -> bool {\n    true");
    ensure!(switch.contains(off), "{SWITCH} no longer has {off}");
    files.insert(SWITCH_IN_COPY.into(), switch.replace(off, on).into_bytes());
    files.insert(
        SWITCH.into(),
        b"//! The switch of the mutants.\n\npub use segue_ports::mutants::*;\n".into(),
    );
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut left) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.with_context(|| folder.display().to_string())?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => left.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    Ok(files)
}

fn write_if_changed(file: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(file).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let folder = file.parent().context("a file is in a folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(file, bytes).with_context(|| file.display().to_string())
}
