//! Conformance suite of signed links. The HTTP client is an argument: ports contain
//! no HTTP.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;

use super::store::{job, published};
use super::{Capabilities, Subject, run_clauses};
use segue_ports::error::PortErrorKind;
use segue_ports::links::{ReadOptions, SignedPut, StoreLinks, UploadedPart};
use segue_ports::store::{MediaStore, PutOptions};

/// A response to an HTTP request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A client without credentials.
#[async_trait]
pub trait Client: Send + Sync {
    /// Sends one request with these headers and returns the response, whatever its status.
    async fn send(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Answer;
}

/// The links, the store they refer to, and a client.
#[derive(Clone)]
pub struct Port {
    /// The links.
    pub links: Arc<dyn StoreLinks>,
    /// The same store.
    pub store: Arc<dyn MediaStore>,
    /// The client.
    pub client: Arc<dyn Client>,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Runs every clause.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<Port>>,
{
    run_clauses!(factory, &caps;
        an_object_is_read_by_link,
        a_link_sets_the_response_headers,
        an_object_is_written_by_link,
        a_link_is_for_what_was_signed,
        an_object_is_written_in_parts,
        an_aborted_upload_stores_nothing,
        a_link_has_a_limited_time,
    );
}

impl Port {
    async fn get(&self, url: &str, headers: &[(String, String)]) -> Answer {
        self.client.send("GET", url, headers, Bytes::new()).await
    }

    async fn put(&self, signed: &SignedPut, body: Bytes) -> Answer {
        self.client.send("PUT", &signed.url, &signed.headers, body).await
    }
}

fn source() -> Key {
    Key::source(&job(), "mp4")
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The whole object and a range.
pub async fn an_object_is_read_by_link(port: Arc<Port>, _caps: &Capabilities) {
    let key = published(&job(), "final.mp4");
    port.store.put_bytes(&key, Bytes::from_static(b"by link"), &PutOptions::default()).await.unwrap();
    let url = port.links.presign_get(&key, MINUTE, &ReadOptions::default()).await.unwrap();
    let whole = port.get(&url, &[]).await;
    assert_eq!((whole.status, &whole.body[..]), (200, &b"by link"[..]));
    assert_eq!(whole.header("content-type"), Some("video/mp4"));
    let part = port.get(&url, &[header("range", "bytes=3-6")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"link"[..]));
}

/// Response headers of the link replace the stored ones.
pub async fn a_link_sets_the_response_headers(port: Arc<Port>, _caps: &Capabilities) {
    let key = published(&job(), "final.mp4");
    port.store.put_bytes(&key, Bytes::from_static(b"x"), &PutOptions::default()).await.unwrap();
    let options = ReadOptions {
        media_type: Some("application/octet-stream".to_owned()),
        disposition: Some("attachment; filename=\"my talk.mp4\"".to_owned()),
        cache_control: Some("private, max-age=60".to_owned()),
    };
    let url = port.links.presign_get(&key, MINUTE, &options).await.unwrap();
    let answer = port.get(&url, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), options.media_type.as_deref());
    assert_eq!(answer.header("content-disposition"), options.disposition.as_deref());
    assert_eq!(answer.header("cache-control"), options.cache_control.as_deref());
}

/// With its media type and cache control.
pub async fn an_object_is_written_by_link(port: Arc<Port>, _caps: &Capabilities) {
    let key = source();
    let options = PutOptions {
        media_type: Some("video/quicktime".to_owned()),
        cache_control: Some("private".to_owned()),
    };
    let signed = port.links.presign_put(&key, 7, MINUTE, &options).await.unwrap();
    assert_eq!(port.store.head(&key).await.unwrap(), None, "signing stores nothing");
    let answer = port.put(&signed, Bytes::from_static(b"by link")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(port.store.get_bytes(&key, 7).await.unwrap(), "by link");
    let found = port.store.head(&key).await.unwrap().expect("an object");
    assert_eq!((found.media_type, found.cache_control), (options.media_type, options.cache_control));
}

/// Media type and length are part of the signature.
pub async fn a_link_is_for_what_was_signed(port: Arc<Port>, _caps: &Capabilities) {
    let options = PutOptions::media_type("video/mp4");
    let signed = port.links.presign_put(&source(), 7, MINUTE, &options).await.unwrap();
    let signed_header = |name: &str, value: &str| {
        let found = signed.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        assert_eq!(found.map(|(_, value)| value.as_str()), Some(value), "{name} is not signed");
        let names = signed.url.split('&').find_map(|part| part.strip_prefix("X-Amz-SignedHeaders="));
        // links of other stores are checked by the requests they refuse
        assert!(names.is_none_or(|names| names.contains(name)), "{name} is not in the signature");
    };
    signed_header("content-type", "video/mp4");
    signed_header("content-length", "7");
}

/// Three parts, sent out of order; nothing is stored before they are completed.
pub async fn an_object_is_written_in_parts(port: Arc<Port>, _caps: &Capabilities) {
    let key = source();
    let size = port.links.part_bytes(20 << 20);
    let bytes = Bytes::from((0..2 * size + 11).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let options = PutOptions::media_type("video/x-matroska");
    let upload = port.links.start_multipart(&key, &options).await.unwrap();
    let mut parts = Vec::new();
    for number in [3, 1, 2] {
        let start = (number - 1) * size;
        let part = bytes.slice(start as usize..(start + size).min(bytes.len() as u64) as usize);
        let number = number as u32;
        let length = part.len() as u64;
        let signed = port.links.presign_part(&key, &upload, number, length, MINUTE).await.unwrap();
        let answer = port.put(&signed, part).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        parts.push(UploadedPart { number, etag: answer.header("etag").expect("an ETag").to_owned() });
    }
    assert_eq!(port.store.head(&key).await.unwrap(), None, "not before it is completed");
    port.links.complete_multipart(&key, &upload, &parts).await.unwrap();
    assert!(port.store.get_bytes(&key, 64 << 20).await.unwrap() == bytes, "other bytes came back");
    let found = port.store.head(&key).await.unwrap().expect("an object");
    assert_eq!(found.media_type, options.media_type);
}

/// An aborted upload can be aborted again.
pub async fn an_aborted_upload_stores_nothing(port: Arc<Port>, _caps: &Capabilities) {
    let key = source();
    let upload = port.links.start_multipart(&key, &PutOptions::default()).await.unwrap();
    let signed = port.links.presign_part(&key, &upload, 1, 4, MINUTE).await.unwrap();
    let answer = port.put(&signed, Bytes::from_static(b"part")).await;
    let etag = answer.header("etag").expect("an ETag").to_owned();
    port.links.abort_multipart(&key, &upload).await.unwrap();
    port.links.abort_multipart(&key, &upload).await.unwrap();
    let late = port.links.complete_multipart(&key, &upload, &[UploadedPart { number: 1, etag }]).await;
    assert!(late.is_err(), "an aborted upload is completed");
    assert_eq!(port.store.head(&key).await.unwrap(), None);
}

/// Seven days at most.
pub async fn a_link_has_a_limited_time(port: Arc<Port>, _caps: &Capabilities) {
    let too_long = Duration::from_secs(8 * 24 * 3600);
    let get = port.links.presign_get(&source(), too_long, &ReadOptions::default()).await.unwrap_err();
    let put = port.links.presign_put(&source(), 1, too_long, &PutOptions::default()).await.unwrap_err();
    assert_eq!((get.kind, put.kind), (PortErrorKind::Misuse, PortErrorKind::Misuse), "{get} {put}");
}
