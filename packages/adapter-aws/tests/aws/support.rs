//! Shared by the tests: jobs and tasks, and a connection to the emulator on which requests fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use segue_adapter_aws::AwsBackend;
use segue_adapter_aws::testing::{Provisioned, emulator, provision_lanes};
use segue_domain::{
    Completion, JobRecord, NewOutput, OutputId, OutputRef, PlanHash, SealedPlan, TaskId, TaskKind,
};
use segue_ports::{Acquired, JobChange, Lane, Lease, LeaseName, Ledger, NewJob};
use segue_ports_testkit::conformance::Capabilities;
use segue_ports_testkit::conformance::links::{Answer, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HOUR: Duration = Duration::from_secs(3600);

/// A job with the outputs `video` and, optional, `quiz`.
pub fn job(id: &str) -> NewJob {
    let output = |id: &str, required| NewOutput {
        id: id.parse().unwrap(),
        kind: id.to_owned(),
        needs: vec![],
        required,
        priority: 0,
        spec: "s".into(),
    };
    NewJob {
        id: id.parse().unwrap(),
        asset: id.parse().unwrap(),
        source_key: format!("input/{id}/source.mp4"),
        recipe: "{}".into(),
        outputs: vec![output("video", true), output("quiz", false)],
        awaiting: None,
    }
}

pub fn video() -> OutputId {
    "video".parse().unwrap()
}

pub fn task(n: u32) -> TaskId {
    TaskId::of(TaskKind::Digest, n)
}

pub fn seal(tasks: u64) -> JobChange {
    let plan = SealedPlan { hash: PlanHash("h".into()), key: "segments/j/1/plan.json".into(), tasks };
    JobChange::Seal(vec![(video(), plan)])
}

/// A new job whose output `video` is sealed with this number of tasks.
pub async fn sealed(ledger: &impl Ledger, id: &str, tasks: u64) -> JobRecord {
    let job = ledger.create_job(job(id)).await.unwrap().job;
    ledger.change(&job.id, seal(tasks), None).await.unwrap().expect("it is sealed")
}

pub async fn acquire(ledger: &impl Ledger, name: &LeaseName) -> Lease {
    match ledger.acquire(name, &"a".parse().unwrap(), HOUR).await.unwrap() {
        Acquired::Held(lease) => lease,
        Acquired::Busy(left) => panic!("{} is busy for {left:?}", name.as_str()),
    }
}

pub async fn acquire_task(ledger: &impl Ledger, output: &OutputRef, n: u32) -> Lease {
    acquire(ledger, &LeaseName::task(&output.job, &output.output, &task(n))).await
}

pub fn completion(output: &OutputRef, n: u32, lease: &Lease, facts: &str) -> Completion {
    Completion {
        version: 1,
        output: output.clone(),
        task: task(n),
        term: lease.term,
        files: vec![],
        facts: facts.into(),
    }
}

/// Clauses that run concurrently: they mostly wait for deadlines of whole seconds.
pub const CLAUSES_AT_ONCE: usize = 6;

/// Limits of the queue for its suite: SQS counts in whole seconds.
pub fn queue_caps() -> Capabilities {
    let exact = emulator().is_ministack();
    Capabilities {
        short: Duration::from_secs(if exact { 2 } else { 3 }),
        // other receivers see within a second that a message is visible again
        settle: Duration::from_millis(if exact { 500 } else { 1500 }),
        tells_void_receipts: exact,
        clauses_at_once: CLAUSES_AT_ONCE,
        ..Capabilities::default()
    }
}

/// An HTTP client without credentials.
pub struct Http;

#[async_trait]
impl Client for Http {
    async fn send(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Answer {
        let (url, headers) = (url.to_owned(), headers.to_vec());
        let sent = tokio::task::spawn_blocking(move || {
            let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
            let mut request = ureq::http::Request::builder().method(method).uri(&url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let mut answer = agent.run(request.body(&body[..]).expect("a request")).expect("an answer");
            let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            };
            let headers = answer.headers().iter().map(header).collect();
            let status = answer.status().as_u16();
            let body = answer.body_mut().read_to_vec().expect("a body").into();
            Answer { status, headers, body }
        });
        sent.await.expect("a client")
    }
}

/// Treatment of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Passed on, with its response.
    None,
    /// Executed, and the response is lost.
    LostAnswer,
    /// Refused as temporarily unavailable.
    Throttled,
    /// A transaction conflict.
    Conflict,
    /// The service responds with this status and this code; without a code, with an empty body.
    Says(u16, &'static str),
    /// Delayed by two seconds.
    Late,
    /// The response breaks off in the middle.
    Torn,
}

/// Decides about a request: its number from 1, and its operation (`PutItem`, `PUT`).
pub type Plan = Box<dyn Fn(u64, &str) -> Fault + Send + Sync>;

#[derive(Default)]
struct Seen {
    requests: u64,
    by_name: BTreeMap<String, u64>,
}

/// A proxy to the emulator; it ends with the runtime of the test.
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

    /// Number of requests of each operation.
    pub fn seen(&self) -> BTreeMap<String, u64> {
        self.seen.lock().unwrap().by_name.clone()
    }

    pub fn count(&self) -> u64 {
        self.seen.lock().unwrap().requests
    }
}

/// A deployment, and a backend that reaches it through such a proxy.
pub async fn over(plan: Plan) -> (Provisioned, AwsBackend, Line) {
    over_lanes(plan, &[]).await
}

/// The same with queues for those lanes as well.
pub async fn over_lanes(plan: Plan, lanes: &[Lane]) -> (Provisioned, AwsBackend, Line) {
    let mut deployment = provision_lanes(emulator().endpoint(), lanes).await;
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

/// One request of one connection. The response closes the connection.
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
    // everything after the first line is unchanged, as it was signed
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

/// The response of the service to a refused request.
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
