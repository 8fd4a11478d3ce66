//! Access of real children: one test for each rule of the sandbox.

use std::fs;
use std::path::{Path, PathBuf};

use segue_process::{
    Invocation, Limits, MapAccess, Policy, ProcessError, ProcessErrorKind, Profile, SandboxMode, output,
    set_policy, support,
};

/// Tests of the rules are meaningless on a kernel without them.
fn kernel_must_have_both() {
    assert_eq!(support().missing(), None, "these tests need a kernel with Landlock and seccomp");
}

fn sh(line: impl Into<String>) -> Invocation {
    Invocation::new("test", "sh", vec!["-c".into(), line.into().into()])
}

fn map(line: impl Into<String>) -> Invocation {
    sh(line).with_profile(Profile::Map)
}

fn ffmpeg(args: &str, more: &[&Path]) -> Invocation {
    let args = args.split_whitespace().map(Into::into).chain(more.iter().map(|path| path.into()));
    Invocation::new("ffmpeg", "ffmpeg", args.collect())
}

async fn stdout(call: Invocation) -> String {
    let bytes = output(&call, &Limits::default(), 1 << 20).await;
    String::from_utf8(bytes.unwrap_or_else(|e| panic!("{e}: {:?}", e.stderr_tail()))).unwrap()
}

async fn refused(call: Invocation) -> ProcessError {
    kernel_must_have_both();
    output(&call, &Limits::default(), 1 << 20).await.expect_err("it is refused")
}

/// Asserts that the child's call was refused.
fn assert_told(error: &ProcessError, words: &str) {
    let tail = error.stderr_tail().join("\n");
    assert!(tail.contains(words), "{error}: {tail}");
}

/// A folder that is not among those of temporary files, which a child might have for itself.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn the_environment_is_the_allowed_variables() {
    for call in [sh("env"), map("env")] {
        let environment = stdout(call).await;
        let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        // what a test runner puts into the environment of this test is the canary
        let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CARGO"));
        assert!(ours.count() > 3, "a test runner sets variables that a child must not have");
        let shell = ["PWD", "SHLVL", "_", "OLDPWD", "AV_LOG_FORCE_NOCOLOR"];
        for name in names {
            let allowed = segue_process::is_allowed(name.as_ref()) || shell.contains(&name);
            assert!(allowed, "{name} is in the environment of a child");
        }
    }
}

#[tokio::test]
async fn a_map_program_gets_the_variables_that_the_operator_names() {
    let named = Policy { map_env: vec!["CARGO_PKG_NAME".into()], ..Policy::default() };
    set_policy(named);
    let line = "echo \"$CARGO_PKG_NAME\"";
    assert_eq!(stdout(map(line)).await, "segue-process\n");
    assert_eq!(stdout(sh(line)).await, "\n");
    set_policy(Policy::default());
}

#[tokio::test]
async fn files_that_were_not_declared_cannot_be_read() {
    let error = refused(ffmpeg("-v error -f data -i /etc/passwd -map 0 -c copy -f data pipe:1", &[])).await;
    assert_told(&error, "Permission denied");
    let dir = folder();
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let line = format!("cat {}", secret.display());
    for call in [sh(line.clone()), map(line.clone())] {
        assert_told(&refused(call).await, "Permission denied");
    }
    assert_eq!(stdout(sh(line.clone()).reading(&secret)).await, "secret");
    assert_eq!(stdout(sh(line).reading(dir.path())).await, "secret");
}

#[tokio::test]
async fn a_declared_symlink_opens_what_it_names_and_nothing_beside() {
    let (there, here) = (folder(), folder());
    for name in ["source", "other"] {
        fs::write(there.path().join(name), name).unwrap();
        std::os::unix::fs::symlink(there.path().join(name), here.path().join(name)).unwrap();
    }
    let read = |name: &str| sh(format!("cat {}/{name}", here.path().display()));
    let source = here.path().join("source");
    assert_eq!(stdout(read("source").reading(&source)).await, "source");
    assert_told(&refused(read("other").reading(&source)).await, "Permission denied");
    // a folder of links does not open what they name
    assert_told(&refused(read("source").reading(here.path())).await, "Permission denied");
}

#[tokio::test]
async fn nothing_is_written_outside_the_folder_of_the_output() {
    let (inside, outside) = (folder(), folder());
    let tone = "-v error -y -f lavfi -i sine=d=0.1 -f wav";
    let (good, bad) = (inside.path().join("a.wav"), outside.path().join("a.wav"));
    stdout(ffmpeg(tone, &[&good]).writing(&good)).await;
    assert!(good.metadata().unwrap().len() > 1000);
    assert_told(&refused(ffmpeg(tone, &[&bad]).writing(&good)).await, "Permission denied");
    fs::write(&bad, "mine").unwrap();
    for line in ["echo x > {}", "rm {}", "mv {} {}.moved", "ln -s / {}.link"] {
        let call = sh(line.replace("{}", &bad.display().to_string())).writing(&good).reading(&bad);
        assert_told(&refused(call).await, "Permission denied");
    }
    assert_eq!(fs::read(&bad).unwrap(), b"mine");
}

