//! A line between the adapter and the emulator on which things go wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use segue_adapter_aws::AwsBackend;
use segue_adapter_aws::testing::{Provisioned, emulator, provision};
use segue_ports::conformance::Capabilities;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Clauses that run concurrently: they mostly wait for deadlines of whole seconds.
pub const CLAUSES_AT_ONCE: usize = 6;

/// What the suite of the queue has to know: SQS counts in whole seconds.
pub fn queue_caps() -> Capabilities {
    let exact = emulator().is_ministack();
    Capabilities {
        short: Duration::from_secs(if exact { 2 } else { 3 }),
        // another one notices within a second that a message is visible again
        settle: Duration::from_millis(if exact { 500 } else { 1500 }),
        tells_void_receipts: exact,
        clauses_at_once: CLAUSES_AT_ONCE,
        ..Capabilities::default()
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It gets through, and so does its answer.
    None,
    /// It is done, and nobody hears of it.
    LostAnswer,
    /// The service does not take it just now.
    Throttled,
    /// A transaction meets another one.
    Conflict,
    /// The service answers with this status and this code; without a code, with no words.
    Says(u16, &'static str),
    /// It takes two seconds until it gets through.
    Late,
    /// The answer breaks off in the middle.
    Torn,
}

/// Decides about a request: its number from 1, and what it asks for (`PutItem`, `PUT`).
pub type Plan = Box<dyn Fn(u64, &str) -> Fault + Send + Sync>;

#[derive(Default)]
struct Seen {
    requests: u64,
    by_name: BTreeMap<String, u64>,
}

/// A line to the emulator; it ends with the runtime of the test.
#[derive(Clone)]
pub struct Line {
    endpoint: String,
    seen: Arc<Mutex<Seen>>,
}

impl Line {
    pub async fn to(endpoint: &str, plan: Plan) -> Line {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let target = endpoint.trim_start_matches("http://").to_owned();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let line = Line { endpoint: format!("http://{address}"), seen: Arc::clone(&seen) };
        let plan = Arc::new(plan);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, seen, plan) = (target.clone(), Arc::clone(&seen), Arc::clone(&plan));
                tokio::spawn(async move { carry(client, &target, &seen, &plan).await });
            }
        });
        line
    }

    /// How often each thing was asked for.
    pub fn seen(&self) -> BTreeMap<String, u64> {
        self.seen.lock().unwrap().by_name.clone()
    }

    pub fn count(&self) -> u64 {
        self.seen.lock().unwrap().requests
    }
}

/// A deployment, and a backend that reaches it over such a line.
pub async fn over(plan: Plan) -> (Provisioned, AwsBackend, Line) {
    let mut deployment = provision(emulator().endpoint()).await;
    let line = Line::to(emulator().endpoint(), plan).await;
    let direct = deployment.clone();
    deployment.settings.endpoint_url = Some(line.endpoint.clone());
    let backend = deployment.connect().await;
    (direct, backend, line)
}

fn name_of(head: &str) -> String {
    let target = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-amz-target").then(|| value.trim().to_owned())
    });
    match target {
        Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        None => head.split(' ').next().unwrap_or_default().to_owned(),
    }
}

fn length_of(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.unwrap_or(0)
}

/// One request of one connection. The answer says that the connection ends with it.
async fn carry(mut client: TcpStream, target: &str, seen: &Mutex<Seen>, plan: &Plan) -> Option<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(at) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    if head.to_ascii_lowercase().contains("expect: 100-continue") {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    while request.len() < end + length_of(&head) {
        if client.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let name = name_of(&head);
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.requests += 1;
        *seen.by_name.entry(name.clone()).or_default() += 1;
        seen.requests
    };
    let fault = plan(number, &name);
    if let Some(answer) = refusal(fault, &head) {
        return client.write_all(answer.as_bytes()).await.ok();
    }
    if fault == Fault::Late {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mut server = TcpStream::connect(target).await.ok()?;
    // what follows the first line stays as it was signed
    let (first, rest) = head.split_once("\r\n")?;
    server.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes()).await.ok()?;
    server.write_all(&request[end..]).await.ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.ok()?;
    match fault {
        Fault::LostAnswer => None,
        Fault::Torn => client.write_all(&answer[..answer.len() - answer.len() / 4]).await.ok(),
        _ => client.write_all(&answer).await.ok(),
    }
}

/// What the service says instead of doing it.
fn refusal(fault: Fault, head: &str) -> Option<String> {
    const CONFLICT: &str = r#","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}]"#;
    let json = head.to_ascii_lowercase().contains("x-amz-target");
    let (status, code, more) = match fault {
        Fault::Throttled if json => (400, "ProvisionedThroughputExceededException", ""),
        Fault::Throttled => (503, "SlowDown", ""),
        Fault::Conflict => (400, "TransactionCanceledException", CONFLICT),
        Fault::Says(status, code) => (status, code, ""),
        Fault::None | Fault::LostAnswer | Fault::Late | Fault::Torn => return None,
    };
    let body = match (code, json) {
        ("", _) => String::new(),
        (_, true) => format!(r#"{{"__type":"service#{code}","message":"no"{more}}}"#),
        (_, false) => format!("<Error><Code>{code}</Code><Message>no</Message></Error>"),
    };
    let kind = if json { "application/x-amz-json-1.0" } else { "application/xml" };
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status} No\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}
