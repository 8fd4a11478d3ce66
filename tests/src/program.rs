//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Path of `segue`: `SEGUE_BIN`, else a debug build.
pub fn segue() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("SEGUE_BIN").filter(|name| !name.is_empty()) {
        Some(named) => {
            let path = std::path::absolute(&named).expect("SEGUE_BIN is a path");
            assert!(path.is_file(), "SEGUE_BIN: {} does not exist", path.display());
            path
        }
        None => build(),
    })
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--package", "segue-cli", "--bin", "segue"])
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "segue does not build: {}", String::from_utf8_lossy(&built.stderr));
    let path = target().join("debug").join("segue");
    assert!(path.is_file(), "cargo built no {}", path.display());
    path
}

/// The target folder: tests run from `target/PROFILE/deps`.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    own.ancestors().nth(3).expect("a test lies in target/PROFILE/deps").to_owned()
}
