//! A network of its own for a program that starts LocalStack, which listens on every address.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Names the folder for temporary files of a program that is inside.
const INSIDE: &str = "SEGUE_FLEET_INSIDE";

/// This program once more, with nothing but itself in its network and LocalStack as its emulator;
/// whatever it starts ends with it. Inside already: where its temporary files are.
///
/// # Errors
/// A machine that does not allow it.
pub fn enter() -> Result<PathBuf> {
    if let Some(inside) = std::env::var_os(INSIDE) {
        // a network begins with nothing, its own address included
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("ip")?;
        ensure!(up.success(), "ip link set lo up: {up}");
        return Ok(inside.into());
    }
    let folder = tempfile::Builder::new().prefix("segue-fleet-").tempdir()?.keep();
    let program = std::env::current_exe()?;
    let error = Command::new("unshare")
        .args(arguments(nix::unistd::geteuid().is_root()))
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, &folder)
        .env("TMPDIR", &folder)
        .env("SEGUE_TEST_EMULATOR", "localstack")
        // from in there, no emulator outside is reached
        .env_remove("SEGUE_TEST_AWS_ENDPOINT")
        .exec();
    std::fs::remove_dir(&folder)?;
    Err(error).context("unshare")
}

/// Who is not root is so in there: an address of one's own takes that.
fn arguments(is_root: bool) -> Vec<OsString> {
    let user = (!is_root).then_some("--map-root-user");
    let all = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    user.into_iter().chain(all).map(OsString::from).collect()
}
