//! Children under supervision: their own process group, no stdin, a bounded memory of what
//! they said, limits on how long they may run and be silent, and an end that reaches the
//! whole group.

mod guard;
mod spawner;
mod tail;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::error::{MediaError, MediaErrorKind, Result};

use guard::Guard;
pub use tail::Tail;

/// How long a child may take to end after each, sterner, request.
const GRACE: Duration = Duration::from_millis(1500);

/// Limits and the way to call the work off; cheap to clone.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest a child may run.
    pub time: Duration,
    /// The longest it may go without progress.
    pub stall: Duration,
    /// Calls the work off.
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

/// One command: what it is for, and the line that does it.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What is being done, for the error message ("joining the parts").
    pub what: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables to add.
    pub envs: Vec<(String, OsString)>,
    /// Folder to run in.
    pub dir: Option<PathBuf>,
    /// Whether it may start programs of its own, which must end with us as well.
    pub has_children: bool,
}

impl Invocation {
    /// A command without further environment.
    pub fn new(what: impl Into<String>, program: impl Into<PathBuf>, args: Vec<OsString>) -> Self {
        let (what, program) = (what.into(), program.into());
        Invocation { what, program, args, envs: Vec::new(), dir: None, has_children: false }
    }

    /// The same for a program that keeps lists of all packets: glibc puts what grows into blocks
    /// of their own, instead of into a heap that keeps the room of every smaller one
    /// (`M_MMAP_THRESHOLD`, mallopt(3)). Not for what takes and gives large frames all the time.
    pub fn with_growing_lists(mut self) -> Self {
        self.envs.push(("MALLOC_MMAP_THRESHOLD_".to_owned(), "131072".into()));
        self
    }
}

/// Whether a piece of output shows that the child gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It does.
    Progress,
    /// It only talks.
    Noise,
}

/// What a child left behind.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// The last lines of stderr.
    pub stderr_tail: Vec<String>,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
}

/// Runs a command to its end and gives every piece of its stdout to `heard`.
///
/// # Errors
/// A program that cannot be started is an environment error; a non-zero exit is an error of
/// the source unless what was said names the machine; a limit that ran out is retryable.
pub async fn run(
    call: &Invocation,
    limits: &Limits,
    mut heard: impl FnMut(&[u8]) -> Heard + Send,
) -> Result<Finished> {
    let started = Instant::now();
    let guard = match call.has_children {
        true => Some(Guard::start().map_err(|e| MediaError::io(format!("{}: cannot start", call.what), &e))?),
        false => None,
    };
    let guarded = guard.as_ref().and_then(Guard::group);
    let mut child = start(call, guarded).await?;
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
            // a muxer that could not write its index for want of space may still end with 0
            if status.success() && machine_fault(&stderr_tail).is_none() {
                let wall_ms = started.elapsed().as_millis() as u64;
                return Ok(Finished { stderr_tail, wall_ms });
            }
            Err(failure(call, status, stderr_tail))
        }
        Err(stop) => {
            end(&mut child, &group).await;
            drop(group);
            Err(stopped(call, limits, stop, stderr_tail))
        }
    }
}

/// Runs a command and keeps all of its stdout, at most `max_bytes`.
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
        return Err(MediaError::source(format!(
            "{}: the answer is longer than {max_bytes} bytes",
            call.what
        )));
    }
    Ok(kept)
}

enum Stop {
    Cancelled,
    TimeLimit,
    Stalled,
    Io(std::io::Error),
}

