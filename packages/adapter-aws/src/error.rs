//! Errors of the services as errors of a port: one line with cause and remedy.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use segue_ports::{PortError, PortErrorKind};

/// Codes of temporary failures, beyond those that the SDK retries by itself.
const BUSY: &[&str] = &[
    "BandwidthLimitExceeded",
    "ConditionalRequestConflict",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "KmsThrottled",
    "KMS.ThrottlingException",
    "LimitExceededException",
    "OperationAborted",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// Codes of missing permissions.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidToken",
    "KmsAccessDenied",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotSignedUp",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes of expired credentials: the request is valid, and a job must not
/// fail because of it.
const EXPIRED: &[&str] = &["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"];

/// Codes of a wrong region.
const ELSEWHERE: &[&str] =
    &["AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"];

/// Codes of a missing bucket, table or queue.
const MISSING: &[&str] = &[
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchBucket",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
];

/// Kind and remedy of a response, by its code or else by its status.
fn judge(code: Option<&str>, status: Option<u16>) -> (PortErrorKind, &'static str) {
    let is = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    if is(BUSY) {
        (PortErrorKind::Transient, "the service is busy")
    } else if is(DENIED) {
        (PortErrorKind::Denied, "check the credentials and what they are allowed to do")
    } else if is(EXPIRED) {
        (PortErrorKind::Environment, "the credentials have expired, renew them")
    } else if is(ELSEWHERE) {
        (PortErrorKind::Environment, "it lies in another region, check AWS_REGION")
    } else if is(MISSING) {
        (PortErrorKind::Environment, "it does not exist there, check its name and the region")
    } else if is(&["NoSuchKey", "NotFound"]) {
        (PortErrorKind::NotFound, "it is not in the store")
    } else {
        match status {
            Some(401 | 403) => {
                (PortErrorKind::Denied, "check the credentials and what they are allowed to do")
            }
            Some(404) => (PortErrorKind::NotFound, "it is not there"),
            Some(301) => (PortErrorKind::Environment, "it lies in another region, check AWS_REGION"),
            Some(408 | 425 | 429 | 500..) => (PortErrorKind::Transient, "the service is busy"),
            _ => (PortErrorKind::Corrupt, "the service did not take the request"),
        }
    }
}

/// The source chain of an error, joined into one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.replace('\n', " ")
}

/// An error of the SDK; `doing` is the operation, e.g. `cannot write work/j/x`.
pub fn sdk<E>(doing: impl Display, error: SdkError<E, HttpResponse>) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let (kind, text) = match &error {
        SdkError::ConstructionFailure(_) => {
            (PortErrorKind::Misuse, format!("the request cannot be made: {}", chain(&error)))
        }
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
            (PortErrorKind::Transient, format!("the endpoint cannot be reached: {}", chain(&error)))
        }
        SdkError::DispatchFailure(_) => {
            let text = format!("the request was not sent, check the credentials: {}", chain(&error));
            (PortErrorKind::Denied, text)
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
            (PortErrorKind::Transient, format!("no whole answer came: {}", chain(&error)))
        }
        _ => {
            let status = error.raw_response().map(|answer| answer.status().as_u16());
            let (kind, advice) = judge(error.code(), status);
            let detail = match (error.code(), error.message(), status) {
                (Some(code), Some(message), _) => format!("{code}: {message}"),
                (Some(code), None, _) => code.to_owned(),
                (None, _, Some(status)) => format!("status {status}"),
                (None, _, None) => chain(&error),
            };
            (kind, format!("{advice} ({})", detail.replace('\n', " ")))
        }
    };
    PortError { kind, message: format!("{doing}: {text}"), source: Some(Box::new(error)) }
}

/// An error of one entry in a response to a batch.
pub fn of_code(doing: impl Display, code: Option<&str>, message: Option<&str>) -> PortError {
    let (kind, advice) = judge(code, None);
    let detail = [code, message].into_iter().flatten().collect::<Vec<_>>().join(": ");
    say(kind, format_args!("{doing}: {advice} ({})", detail.replace('\n', " ")))
}

/// An error without a source.
pub fn say(kind: PortErrorKind, message: impl Display) -> PortError {
    PortError::new(kind, message.to_string())
}

/// A value in a table or a bucket that this build never writes.
pub fn odd(what: &str, error: impl Display) -> PortError {
    say(PortErrorKind::Corrupt, format_args!("{what} cannot be read ({error}); it was not written by segue"))
}

/// Backoff before retry `n` (from 0) of a write that conflicts with others: it doubles from
/// 20 ms to 1 s, and its second half is random.
pub async fn back_off(n: u32) {
    let most = 20_u64 << n.min(6);
    let most = most.min(1000);
    // the low bits of a version 4 UUID are random
    let random = uuid::Uuid::new_v4().as_u128() as u64;
    tokio::time::sleep(Duration::from_millis(most / 2 + random % (most / 2 + 1))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_answer_has_its_kind() {
        let cases = [
            (Some("SlowDown"), 503, PortErrorKind::Transient),
            (Some("ProvisionedThroughputExceededException"), 400, PortErrorKind::Transient),
            (Some("RequestThrottled"), 403, PortErrorKind::Transient),
            (Some("ExpiredToken"), 400, PortErrorKind::Environment),
            (Some("AccessDenied"), 403, PortErrorKind::Denied),
            (Some("PermanentRedirect"), 301, PortErrorKind::Environment),
            (Some("NoSuchBucket"), 404, PortErrorKind::Environment),
            (Some("ResourceNotFoundException"), 400, PortErrorKind::Environment),
            (Some("NoSuchKey"), 404, PortErrorKind::NotFound),
            (Some("ValidationException"), 400, PortErrorKind::Corrupt),
            (Some("SomethingNew"), 503, PortErrorKind::Transient),
            (None, 403, PortErrorKind::Denied),
            (None, 404, PortErrorKind::NotFound),
            (None, 429, PortErrorKind::Transient),
            (None, 502, PortErrorKind::Transient),
            (None, 400, PortErrorKind::Corrupt),
        ];
        for (code, status, kind) in cases {
            assert_eq!(judge(code, Some(status)).0, kind, "{code:?} with {status}");
        }
    }
}
