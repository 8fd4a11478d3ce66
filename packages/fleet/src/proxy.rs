//! A line between the fleet and the emulator on which things go wrong: requests are refused as the
//! services refuse them, messages are sent twice, or nobody answers at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// What happens on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    /// Nothing.
    Fair,
    /// Every tenth request is refused: throughput exceeded, slow down, unavailable in turn.
    Throttled,
    /// Everything that is sent to a queue is sent twice.
    Doubled,
    /// Messages cannot be kept hidden: every change of their visibility is refused.
    Restless,
    /// Connections are closed as they come.
    Down,
    /// Everything is refused: the credentials are not allowed it.
    Denied,
    /// Everything is refused: the credentials are too old.
    Expired,
    /// Everything is refused: it lies in another region.
    Elsewhere,
}

impl Weather {
    fn of(number: u8) -> Weather {
        use Weather::{Denied, Doubled, Down, Elsewhere, Expired, Fair, Restless, Throttled};
        [Fair, Throttled, Doubled, Restless, Down, Denied, Expired, Elsewhere]
            .into_iter()
            .find(|weather| *weather as u8 == number)
            .unwrap_or(Weather::Fair)
    }
}

#[derive(Default)]
struct State {
    weather: AtomicU8,
    requests: AtomicU64,
    refused: AtomicU64,
    doubled: AtomicU64,
    bytes: AtomicU64,
    watched: Mutex<Watched>,
    traffic: Mutex<Traffic>,
}

/// What went over the line, by service.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    services: BTreeMap<String, Calls>,
    /// Largest message to a queue, its request in JSON, bytes.
    pub largest_message: u64,
}

/// What one service was asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calls {
    /// How often.
    pub calls: u64,
    /// Largest request, bytes.
    pub largest: u64,
}

impl Traffic {
    /// What `DynamoDB`, `AmazonSQS` or `S3` was asked.
    pub fn of(&self, service: &str) -> Calls {
        self.services.get(service).copied().unwrap_or_default()
    }

    /// The same without the calls of before; what was largest is so ever.
    pub fn since(&self, before: &Traffic) -> Traffic {
        let mut since = self.clone();
        for (service, calls) in &mut since.services {
            calls.calls -= before.of(service).calls;
        }
        since
    }

    fn note(&mut self, service: &str, action: &str, bytes: u64) {
        let calls = self.services.entry(service.to_owned()).or_default();
        calls.calls += 1;
        calls.largest = calls.largest.max(bytes);
        if action == "SendMessage" || action == "SendMessageBatch" {
            self.largest_message = self.largest_message.max(bytes);
        }
    }
}

#[derive(Default)]
struct Watched {
    path: Option<String>,
    seen: Option<Seen>,
}

/// What the line had carried when something was asked for first.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Requests before it.
    pub requests: u64,
    /// Bytes of bodies before it.
    pub bytes: u64,
}

/// The line; it ends with the runtime that made it.
#[derive(Clone)]
pub struct Proxy {
    endpoint: String,
    state: Arc<State>,
}

impl Proxy {
    /// A line to the emulator at `target`, `http://HOST:PORT`.
    ///
    /// # Errors
    /// A port that cannot be listened on.
    pub async fn to(target: &str) -> Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let state = Arc::<State>::default();
        let authority: Arc<str> = target.trim_start_matches("http://").into();
        let line = Proxy { endpoint, state: Arc::clone(&state) };
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, client) = (Arc::clone(&state), client.clone());
                tokio::spawn(serve(stream, Arc::clone(&authority), state, client));
            }
        });
        Ok(line)
    }

    /// Where the fleet finds it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Changes what happens from now on.
    pub fn set(&self, weather: Weather) {
        self.state.weather.store(weather as u8, Ordering::SeqCst);
    }

    /// Requests so far, those that were refused, and those that were sent twice.
    pub fn counts(&self) -> (u64, u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (of(&self.state.requests), of(&self.state.refused), of(&self.state.doubled))
    }

    /// Notes the first request from now on to read an object whose path has this in it.
    pub fn watch_for(&self, path: &str) {
        let mut watched = self.state.watched.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = Watched { path: Some(path.to_owned()), seen: None };
    }

    /// That request, if it came.
    pub fn seen(&self) -> Option<Seen> {
        self.state.watched.lock().unwrap_or_else(PoisonError::into_inner).seen
    }

    /// What went over the line so far.
    pub fn traffic(&self) -> Traffic {
        self.state.traffic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of bodies in both directions so far.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::SeqCst)
    }
}

type Forward = Client<HttpConnector, Full<Bytes>>;

