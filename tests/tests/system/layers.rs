//! The layer rules hold in this workspace, and the check detects violations.
//!
//! `SEGUE_XTASK` names the xtask program; without it cargo builds it.

use std::path::Path;
use std::process::Command;

fn check(workspace: &Path) -> (bool, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let mut xtask = match std::env::var_os("SEGUE_XTASK").filter(|built| !built.is_empty()) {
        Some(built) => Command::new(built),
        None => {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["run", "--quiet", "--package", "xtask", "--"]);
            cargo
        }
    };
    let ran = xtask.current_dir(root).args(["layers", "--workspace"]).arg(workspace).output();
    let ran = ran.expect("the check starts");
    let output = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.code() == Some(0) || output.contains("BROKEN"), "the check did not run: {output}");
    (ran.status.success(), output)
}

#[test]
fn every_package_keeps_to_its_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let (holds, output) = check(root);
    assert!(holds, "{output}");
}

#[test]
fn a_workspace_that_breaks_the_layers_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"*/\"]\n");
    let package = |name: &str, needs: &str| {
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n{needs}\n"
        )
    };
    write("domain/Cargo.toml", &package("segue-domain", "segue-media = { path = \"../media\" }"));
    write("media/Cargo.toml", &package("segue-media", "rusqlite = { path = \"../rusqlite\" }"));
    write("rusqlite/Cargo.toml", &package("rusqlite", ""));
    for name in ["domain", "media", "rusqlite"] {
        write(&format!("{name}/src/lib.rs"), "");
    }
    let (holds, output) = check(dir.path());
    assert!(!holds, "{output}");
    for expected in [
        "segue-domain names segue-media",
        "segue-domain has rusqlite",
        "segue-media has rusqlite",
        "rusqlite has no rule",
    ] {
        assert!(output.contains(expected), "{expected:?} is not in {output}");
    }
}
