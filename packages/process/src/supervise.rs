//! Runs a child to its end: its own process group, no stdin, a bounded tail of its stderr, limits
//! on its time and on silence, and termination of the whole group.

use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::environment;
use crate::error::ProcessError;
use crate::guard::Guard;
use crate::invocation::{Invocation, Profile};
use crate::outcome::{Stop, failure, has_machine_fault, stopped};
use crate::policy::{Policy, policy};
use crate::sandbox::Jail;
use crate::spawner;
use crate::tail::Tail;

type Result<T, E = ProcessError> = std::result::Result<T, E>;

/// Grace periods of a child after SIGINT, then after SIGTERM, then after SIGKILL.
const GRACE: Duration = Duration::from_millis(1500);

/// Limits on time, and the token that cancels the work. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Limit on the wall time of a child.
    pub time: Duration,
    /// Limit on the time without progress.
    pub stall: Duration,
    /// Cancels the work.
    pub cancel: CancellationToken,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            time: Duration::from_secs(24 * 3600),
            stall: Duration::from_secs(300),
            cancel: CancellationToken::new(),
        }
    }
}

/// Whether a piece of output shows that the child makes progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It does: the limit on silence starts again.
    Progress,
    /// It does not.
    Noise,
}

/// Report of a child that succeeded.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// The last lines of stderr.
    pub stderr_tail: Vec<String>,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
}

/// Runs a command to its end and passes every piece of its stdout to `heard`.
///
/// # Errors
/// A program that cannot be started is an environment error. A non-zero exit is an error of the
/// input unless stderr names the machine. A time limit is an environment error that is worth a
/// retry; a limit on memory or file size is an error of the input.
pub async fn run(
    call: &Invocation,
    limits: &Limits,
    mut heard: impl FnMut(&[u8]) -> Heard + Send,
) -> Result<Finished> {
    let started = Instant::now();
    let policy = policy();
    let jail = Jail::prepare(call, limits, &policy)?;
    let applied = jail.applied();
    let guard = match call.profile {
        Profile::Map => {
            Some(Guard::start().map_err(|e| ProcessError::io(format!("{}: cannot start", call.what), &e))?)
        }
        Profile::Media => None,
    };
    let guarded = guard.as_ref().and_then(Guard::group);
    let mut child = start(call, &policy, jail, guarded).await?;
    let group = Group::of(guarded.or(child.id()));
    let mut tail = Tail::default();
    let outcome = tokio::select! {
        outcome = listen(&mut child, limits, &mut tail, &mut heard) => outcome,
        () = limits.cancel.cancelled() => Err(Stop::Cancelled),
        () = tokio::time::sleep(limits.time) => Err(Stop::TimeLimit),
    };
    let stderr_tail = tail.lines();
    match outcome {
        Ok(status) => {
            drop(group);
            // a muxer that could not write its index for lack of space may still exit with 0
            if status.success() && !has_machine_fault(&stderr_tail) {
                let wall_ms = started.elapsed().as_millis() as u64;
                return Ok(Finished { stderr_tail, wall_ms });
            }
            Err(failure(call, applied, status, stderr_tail))
        }
        Err(stop) => {
            end(&mut child, &group).await;
            drop(group);
            Err(stopped(call, limits, stop, stderr_tail))
        }
    }
}

/// Runs a command and returns all of its stdout.
///
/// # Errors
/// As [`run`]; more than `max_bytes` is an error of the input.
pub async fn output(call: &Invocation, limits: &Limits, max_bytes: usize) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut overflow = false;
    run(call, limits, |piece| {
        if kept.len() + piece.len() > max_bytes {
            overflow = true;
        } else {
            kept.extend_from_slice(piece);
        }
        Heard::Progress
    })
    .await?;
    if overflow {
        return Err(ProcessError::input(format!(
            "{}: the answer is longer than {max_bytes} bytes",
            call.what
        )));
    }
    Ok(kept)
}

