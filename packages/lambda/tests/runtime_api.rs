//! The function under a fake Lambda runtime API, on an emulator: MiniStack, or that of
//! `SEGUE_TEST_AWS_ENDPOINT`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use segue_adapter_aws::testing::{emulator, provision};
use segue_domain::JobState;
use segue_ports::{JobLedger, Lane, WorkQueue};
use serde_json::{Value, json};

/// Timeout of one call.
const CALL: Duration = Duration::from_secs(60);

/// The fake service: sends events one by one and receives the answers.
struct Service {
    events: mpsc::Sender<Value>,
    answers: mpsc::Receiver<(String, Value)>,
    child: Child,
}

impl Service {
    fn start(environment: &[(&'static str, String)]) -> Service {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (events, queued) = mpsc::channel();
        let (answered, answers) = mpsc::channel();
        std::thread::spawn(move || serve(&listener, &queued, &answered));
        let child = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.to_string().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "segue-ingest"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        Service { events, answers, child }
    }

    /// The answer to an event: `response` or `error`, and its body.
    fn call(&self, event: Value) -> (String, Value) {
        self.events.send(event).expect("the service is there");
        self.answers.recv_timeout(CALL).expect("the function answers")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(listener: &TcpListener, events: &mpsc::Receiver<Value>, answered: &mpsc::Sender<(String, Value)>) {
    let mut number = 0;
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        let mut stream = BufReader::new(stream);
        while let Some((path, body)) = request(&mut stream) {
            if path.ends_with("/invocation/next") {
                let Ok(event) = events.recv() else { return };
                number += 1;
                let deadline_ms = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map(|now| now.as_millis() + CALL.as_millis())
                    .expect("a clock");
                let headers = [
                    ("Lambda-Runtime-Aws-Request-Id", format!("call-{number}")),
                    ("Lambda-Runtime-Deadline-Ms", deadline_ms.to_string()),
                    (
                        "Lambda-Runtime-Invoked-Function-Arn",
                        "arn:aws:lambda:us-east-1:000000000000:function:segue-ingest".to_owned(),
                    ),
                ];
                respond(stream.get_mut(), "200 OK", &headers, &event.to_string());
            } else {
                // …/invocation/call-1/response, …/invocation/call-1/error, …/init/error
                let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                respond(stream.get_mut(), "202 Accepted", &[], "{}");
                if answered.send((kind, body)).is_err() {
                    return;
                }
            }
        }
    }
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    if stream.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let body = match headers.get("content-length") {
        Some(length) => {
            let mut body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut body).ok()?;
            body
        }
        None if headers.contains_key("transfer-encoding") => chunks(stream)?,
        None => Vec::new(),
    };
    Some((path, body))
}

fn chunks(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

fn respond(stream: &mut TcpStream, status: &str, headers: &[(&str, String)], body: &str) {
    let mut text =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes());
}

fn notice(bucket: &str, key: &str) -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-01-02T03:04:05.678Z", "eventName": "ObjectCreated:CompleteMultipartUpload",
        "userIdentity": { "principalId": "AIDA" }, "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": {},
        "s3": { "bucket": { "name": bucket }, "object": { "key": key, "size": 1 } },
    }]})
}

fn batch_of(bodies: &[String]) -> Value {
    let record = |(number, body): (usize, &String)| {
        json!({
            "messageId": format!("m{number}"), "receiptHandle": "r", "body": body, "attributes": {},
            "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:uploads", "awsRegion": "us-east-1",
        })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

#[tokio::test]
async fn uploads_become_jobs() {
    let deployed = provision(emulator().endpoint()).await;
    let mut environment = deployed.environment();
    environment
        .extend([("SEGUE_RECIPE", "rejoin".to_owned()), ("CHUNK_SEGMENT_DURATION_SEC", "7".to_owned())]);
    let service = Service::start(&environment);
    let bucket = deployed.settings.buckets.input.clone();
    let backend = deployed.connect().await;

    // two equal calls by S3
    for _ in 0..2 {
        let (kind, body) = service.call(notice(&bucket, "input/one/source.mp4"));
        assert_eq!((kind.as_str(), &body["batchItemFailures"]), ("response", &json!([])), "{body}");
    }
    let one = "one".parse().expect("a plain id");
    let job = backend.ledger.job(&one).await.unwrap().expect("the job is made");
    assert_eq!((job.state(), job.source_key.as_str()), (JobState::Created, "input/one/source.mp4"));
    assert_eq!(job.outputs.iter().map(|output| output.id().as_str()).collect::<Vec<_>>(), ["video"]);
    let recipe: Value = serde_json::from_str(&job.recipe).unwrap();
    assert_eq!((&recipe["name"], &recipe["segment_duration"]), (&json!("rejoin"), &json!("7s")), "{recipe}");

    // a batch: a valid notice, an invalid one, one of another bucket, and the test event
    let batch = batch_of(&[
        notice(&bucket, "input/two/source.mkv").to_string(),
        "nonsense".to_owned(),
        notice("elsewhere", "input/three/source.mp4").to_string(),
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}).to_string(),
    ]);
    let (kind, body) = service.call(batch);
    let failed = json!([{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]);
    assert_eq!((kind.as_str(), &body["batchItemFailures"]), ("response", &failed), "{body}");
    assert!(backend.ledger.job(&"two".parse().unwrap()).await.unwrap().is_some());
    assert!(backend.ledger.job(&"three".parse().unwrap()).await.unwrap().is_none());

    // one message per job for the planner, and possibly a duplicate
    let depth = backend.queue.depth(Lane::Plan).await.unwrap();
    assert!((2..=3).contains(&depth.waiting), "{depth:?}");

    // an invalid call by S3 is an error, so that it is not lost
    let (kind, body) = service.call(notice(&bucket, "input/../source.mp4"));
    assert_eq!(kind, "error", "{body}");
    assert!(body["errorMessage"].as_str().is_some_and(|message| message.contains("..")), "{body}");
}

#[test]
fn missing_settings_are_an_error_that_names_them() {
    let ended = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .env_clear()
        .env("INPUT_BUCKET_NAME", "in")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert!(!ended.status.success());
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(stderr.contains("JOBS_TABLE_NAME") && !stderr.contains("INPUT_BUCKET_NAME"), "{stderr}");
}
