//! MiniStack or LocalStack as a child of the test: on loopback, on a free port, killed with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::child::{Child, Program};

/// Kind of emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `SEGUE_TEST_MINISTACK` names a Python interpreter with MiniStack.
    MiniStack,
    /// `SEGUE_TEST_LOCALSTACK` names the folder that scripts/localstack fills.
    LocalStack,
}

impl Kind {
    /// Its name, as in `SEGUE_TEST_EMULATOR`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::MiniStack => "ministack",
            Kind::LocalStack => "localstack",
        }
    }
}

/// A running emulator.
#[derive(Debug)]
pub struct Emulator {
    endpoint: String,
    kind: Option<Kind>,
    child: Option<Child>,
    /// Folder of its persistent state.
    state: Option<TempDir>,
    /// Its working folder.
    _scratch: Option<TempDir>,
}

impl Emulator {
    /// Its endpoint, e.g. `http://127.0.0.1:40001`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether it is known to be a MiniStack. It refuses a void receipt, where SQS accepts any;
    /// it completes one of several concurrent uploads to a key, where LocalStack checks and then writes; and
    /// its count of hidden messages is always exact.
    pub fn is_ministack(&self) -> bool {
        self.kind == Some(Kind::MiniStack)
    }

    /// Starts a new one, which ends when this is dropped or the process dies.
    ///
    /// # Panics
    /// When none is installed, or it does not become ready within some minutes, or
    /// LocalStack would be reachable from outside this machine.
    pub fn start(kind: Kind) -> Emulator {
        match kind {
            Kind::MiniStack => Emulator::ministack(free_port(), None),
            Kind::LocalStack => Emulator::localstack(),
        }
    }

    /// Starts a MiniStack with persistent state that can be stopped and restarted.
    ///
    /// # Panics
    /// As [`Emulator::start`].
    pub fn lasting() -> Emulator {
        Emulator::ministack(lasting_port(), Some(TempDir::new().expect("a folder")))
    }

    fn ministack(port: u16, state: Option<TempDir>) -> Emulator {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
        let python = std::env::var_os("SEGUE_TEST_MINISTACK").map_or_else(beside, PathBuf::from);
        assert!(
            python.is_file(),
            "{} is not there: run scripts/setup --test, or let SEGUE_TEST_MINISTACK name a Python \
             that has MiniStack",
            python.display()
        );
        let mut environment = vec![
            ("BIND_HOST", "127.0.0.1".into()),
            ("GATEWAY_PORT", port.to_string().into()),
            ("MINISTACK_HOST", "127.0.0.1".into()),
            ("SERVICES", "s3,sqs,dynamodb,sts".into()),
            ("LOG_LEVEL", "WARNING".into()),
        ];
        if let Some(dir) = &state {
            environment.extend([
                ("PERSIST_STATE", "1".into()),
                ("STATE_DIR", dir.path().join("state").into()),
                ("S3_PERSIST", "1".into()),
                ("S3_DATA_DIR", dir.path().join("s3").into()),
            ]);
        }
        let program = Program {
            python,
            module: "ministack",
            environment,
            port,
            health: "/_ministack/health",
            patience: Duration::from_secs(180),
        };
        Emulator {
            endpoint: format!("http://127.0.0.1:{port}"),
            kind: Some(Kind::MiniStack),
            child: Some(Child::start(program)),
            state,
            _scratch: None,
        }
    }