/// The process groups that run now.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Kills the process groups of all children at once, for a program that exits without waiting.
/// The kernel kills this process's children with it; their descendants are killed here, or by
/// their guard if this process is killed.
pub fn kill_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for pid in running.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
        // the group may have ended already
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Kills the rest of a process group when dropped.
struct Group(Option<u32>);

impl Group {
    fn of(pid: Option<u32>) -> Group {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).extend(pid);
        Group(pid)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0.and_then(|p| i32::try_from(p).ok()) {
            // the group may have ended already
            let _ = killpg(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        if let Some(pid) = self.0 {
            RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
        }
    }
}

/// Starts a command in a process group of its own, or in that of its guard.
async fn start(call: &Invocation, policy: &Policy, jail: Jail, group: Option<u32>) -> Result<Child> {
    let mut command = Command::new(&call.program);
    command
        .args(&call.args)
        .env_clear()
        .envs(environment::of(call, policy, environment::ours()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(group.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0))
        .kill_on_drop(true);
    if let Some(dir) = &call.dir {
        command.current_dir(dir);
    }
    let has_file_rules = jail.has_file_rules();
    tracing::debug!(what = call.what, program = ?call.program, args = ?call.args, "starting");
    spawner::spawn(command, jail).await.map_err(|e| {
        let program = call.program.display();
        match e.kind() {
            std::io::ErrorKind::NotFound => ProcessError::setup(format!(
                "{}: the program {program} is not there; install it or correct its name",
                call.what
            )),
            std::io::ErrorKind::PermissionDenied if has_file_rules => ProcessError::setup(format!(
                "{}: cannot start {program}: permission denied; check its mode, and name its folder in \
                 SEGUE_SANDBOX_READ if it lies in none of the system's folders",
                call.what
            )),
            _ => ProcessError::io(format!("{}: cannot start {program}", call.what), &e),
        }
    })
}

async fn listen(
    child: &mut Child,
    limits: &Limits,
    tail: &mut Tail,
    heard: &mut (impl FnMut(&[u8]) -> Heard + Send),
) -> Result<ExitStatus, Stop> {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut out_buf = vec![0u8; 64 << 10];
    let mut err_buf = vec![0u8; 8 << 10];
    let mut heard_at = tokio::time::Instant::now();
    let mut status = None;
    while status.is_none() || out.is_some() || err.is_some() {
        // a grandchild may keep the pipes open after the child has ended
        let patience = if status.is_some() { GRACE } else { limits.stall };
        tokio::select! {
            n = read(&mut out, &mut out_buf) => match n.map_err(Stop::Io)? {
                0 => out = None,
                n => if heard(&out_buf[..n]) == Heard::Progress {
                    heard_at = tokio::time::Instant::now();
                },
            },
            n = read(&mut err, &mut err_buf) => match n.map_err(Stop::Io)? {
                0 => err = None,
                n => tail.push(&err_buf[..n]),
            },
            ended = child.wait(), if status.is_none() => {
                status = Some(ended.map_err(Stop::Io)?);
                heard_at = tokio::time::Instant::now();
            }
            () = tokio::time::sleep_until(heard_at + patience) => match status {
                Some(status) => return Ok(status),
                None => return Err(Stop::Stalled),
            },
        }
    }
    status.ok_or(Stop::Stalled)
}

async fn read<R: AsyncReadExt + Unpin>(from: &mut Option<R>, buf: &mut [u8]) -> std::io::Result<usize> {
    match from {
        Some(reader) => reader.read(buf).await,
        None => std::future::pending().await,
    }
}

/// Sends SIGINT, SIGTERM and SIGKILL to the group until the child has ended.
async fn end(child: &mut Child, group: &Group) {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        group.signal(signal);
        if tokio::time::timeout(GRACE, child.wait()).await.is_ok() {
            return;
        }
    }
}
