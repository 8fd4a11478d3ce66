//! A child process that is killed with the test, and that a test can stop and restart.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Asks the kernel to kill it when the thread that started it ends, then executes the module.
const BOOT: &str = "import ctypes, os, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): sys.exit('the test is gone')
module = sys.argv[2]
sys.argv = [module]
runpy.run_module(module, run_name='__main__')
";

/// A Python module that serves on loopback.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub python: PathBuf,
    pub module: &'static str,
    pub environment: Vec<(&'static str, OsString)>,
    pub port: u16,
    /// A path that responds with 200 when the module is ready.
    pub health: &'static str,
    /// Timeout until it is ready.
    pub patience: Duration,
}

enum Order {
    Start(mpsc::Sender<std::io::Result<i32>>),
    /// Ends it by this signal; responds when it has ended.
    End(Signal, mpsc::Sender<()>),
}

type Log = Arc<Mutex<Vec<u8>>>;

/// The program, running or stopped.
#[derive(Debug)]
pub(super) struct Child {
    program: Program,
    orders: Mutex<mpsc::Sender<Order>>,
    /// 0 while it is stopped.
    pid: AtomicI32,
    log: Log,
}

impl Child {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub(super) fn start(program: Program) -> Child {
        let (orders, given) = mpsc::channel();
        let log = Log::default();
        // the kernel refers to this thread as the parent
        std::thread::spawn({
            let (program, log) = (program.clone(), Arc::clone(&log));
            move || obey(&program, &given, &log)
        });
        let child = Child { program, orders: Mutex::new(orders), pid: AtomicI32::new(0), log };
        child.start_again();
        child
    }

    /// Starts it again, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub(super) fn start_again(&self) {
        let (said, answer) = mpsc::channel();
        self.order(Order::Start(said));
        let module = self.program.module;
        let pid = answer.recv().expect("the thread answers");
        self.pid.store(pid.unwrap_or_else(|error| panic!("{module}: {error}")), Ordering::SeqCst);
        let deadline = Instant::now() + self.program.patience;
        while !self.answers() {
            assert!(
                Instant::now() < deadline,
                "{module} does not answer on {}:\n{}",
                self.program.port,
                self.words()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it by a signal and waits until it has ended.
    pub(super) fn end(&self, signal: Signal) {
        let (said, answer) = mpsc::channel();
        self.order(Order::End(signal, said));
        let _ = answer.recv();
        self.pid.store(0, Ordering::SeqCst);
    }

    /// Stops (SIGSTOP) or continues it.
    ///
    /// # Panics
    /// When it is not running.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.pid.load(Ordering::SeqCst);
        assert!(pid != 0, "{} does not run", self.program.module);
        kill(Pid::from_raw(pid), signal).expect("a child can be signalled");
    }

    fn order(&self, order: Order) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.send(order).expect("the thread listens");
    }

    fn answers(&self) -> bool {
        let Program { port, health, .. } = self.program;
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            write!(stream, "GET {health} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            Ok(&head[9..] == b"200")
        };
        ask().unwrap_or(false)
    }

    fn words(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
    }
}

/// Owns the child until the sender of orders is dropped.
fn obey(program: &Program, orders: &mpsc::Receiver<Order>, log: &Log) {
    let mut child: Option<std::process::Child> = None;
    while let Ok(order) = orders.recv() {
        match order {
            Order::Start(said) => {
                let started = spawn(program).map(|mut started| {
                    if let Some(from) = started.stderr.take() {
                        keep_tail(from, Arc::clone(log));
                    }
                    child.insert(started).id() as i32
                });
                let _ = said.send(started);
            }
            Order::End(signal, said) => {
                if let Some(mut child) = child.take() {
                    let _ = kill(Pid::from_raw(child.id() as i32), signal);
                    let _ = child.wait();
                }
                let _ = said.send(());
            }
        }
    }
}

fn spawn(program: &Program) -> std::io::Result<std::process::Child> {
    Command::new(&program.python)
        .args(["-c", BOOT, &std::process::id().to_string(), program.module])
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Reads a program's output until it ends, and keeps the end of it.
fn keep_tail(mut from: impl Read + Send + 'static, log: Log) {
    const TAIL: usize = 8 * 1024;
    std::thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut block) {
            let mut tail = log.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend_from_slice(&block[..read]);
            let over = tail.len().saturating_sub(TAIL);
            tail.drain(..over);
        }
    });
}
