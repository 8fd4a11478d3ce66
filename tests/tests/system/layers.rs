//! The layer rules hold in this workspace, and the check sees when they do not.
//!
//! `SEGUE_XTASK` names the program that checks; without it cargo makes one.

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
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.code() == Some(0) || said.contains("BROKEN"), "the check did not run: {said}");
    (ran.status.success(), said)
}

#[test]
fn every_package_keeps_to_its_layer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let (holds, said) = check(root);
    assert!(holds, "{said}");
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
    let (holds, said) = check(dir.path());
    assert!(!holds, "{said}");
    for expected in [
        "segue-domain names segue-media",
        "segue-domain has rusqlite",
        "segue-media has rusqlite",
        "rusqlite has no rule",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
}
