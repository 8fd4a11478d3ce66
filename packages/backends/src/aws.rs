//! `aws://`, or DynamoDB, SQS and S3 one by one, as the environment names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use segue_adapter_aws::{AwsBackend, AwsSettings, S3Notices, S3Store, Services};
use segue_domain::{Failure, Key};
use segue_ports::{DeadLetters, Lane, PortError, PortErrorKind, Resource};

use crate::backend::DeadLane;
use crate::failure::{port, source, usage};
use crate::provider::{Opened, Provider, QueuePart, Scheme, StorePart, Wanted};
use crate::sources::Sources;
use crate::url::Part;

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
            catalogue: wanted.ledger.and(aws.catalogue.clone()).map(|catalogue| catalogue as _),
            queue: wanted.queue.map(|_| queue_part(&aws, &settings)),
            store: wanted.store.map(|_| store_part(&aws, &settings)),
        })
    }
}

fn queue_part(aws: &AwsBackend, settings: &AwsSettings) -> QueuePart {
    let lanes: Vec<Lane> =
        Lane::ALL.into_iter().filter(|lane| settings.queues.own(*lane).is_some()).collect();
    let has = |lane| lanes.contains(&lane);
    let letters: Arc<dyn DeadLetters> = aws.queue.clone();
    QueuePart {
        queue: aws.queue.clone(),
        gpu_tasks: if has(Lane::Task(Resource::Gpu)) { settings.gpu_tasks.clone() } else { Vec::new() },
        has_ingest_lane: has(Lane::Ingest),
        dead_letters: DeadLane::new(&letters, &lanes),
    }
}

fn store_part(aws: &AwsBackend, settings: &AwsSettings) -> StorePart {
    let input_bucket = settings.buckets.input.clone();
    StorePart {
        store: aws.store.clone(),
        documents: aws.store.clone(),
        results: aws.store.clone(),
        arrivals: Some(Arc::new(S3Notices::of(&input_bucket))),
        sources: Arc::new(S3Sources { store: aws.store.clone(), input_bucket }),
        is_local: false,
    }
}

struct S3Sources {
    store: Arc<S3Store>,
    input_bucket: String,
}

#[async_trait]
impl Sources for S3Sources {
    async fn adopt(&self, key: &Key, path: &Path) -> Result<(), PortError> {
        self.store.adopt(key, path).await
    }

    async fn import(&self, bucket: &str, name: &str, key: &Key) -> Result<(), Failure> {
        let imported = self.store.import(bucket, name, key).await;
        imported.map_err(|error| match error.kind {
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