#[tokio::test]
async fn there_is_no_network() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/canary", listener.local_addr().unwrap());
    let error = refused(ffmpeg("-v error -rw_timeout 3000000 -f data -i", &[Path::new(&url)])).await;
    assert_told(&error, "Operation not permitted");
    let connect = format!(
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {}), 3)'",
        listener.local_addr().unwrap().port()
    );
    assert_told(&refused(map(connect.clone())).await, "Operation not permitted");
    let pairs = "python3 -c 'import socket; socket.socketpair()'";
    stdout(map(pairs)).await;
    for open in [MapAccess::Restricted { network: true }, MapAccess::Open] {
        set_policy(Policy { map: open, ..Policy::default() });
        stdout(map(connect.clone())).await;
    }
    set_policy(Policy::default());
}

#[tokio::test]
async fn the_environment_of_the_parent_is_out_of_reach() {
    let line = format!("cat /proc/{}/environ", std::process::id());
    for call in [sh(line.clone()), map(line.clone())] {
        assert_told(&refused(call).await, "Permission denied");
    }
    set_policy(Policy { map: MapAccess::Open, ..Policy::default() });
    assert_told(&refused(map(line.clone())).await, "Permission denied");
    // it is there to be read by a child without a sandbox
    set_policy(Policy { mode: SandboxMode::Off, ..Policy::default() });
    assert!(stdout(map(line)).await.contains("CARGO_PKG_NAME="));
    set_policy(Policy::default());
}

#[tokio::test]
async fn a_memory_bomb_ends_with_the_name_of_the_limit() {
    let bomb =
        "-v error -f lavfi -i color=s=8192x4320:r=25 -vf format=yuv444p,thumbnail=n=50 -frames:v 1 -f null -";
    let error =
        output(&ffmpeg(bomb, &[]).with_memory(1 << 30), &Limits::default(), 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ProcessErrorKind::Input, "{error}");
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("more memory than the 1024 MiB"), "{error}");
}

#[tokio::test]
async fn a_file_that_grows_too_long_ends_its_program() {
    let dir = folder();
    let out = dir.path().join("a.wav");
    let call = ffmpeg("-v error -y -f lavfi -i anullsrc -t 3600 -f wav", &[&out]);
    let call = call.writing(&out).with_file_size(8 << 20);
    let error = output(&call, &Limits::default(), 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ProcessErrorKind::Input, "{error}");
    assert!(error.to_string().contains("8 MiB"), "{error}");
    assert!(out.metadata().unwrap().len() <= 8 << 20);
}

#[tokio::test]
async fn a_map_program_cannot_leave_its_process_group() {
    for access in [MapAccess::default(), MapAccess::Open] {
        set_policy(Policy { map: access, ..Policy::default() });
        for call in ["os.setsid()", "os.setpgid(0, 0)"] {
            let line = format!(
                "python3 -c 'import os\npid = os.fork()\npid or {call}\npid and os._exit(os.waitpid(pid, 0)[1] >> 8)'"
            );
            assert_told(&refused(map(line)).await, "Operation not permitted");
        }
    }
    set_policy(Policy::default());
}

#[tokio::test]
async fn calls_that_reach_into_the_system_are_refused() {
    for line in ["unshare --user true", "unshare --net true", "mount -t tmpfs none /mnt"] {
        let error = refused(sh(line)).await;
        let tail = error.stderr_tail().join("\n").to_lowercase();
        assert!(tail.contains("not permitted") || tail.contains("permission denied"), "{line}: {tail}");
    }
    // clone3 is reported as absent, and threads start by clone
    stdout(sh("python3 -c 'import threading; t = threading.Thread(); t.start(); t.join()'")).await;
}

#[tokio::test]
async fn an_inherited_file_is_there_under_its_number() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let memory = nix::sys::memfd::memfd_create("test", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    let mut file = fs::File::from(memory);
    file.write_all(b"in memory").unwrap();
    let file = std::sync::Arc::new(file);
    let own = sh(format!("cat /proc/self/fd/{}", file.as_raw_fd()));
    assert_eq!(stdout(own.clone().inheriting(file.clone())).await, "in memory");
    assert_told(&refused(own).await, "No such file");
    let of_parent = sh(format!("cat /proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    assert_told(&refused(of_parent).await, "Permission denied");
}

/// A program outside of the system's folders, with files beside it.
#[tokio::test]
async fn a_program_of_the_users_own_is_run() {
    let dir = folder();
    let program = |at: PathBuf| {
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, "#!/bin/sh\ncat \"$(dirname \"$0\")\"/../lib/beside\n").unwrap();
        fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        at
    };
    let tool = program(dir.path().join("prefix/bin/tool"));
    fs::create_dir(dir.path().join("prefix/lib")).unwrap();
    fs::write(dir.path().join("prefix/lib/beside"), "library").unwrap();
    assert_eq!(stdout(Invocation::new("test", &tool, Vec::new())).await, "library");
    // a program that another one calls has to be declared
    let call = || sh(tool.display().to_string());
    assert_told(&refused(call()).await, "Permission denied");
    set_policy(Policy { read: vec![dir.path().join("prefix")], ..Policy::default() });
    assert_eq!(stdout(call()).await, "library");
    set_policy(Policy::default());
}