    fn localstack() -> Emulator {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools");
        let tools = std::env::var_os("SEGUE_TEST_LOCALSTACK").map_or_else(beside, PathBuf::from);
        let python = tools.join("localstack/bin/python");
        assert!(
            python.is_file(),
            "{} is not there: run scripts/localstack, or let SEGUE_TEST_LOCALSTACK name the folder \
             that it filled",
            python.display()
        );
        assert!(is_alone(), "LocalStack listens on every address: give it a network of its own");
        let scratch = TempDir::new().expect("a folder");
        let root = scratch.path().join("root");
        copy(&tools.join("localstack-lib"), &root.join("var/lib/localstack/lib")).expect("its libraries");
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let program = Program {
            python,
            module: "localstack.runtime.main",
            environment: vec![
                ("TMPDIR", scratch.path().into()),
                ("FILESYSTEM_ROOT", root.into()),
                ("SQS_ENDPOINT_STRATEGY", "off".into()),
                ("OVERRIDE_IN_DOCKER", "0".into()),
                ("SERVICES", "s3,sqs,dynamodb,sts".into()),
                ("DISABLE_EVENTS", "1".into()),
                ("SKIP_SSL_CERT_DOWNLOAD", "1".into()),
                ("GATEWAY_LISTEN", address.clone().into()),
                ("LOCALSTACK_HOST", address.clone().into()),
            ],
            port,
            health: "/_localstack/health",
            patience: Duration::from_secs(300),
        };
        Emulator {
            endpoint: format!("http://{address}"),
            kind: Some(Kind::LocalStack),
            child: Some(Child::start(program)),
            state: None,
            _scratch: Some(scratch),
        }
    }

    /// Ends its process, after it wrote its state. Calls are refused meanwhile.
    ///
    /// # Panics
    /// For one that is not [lasting](Emulator::lasting).
    pub fn stop(&self) {
        assert!(self.state.is_some(), "it would forget everything");
        self.child().end(Signal::SIGTERM);
    }

    /// Starts it again after [`Emulator::stop`], at the same address, and waits until it is ready.
    ///
    /// # Panics
    /// As [`Emulator::start`].
    pub fn start_again(&self) {
        self.child().start_again();
    }

    /// Stops its process (SIGSTOP): calls are neither answered nor refused.
    ///
    /// # Panics
    /// For one that this process did not start.
    pub fn freeze(&self) {
        self.child().signal(Signal::SIGSTOP);
    }

    /// Continues it after [`Emulator::freeze`]; pending calls are then answered.
    ///
    /// # Panics
    /// For one that this process did not start.
    pub fn thaw(&self) {
        self.child().signal(Signal::SIGCONT);
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("an emulator that this process did not start cannot be stopped")
    }
}

/// The emulator of this process: the one that `SEGUE_TEST_AWS_ENDPOINT` names, which several
/// processes may share, else one that the first caller starts. `SEGUE_TEST_EMULATOR` sets the
/// kind of either.
///
/// # Panics
/// As [`Emulator::start`], and when `SEGUE_TEST_EMULATOR` names none.
pub fn emulator() -> &'static Emulator {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    EMULATOR.get_or_init(|| {
        let kind = named("SEGUE_TEST_EMULATOR").map(|name| {
            let known = [Kind::MiniStack, Kind::LocalStack].into_iter().find(|kind| kind.name() == name);
            known.unwrap_or_else(|| panic!("SEGUE_TEST_EMULATOR: there is no {name}"))
        });
        match named("SEGUE_TEST_AWS_ENDPOINT") {
            Some(endpoint) => Emulator { endpoint, kind, child: None, state: None, _scratch: None },
            None => Emulator::start(kind.unwrap_or(Kind::MiniStack)),
        }
    })
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A port that is not assigned to outgoing connections while it has no listener.
fn lasting_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux");
    let first: u16 = range.split_whitespace().next().and_then(|first| first.parse().ok()).expect("a port");
    let (low, chance) = (first / 2, uuid::Uuid::new_v4().as_u128());
    (0..100u128)
        .map(|step| low + ((chance + step) % u128::from(first - low)) as u16)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Whether this process's network namespace has only loopback.
fn is_alone() -> bool {
    let devices = std::fs::read_to_string("/proc/self/net/dev").expect("Linux");
    devices.lines().skip(2).all(|line| line.trim_start().starts_with("lo:"))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
