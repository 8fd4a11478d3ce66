//! `aws://`, or DynamoDB, SQS and S3 one by one, as the environment names them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use segue_adapter_aws::{AwsBackend, AwsSettings, S3Notices, S3Store, Services};
use segue_domain::{Failure, Key};
use segue_ports::{PortError, PortErrorKind, QueueName, WorkQueue};

use crate::backend::DeadLane;
use crate::failure::{port, source, usage};
use crate::provider::{Opened, Provider, QueuePart, Scheme, StorePart, Wanted};
use crate::routed::Routed;
use crate::sources::Sources;
use crate::url::Part;
use crate::versions::{Version, Versions};

pub(crate) const SCHEMES: &[Scheme] = &[
    Scheme { name: "aws", parts: &Part::ALL, check, provider },
    Scheme { name: "dynamodb", parts: &[Part::Ledger], check, provider },
    Scheme { name: "sqs", parts: &[Part::Queue], check, provider },
    Scheme { name: "s3", parts: &[Part::Store], check, provider },
];

fn provider() -> Box<dyn Provider> {
    Box::new(Aws)
}

fn check(rest: &str) -> Result<(), Failure> {
    match rest.is_empty() {
        true => Ok(()),
        false => Err(usage(
            "a URL of AWS stands alone, as in aws://; the environment names buckets, tables and queues: \
             segue environment",
        )),
    }
}

struct Aws;

#[async_trait]
impl Provider for Aws {
    fn schemes(&self) -> &'static [Scheme] {
        SCHEMES
    }

    async fn open(&self, wanted: Wanted<'_>) -> Result<Opened, Failure> {
        let services = Services {
            dynamodb: wanted.ledger.is_some(),
            sqs: wanted.queue.is_some(),
            s3: wanted.store.is_some(),
        };
        let settings = AwsSettings::read_for(services, |name| std::env::var(name).ok());
        let settings = settings.map_err(|error| port(&error))?;
        let aws = AwsBackend::connect(&settings).await;
        Ok(Opened {
            ledger: wanted.ledger.map(|_| aws.ledger.clone() as _),
            queue: wanted.queue.map(|_| queue_part(&aws, &settings)),
            store: wanted.store.map(|_| store_part(&aws, &settings)),
        })
    }
}

fn queue_part(aws: &AwsBackend, settings: &AwsSettings) -> QueuePart {
    let gpu_queue = routed(aws, settings, true).map(|routed| Arc::new(routed) as Arc<dyn WorkQueue>);
    let queue: Arc<dyn WorkQueue> = match routed(aws, settings, false) {
        Some(routed) => Arc::new(routed),
        None => aws.queue.clone(),
    };
    let mut dead_letters = DeadLane::all(aws.queue.clone());
    if let Some(gpu) = &aws.gpu_queue {
        dead_letters.push(DeadLane { name: "map-gpu", queue: QueueName::Map, letters: gpu.clone() });
    }
    if let Some(notices) = &aws.notices {
        dead_letters.push(DeadLane { name: "ingest", queue: QueueName::Chunk, letters: notices.clone() });
    }
    QueuePart { queue, gpu_queue, notices: aws.notices.clone().map(|queue| queue as _), dead_letters }
}

/// The queues of tasks as one, where those that need a GPU have their own.
fn routed(aws: &AwsBackend, settings: &AwsSettings, from_gpu: bool) -> Option<Routed> {
    let (gpu, lane) = (aws.gpu_queue.clone()?, settings.gpu.as_ref()?);
    let plain = aws.queue.clone();
    let own: Arc<dyn WorkQueue> = if from_gpu { gpu.clone() } else { plain.clone() };
    Some(Routed { own, plain, gpu, kinds: lane.tasks.clone() })
}

fn store_part(aws: &AwsBackend, settings: &AwsSettings) -> StorePart {
    let input_bucket = settings.buckets.input.clone();
    StorePart {
        store: aws.store.clone(),
        results: aws.store.clone(),
        arrivals: Some(Arc::new(S3Notices::of(&input_bucket))),
        sources: Arc::new(S3Sources { store: aws.store.clone(), input_bucket }),
        versions: Some(Arc::new(S3Versions(aws.store.clone()))),
    }
}

struct S3Sources {
    store: Arc<S3Store>,
    input_bucket: String,
}

#[async_trait]
impl Sources for S3Sources {
    async fn adopt(&self, key: &Key, path: &Path) -> Result<(), PortError> {
        self.store.adopt(key, path).await.map(drop)
    }

    async fn import(&self, bucket: &str, name: &str, key: &Key) -> Result<(), Failure> {
        let imported = self.store.import(bucket, name, key).await;
        imported.map(drop).map_err(|error| match error.kind {
            PortErrorKind::NotFound | PortErrorKind::Misuse => source(error.to_string()),
            _ => port(&error),
        })
    }

    fn input_bucket(&self) -> Option<&str> {
        Some(&self.input_bucket)
    }

    fn adopted_path(&self, _key: &Key) -> Option<PathBuf> {
        None
    }
}

struct S3Versions(Arc<S3Store>);

#[async_trait]
impl Versions for S3Versions {
    async fn version(&self, key: &Key) -> Result<Option<Version>, PortError> {
        let found = self.0.version(key).await?;
        Ok(found.map(|v| Version { bytes: v.bytes, name: v.etag, crc32: v.crc32 }))
    }

    async fn range(&self, key: &Key, version: &str, range: Range<u64>) -> Result<Option<Bytes>, PortError> {
        self.0.get_range_of(key, range, version).await
    }
}