async fn serve(stream: TcpStream, target: Arc<str>, state: Arc<State>, client: Forward) {
    if Weather::of(state.weather.load(Ordering::SeqCst)) == Weather::Down {
        return;
    }
    let service = service_fn(|request| {
        let (target, state, client) = (Arc::clone(&target), Arc::clone(&state), client.clone());
        async move { carry(request, &target, &state, &client).await }
    });
    // a client that goes away is its own matter
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// An error ends the connection without an answer.
async fn carry(
    request: Request<Incoming>,
    target: &str,
    state: &State,
    client: &Forward,
) -> Result<Response<Full<Bytes>>> {
    let weather = Weather::of(state.weather.load(Ordering::SeqCst));
    let number = state.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let action = action_of(&request);
    if action == "GET" {
        let mut watched = state.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = watched.path.as_ref().is_some_and(|path| request.uri().path().contains(path));
        if wanted && watched.seen.is_none() {
            let bytes = state.bytes.load(Ordering::SeqCst);
            watched.seen = Some(Seen { at: Instant::now(), requests: number - 1, bytes });
        }
    }
    let service = service_of(&request);
    let (head, body) = request.into_parts();
    let body = body.collect().await.context("reading a request")?.to_bytes();
    let bytes = body.len() as u64;
    state.traffic.lock().unwrap_or_else(PoisonError::into_inner).note(&service, &action, bytes);
    let refuse = match weather {
        Weather::Down => anyhow::bail!("nobody is there"),
        Weather::Throttled => number.is_multiple_of(10),
        Weather::Restless => action.starts_with("ChangeMessageVisibility"),
        Weather::Fair | Weather::Doubled => false,
        Weather::Denied | Weather::Expired | Weather::Elsewhere => true,
    };
    if refuse {
        state.refused.fetch_add(1, Ordering::SeqCst);
        if let Some(answer) = closed(weather, &service) {
            return Ok(answer);
        }
        return Ok(refusal(&action, number));
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("http://{target}{path}").parse().context("a path")?;
    let send = || {
        let mut forward = Request::new(Full::new(body.clone()));
        *forward.method_mut() = head.method.clone();
        *forward.uri_mut() = uri.clone();
        *forward.headers_mut() = head.headers.clone();
        client.request(forward)
    };
    if weather == Weather::Doubled && action.starts_with("SendMessage") {
        state.doubled.fetch_add(1, Ordering::SeqCst);
        let first = send().await.context("the emulator")?;
        first.into_body().collect().await.context("the emulator")?;
    }
    let answer = send().await.context("the emulator")?;
    let (head, answer) = answer.into_parts();
    let answer = answer.collect().await.context("the emulator")?.to_bytes();
    state.bytes.fetch_add((body.len() + answer.len()) as u64, Ordering::SeqCst);
    // it answered while the line went down: nobody hears of it
    if Weather::of(state.weather.load(Ordering::SeqCst)) == Weather::Down {
        anyhow::bail!("nobody is there any more");
    }
    Ok(Response::from_parts(head, Full::new(answer)))
}

/// What is asked for: the action of a queue or a table, the method of the store.
fn action_of(request: &Request<Incoming>) -> String {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    match target {
        Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        None => request.method().to_string(),
    }
}

/// `DynamoDB`, `AmazonSQS`; the store names nobody.
fn service_of(request: &Request<Incoming>) -> String {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let service = target.and_then(|target| target.split(['_', '.']).next());
    service.unwrap_or("S3").to_owned()
}

/// What a service says to everybody who has no business there.
fn closed(weather: Weather, service: &str) -> Option<Response<Full<Bytes>>> {
    let is_store = service == "S3";
    let (status, code) = match (weather, is_store) {
        (Weather::Denied, true) => (StatusCode::FORBIDDEN, "AccessDenied"),
        (Weather::Denied, false) => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
        (Weather::Expired, true) => (StatusCode::BAD_REQUEST, "ExpiredToken"),
        (Weather::Expired, false) => (StatusCode::BAD_REQUEST, "ExpiredTokenException"),
        (Weather::Elsewhere, true) => (StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed"),
        (Weather::Elsewhere, false) => (StatusCode::BAD_REQUEST, "ResourceNotFoundException"),
        _ => return None,
    };
    let (kind, body) = if is_store {
        ("application/xml", format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
    } else {
        ("application/x-amz-json-1.0", format!(r#"{{"__type":"service#{code}","message":"no"}}"#))
    };
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Some(answer)
}

/// What the service says that is asked.
fn refusal(action: &str, number: u64) -> Response<Full<Bytes>> {
    let is_store = action.chars().all(|c| c.is_ascii_uppercase());
    let unavailable = number.is_multiple_of(20);
    let (status, kind, body) = match (is_store, unavailable) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "text/plain", String::new()),
        (true, false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "application/xml",
            "<Error><Code>SlowDown</Code><Message>no</Message></Error>".to_owned(),
        ),
        (false, false) => {
            let queue = action.contains("Message") || action.contains("Queue");
            let code = if queue { "RequestThrottled" } else { "ProvisionedThroughputExceededException" };
            let body = format!(r#"{{"__type":"service#{code}","message":"no"}}"#);
            (StatusCode::BAD_REQUEST, "application/x-amz-json-1.0", body)
        }
    };
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