/// The groups that run now.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Kills every group of this process at once, for a program that ends without waiting.
/// The kernel ends our children with us; the programs that they started are ended here, or by
/// the guard where somebody kills us.
pub fn kill_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for pid in running.iter().filter_map(|pid| i32::try_from(*pid).ok()) {
        // the group may be gone already
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Kills what is left of a process group when dropped.
struct Group(Option<u32>);

impl Group {
    fn of(pid: Option<u32>) -> Group {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).extend(pid);
        Group(pid)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0.and_then(|p| i32::try_from(p).ok()) {
            // the group may be gone already
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
async fn start(call: &Invocation, group: Option<u32>) -> Result<Child> {
    let mut command = Command::new(&call.program);
    command
        .args(&call.args)
        .envs(call.envs.iter().map(|(k, v)| (k, v)))
        .env("AV_LOG_FORCE_NOCOLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(group.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0))
        .kill_on_drop(true);
    if let Some(dir) = &call.dir {
        command.current_dir(dir);
    }
    tracing::debug!(what = call.what, program = ?call.program, args = ?call.args, "starting");
    spawner::spawn(command).await.map_err(|e| {
        let program = call.program.display();
        match e.kind() {
            std::io::ErrorKind::NotFound => MediaError::environment(format!(
                "{}: the program {program} is not there; install it or correct its name",
                call.what
            ))
            .retry(false),
            _ => MediaError::io(format!("{}: cannot start {program}", call.what), &e),
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
        // a grandchild may hold the pipes open after the child is gone
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

/// Asks, then insists, then kills, and waits until the child is gone.
async fn end(child: &mut Child, group: &Group) {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        group.signal(signal);
        if tokio::time::timeout(GRACE, child.wait()).await.is_ok() {
            return;
        }
    }
}

/// What ffmpeg says without memory, and what to do then.
const NO_MEMORY: (&str, &str) = ("Cannot allocate memory", "use fewer workers or threads and run again");

/// What the machine was short of, by what a program said, and what to do.
fn machine_fault(tail: &[String]) -> Option<(&'static str, &'static str)> {
    let says = |what: &str| tail.iter().any(|line| line.contains(what));
    [
        ("No space left on device", "free some space and run again"),
        ("Disk quota exceeded", "free some space and run again"),
        NO_MEMORY,
        ("error while loading shared libraries", "allow it more memory, or install the program again"),
        ("Read-only file system", "choose a place that can be written to"),
    ]
    .into_iter()
    .find(|(said, _)| says(said))
    // x264 and x265 say it so; ffmpeg then says only that a frame could not be submitted. A
    // thread without room for its stack is refused with the words of a call that would block
    .or_else(|| {
        ["malloc of size", "pthread_create failed", "std::bad_alloc"]
            .into_iter()
            .any(says)
            .then_some(NO_MEMORY)
    })
}

/// Whether somebody else ended the program. A crash of its own is the source's matter: what
/// crashes a decoder once does so again.
fn was_killed(status: ExitStatus) -> bool {
    let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
    matches!(signal, Some(Signal::SIGKILL | Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP))
}

fn failure(call: &Invocation, status: ExitStatus, tail: Vec<String>) -> MediaError {
    let said = tail.last().cloned().unwrap_or_default();
    let machine = machine_fault(&tail);
    let error = match machine {
        Some((cause, next)) => MediaError::environment(format!("{}: {cause}; {next}", call.what)),
        None if was_killed(status) => MediaError::environment(format!(
            "{}: killed from outside ({status}); if memory is short, use fewer workers or threads",
            call.what
        )),
        None if said.is_empty() => MediaError::source(format!("{}: {status}", call.what)),
        None => MediaError::source(format!("{}: {said} ({status})", call.what)),
    };
    error.with_tail(tail)
}

fn stopped(call: &Invocation, limits: &Limits, stop: Stop, tail: Vec<String>) -> MediaError {
    let what = &call.what;
    let error = match stop {
        Stop::Cancelled => MediaError::new(MediaErrorKind::Cancelled, format!("{what}: cancelled")),
        Stop::TimeLimit => MediaError::environment(format!(
            "{what}: stopped at the time limit of {} s; raise the limit or use shorter segments",
            limits.time.as_secs()
        )),
        Stop::Stalled => MediaError::environment(format!(
            "{what}: stopped after {} s without progress",
            limits.stall.as_secs()
        )),
        Stop::Io(e) => MediaError::io(what, &e),
    };
    error.with_tail(tail)
}
