//! A range of one version as a stream, which resumes after a broken connection.

use std::ops::Range;

use aws_sdk_s3::primitives::ByteStream as Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use segue_domain::Key;
use segue_ports::{ByteStream, PortError, PortErrorKind, Version, check_range};

use super::reading::not_there;
use super::writing::is_refused;
use super::{S3Store, TRIES};
use crate::error::{self, back_off, say};

/// A stream that is being read.
struct Reading {
    store: S3Store,
    key: Key,
    etag: String,
    /// The remaining range.
    rest: Range<u64>,
    body: Option<Body>,
    /// Consecutive requests that returned no byte.
    tried: u32,
}

/// The error when another version than the requested one is stored.
pub fn replaced(key: &Key, etag: &str) -> PortError {
    say(PortErrorKind::Replaced, format_args!("{key} was replaced since its version {etag} was read"))
}

impl S3Store {
    pub(super) async fn stream_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        if range.is_empty() {
            check_range(key, &range, u64::MAX)?;
        }
        let (store, etag) = (self.clone(), version.0.clone());
        let mut reading = Reading { store, key: key.clone(), etag, rest: range, body: None, tried: 0 };
        reading.open().await?;
        let pieces = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        });
        Ok(pieces.boxed())
    }
}

impl Reading {
    /// Requests the remaining range.
    async fn open(&mut self) -> Result<(), PortError> {
        let Reading { store, key, etag, rest, .. } = self;
        let request = store
            .client
            .get_object()
            .bucket(store.buckets.of(key))
            .key(key.to_string())
            .range(format!("bytes={}-{}", rest.start, rest.end - 1))
            .if_match(etag.as_str());
        match request.send().await {
            Ok(answer) => {
                // S3 truncates a range that extends past the end of the object
                let told = answer.content_length().and_then(|bytes| u64::try_from(bytes).ok());
                if let Some(told) = told {
                    check_range(key, rest, rest.start + told)?;
                }
                self.body = Some(answer.body);
                Ok(())
            }
            Err(e) if is_refused(&e) => Err(replaced(key, etag)),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_key()) => Err(not_there(key)),
            Err(e) if e.raw_response().is_some_and(|answer| answer.status().as_u16() == 416) => {
                let message = format_args!("{key} does not have the bytes {rest:?}");
                Err(say(PortErrorKind::Misuse, message))
            }
            Err(e) => Err(error::sdk(format_args!("cannot read {key}"), e)),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, PortError> {
        while !self.rest.is_empty() {
            let broken = match &mut self.body {
                None => match self.open().await {
                    Ok(()) => continue,
                    Err(e) if e.is_retryable() => e,
                    Err(e) => return Err(e),
                },
                Some(body) => match body.next().await {
                    Some(Ok(bytes)) if bytes.is_empty() => continue,
                    Some(Ok(bytes)) => {
                        self.tried = 0;
                        self.rest.start += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                    Some(Err(e)) => {
                        PortError::with(PortErrorKind::Transient, format_args!("cannot read {}", self.key), e)
                    }
                    None => {
                        let missing = self.rest.end - self.rest.start;
                        let message = format_args!("{} ended {missing} bytes early", self.key);
                        say(PortErrorKind::Transient, message)
                    }
                },
            };
            self.body = None;
            if self.tried == TRIES {
                return Err(broken);
            }
            back_off(self.tried).await;
            self.tried += 1;
        }
        Ok(None)
    }
}
