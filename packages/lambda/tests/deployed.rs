//! A deployment by Terraform with the function: an upload creates a job.
//!
//! `scripts/emulate --uploads lambda -- cargo test -p segue-lambda --test deployed -- --ignored`

use std::time::{Duration, Instant};

use bytes::Bytes;
use segue_adapter_aws::{AwsBackend, AwsSettings};
use segue_domain::{JobId, Key};
use segue_ports::{FileUse, JobLedger, Lane, MediaStore, PutOptions, WorkQueue};

/// Timeout from an upload to its job.
const NOTICED: Duration = Duration::from_secs(120);

async fn is_created(backend: &AwsBackend, id: &JobId) -> bool {
    let deadline = Instant::now() + NOTICED;
    while Instant::now() < deadline {
        if backend.ledger.job(id).await.unwrap().is_some() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

#[tokio::test]
#[ignore = "needs a deployment by scripts/emulate"]
async fn an_upload_becomes_a_job() {
    let settings = AwsSettings::read(|name| std::env::var(name).ok()).expect("scripts/emulate sets them");
    let backend = AwsBackend::connect(&settings).await;
    // a single and a multipart upload
    for (name, bytes) in [("small", 10), ("in-parts", 9 << 20)] {
        let id: JobId = name.parse().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; bytes]).unwrap();
        let (key, options) = (Key::source(&id, "mp4"), PutOptions::default());
        backend.store.upload(&key, file.path(), FileUse::Consume, &options).await.unwrap();
        assert!(is_created(&backend, &id).await, "{name}: no job after {NOTICED:?}");
    }
    // an object that is not a source creates no job
    let other =
        Key::segment(&"cut".parse().unwrap(), &"video".parse().unwrap(), segue_domain::Term(1), "plan.json")
            .unwrap();
    backend.store.put_bytes(&other, Bytes::from_static(b"{}"), &PutOptions::default()).await.unwrap();
    let last: JobId = "last".parse().unwrap();
    backend
        .store
        .put_bytes(&Key::source(&last, "mov"), Bytes::from_static(b"x"), &PutOptions::default())
        .await
        .unwrap();
    assert!(is_created(&backend, &last).await);
    assert!(backend.ledger.job(&"cut".parse().unwrap()).await.unwrap().is_none());
    let depth = backend.queue.depth(Lane::Plan).await.unwrap();
    assert_eq!((depth.waiting, depth.dead), (3, 0), "one message per upload");
}
