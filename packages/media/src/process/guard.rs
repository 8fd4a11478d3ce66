//! Ends a user's program with everything that it started when we are killed.
//!
//! The kernel ends our own children with us (see `spawner`), and not theirs. So a shell of a
//! few lines waits at a pipe that we alone can write to: it is told of each such program by
//! that program's process itself before it becomes the program, and again when its group
//! is gone. When we are no more the pipe ends, and the shell kills the groups that are left.

use std::io::{self, PipeReader, PipeWriter, Write, pipe};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::process::Command;

/// `$0` of the shell, as a process list shows it.
const NAME: &str = "segue-guard";

const SCRIPT: &str = r#"trap '' HUP INT TERM QUIT
groups=
while read -r what group; do
    case $what in
        +) groups="$groups $group" ;;
        -)
            kept=
            for one in $groups; do
                [ "$one" = "$group" ] || kept="$kept $one"
            done
            groups=$kept
            ;;
    esac
done
for one in $groups; do
    kill -9 "-$one" 2>/dev/null
done"#;

struct Guard {
    orders: PipeWriter,
    /// So that writing is never met by a pipe without a reader.
    _orders: PipeReader,
}

static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

/// Lets `command`, which gets a process group of its own, be ended with its whole group when
/// we are killed. [`release`] it when the group is gone.
///
/// # Errors
/// The shell cannot be started.
pub(super) fn watch(command: &mut Command) -> io::Result<()> {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    let guard = match &mut *guard {
        Some(guard) => guard,
        none => none.insert(start()?),
    };
    // the child has this descriptor until it becomes the program
    let mut orders = guard.orders.try_clone()?;
    #[expect(unsafe_code, reason = "runs between fork and exec; writes a few bytes from its stack to a pipe")]
    unsafe {
        command.pre_exec(move || write_order(&mut orders, '+', std::process::id()));
    }
    Ok(())
}

/// The group of that process is gone.
pub(super) fn release(pid: u32) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(guard) = &mut *guard {
        // a guard that does not read any more cannot be helped
        let _ = write_order(&mut guard.orders, '-', pid);
    }
}

/// One line in one piece, without asking for memory.
fn write_order(orders: &mut PipeWriter, what: char, pid: u32) -> io::Result<()> {
    let mut line = [0; 16];
    let mut rest = &mut line[..];
    writeln!(rest, "{what} {pid}")?;
    let left = rest.len();
    orders.write_all(&line[..line.len() - left])
}

fn start() -> io::Result<Guard> {
    let (reader, orders) = pipe()?;
    let flags = OFlag::from_bits_truncate(fcntl(&orders, FcntlArg::F_GETFL)?);
    fcntl(&orders, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    std::process::Command::new("sh")
        .args(["-c", SCRIPT, NAME])
        .stdin(reader.try_clone()?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()?;
    Ok(Guard { orders, _orders: reader })
}
