//! Errors of the services and the kinds that roles get for them: a role decides by the kind.

use std::time::Duration;

use crate::support::{Fault, over};
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::PortErrorKind::{Corrupt, Denied, Environment, Transient};
use segue_ports::{JobLedger, Lane, MediaStore, PortError, PortErrorKind, PutOptions, Resource, WorkQueue};

fn key() -> Key {
    "work/j/video/t/1/a".parse().unwrap()
}

/// Every port returns the same kind, whatever the request.
async fn all(fault: Fault) -> [PortError; 5] {
    let (_, backend, _) = over(Box::new(move |_, _| fault)).await;
    let (job, key, bodies) = ("j".parse().unwrap(), key(), ["x".to_owned()]);
    let (wait, options) = (Duration::from_secs(1), PutOptions::default());
    let (read, received, sent, put, got) = futures::join!(
        backend.ledger.job(&job),
        backend.queue.receive(Lane::Task(Resource::Cpu), 1, wait, Duration::ZERO),
        backend.queue.send(Lane::Task(Resource::Cpu), &bodies, Duration::ZERO),
        backend.store.put_bytes(&key, Bytes::new(), &options),
        backend.store.get_bytes(&key, 1),
    );
    [read.unwrap_err(), received.unwrap_err(), sent.unwrap_err(), put.unwrap_err(), got.unwrap_err()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_has_its_kind() {
    let cases: [(u16, &'static str, PortErrorKind); 9] = [
        (400, "ExpiredTokenException", Environment),
        (403, "AccessDenied", Denied),
        (403, "InvalidClientTokenId", Denied),
        (403, "SignatureDoesNotMatch", Denied),
        (400, "UnrecognizedClientException", Denied),
        (400, "AuthorizationHeaderMalformed", Environment),
        (400, "ValidationException", Corrupt),
        (503, "SlowDown", Transient),
        (500, "InternalError", Transient),
    ];
    let told =
        cases.map(|(status, code, kind)| async move { (code, kind, all(Fault::Says(status, code)).await) });
    for (code, kind, errors) in futures::future::join_all(told).await {
        for error in errors {
            assert_eq!(error.kind, kind, "{code}: {error}");
            assert!(error.message.contains(code), "{code} is not in {error}");
            assert!(!error.message.contains('\n'), "{error}");
            assert!(!error.message.contains("Signature="), "{error}");
            assert_eq!(error.is_retryable(), kind == Transient);
        }
    }
}

/// S3 answers `HEAD` without a body: only the status is known.
#[tokio::test]
async fn a_refusal_without_words_has_its_kind_too() {
    for (status, kind) in [(403, Denied), (301, Environment), (400, Corrupt), (503, Transient)] {
        let (_, backend, _) = over(Box::new(move |_, _| Fault::Says(status, ""))).await;
        let error = backend.store.head(&key()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status}: {error}");
    }
}
