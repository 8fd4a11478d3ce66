//! MiniStack as a child of the test: on loopback, on a free port, gone with us.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How long it may take until it answers.
const START: Duration = Duration::from_secs(60);

/// Asks the kernel to be killed when the thread that started it is gone, then is MiniStack.
const PROGRAM: &str = "import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): sys.exit('the test is gone')
sys.argv = ['ministack']
runpy.run_module('ministack', run_name='__main__')
";

/// An emulator that answers.
#[derive(Debug)]
pub struct Emulator {
    endpoint: String,
    /// Dropping it ends the thread that holds the child.
    hold: Option<Mutex<mpsc::Sender<()>>>,
}

impl Emulator {
    /// Where it answers, e.g. `http://127.0.0.1:40001`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether it is a MiniStack that we started. It knows that a receipt is void, where SQS
    /// says yes to any; it completes one upload of many to one key, where LocalStack looks
    /// and then writes; and it counts messages that are hidden to the moment.
    pub fn is_ministack(&self) -> bool {
        self.hold.is_some()
    }

    /// Starts a MiniStack of its own, which ends when this is dropped or the process dies.
    ///
    /// # Panics
    /// When there is none on this machine or it does not answer within a minute.
    pub fn start() -> Emulator {
        let python = python();
        assert!(
            python.is_file(),
            "{} is not there: run scripts/setup --test, or let SEGUE_TEST_MINISTACK name a Python \
             that has MiniStack",
            python.display()
        );
        let port = free_port();
        let (hold, held) = mpsc::channel::<()>();
        let (started, child) = mpsc::channel();
        // the kernel means this thread when it looks for the parent
        std::thread::spawn(move || {
            let mut child = match spawn(&python, port) {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            let log = child.stderr.take().map(keep_tail);
            let _ = started.send(Ok(log));
            // an error is what comes when the other end is dropped
            let _ = held.recv();
            let _ = child.kill();
            let _ = child.wait();
        });
        let log = child.recv().expect("the thread answers").expect("MiniStack starts");
        let endpoint = format!("http://127.0.0.1:{port}");
        let deadline = Instant::now() + START;
        while !answers(port) {
            if Instant::now() > deadline {
                let log = log.map(|log| log.lock().unwrap_or_else(PoisonError::into_inner).clone());
                let log = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
                panic!("MiniStack does not answer on port {port} after {START:?}:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Emulator { endpoint, hold: Some(Mutex::new(hold)) }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.hold.take());
    }
}

/// The emulator of this process: started by the first test that asks.
///
/// # Panics
/// As [`Emulator::start`].
pub fn emulator() -> &'static Emulator {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    EMULATOR.get_or_init(|| match std::env::var("SEGUE_TEST_AWS_ENDPOINT") {
        Ok(endpoint) if !endpoint.is_empty() => Emulator { endpoint, hold: None },
        _ => Emulator::start(),
    })
}

fn python() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    std::env::var_os("SEGUE_TEST_MINISTACK").map_or_else(beside, PathBuf::from)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn spawn(python: &Path, port: u16) -> std::io::Result<Child> {
    Command::new(python)
        .args(["-c", PROGRAM, &std::process::id().to_string()])
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("SERVICES", "s3,sqs,dynamodb,sts")
        .env("LOG_LEVEL", "WARNING")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Reads what a program says until it ends, and keeps the last of it.
fn keep_tail(mut from: impl Read + Send + 'static) -> std::sync::Arc<Mutex<Vec<u8>>> {
    const TAIL: usize = 8 * 1024;
    let kept = std::sync::Arc::new(Mutex::new(Vec::new()));
    let tail = std::sync::Arc::clone(&kept);
    std::thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut block) {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend_from_slice(&block[..read]);
            let over = tail.len().saturating_sub(TAIL);
            tail.drain(..over);
        }
    });
    kept
}

fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /_ministack/health HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head[9..] == b"200")
    };
    ask().unwrap_or(false)
}
