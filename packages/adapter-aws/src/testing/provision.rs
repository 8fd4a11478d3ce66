//! Provisions buckets, tables and queues as in a deployment.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_sqs::types::QueueAttributeName;
use segue_domain::TaskKind;
use segue_ports::{Lane, Resource};

use crate::backend::{AwsBackend, loader, s3};
use crate::catalogue::INDEX_BY_OWNER;
use crate::ledger::{INDEX_BY_OPEN, INDEX_BY_STATE, Tables};
use crate::queue::Lanes;
use crate::settings::AwsSettings;
use crate::store::Buckets;

/// A deployment on an emulator.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// Its settings.
    pub settings: AwsSettings,
}

impl Provisioned {
    /// Its ports.
    pub async fn connect(&self) -> AwsBackend {
        AwsBackend::over(&self.settings, &config(&self.settings).await)
    }

    /// The SDK configuration for it.
    pub async fn sdk(&self) -> SdkConfig {
        config(&self.settings).await
    }

    /// The same for S3, whose buckets are paths here.
    pub async fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::from_conf(s3(&self.settings, &self.sdk().await).build())
    }

    /// The environment of a program that uses it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let s = &self.settings;
        let queues = Lane::ALL
            .into_iter()
            .filter_map(|lane| s.queues.own(lane).map(|url| (Lanes::variable(lane), url.to_owned())));
        let mut environment = vec![
            ("INPUT_BUCKET_NAME", s.buckets.input.clone()),
            ("OUTPUT_BUCKET_NAME", s.buckets.output.clone()),
            ("JOBS_TABLE_NAME", s.tables.jobs.clone()),
            ("SEGMENT_COMPLETIONS_TABLE_NAME", s.tables.completions.clone()),
            ("REASSEMBLY_TRIGGERED_TABLE_NAME", s.tables.leases.clone()),
            ("ASSETS_TABLE_NAME", s.assets_table.clone().unwrap_or_default()),
            ("AWS_REGION", s.region.clone()),
            ("AWS_ENDPOINT_URL", s.endpoint_url.clone().unwrap_or_default()),
            ("AWS_ACCESS_KEY_ID", CREDENTIALS.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.1.to_owned()),
        ];
        environment.extend(queues);
        environment
    }
}

/// Credentials that emulators accept.
const CREDENTIALS: (&str, &str) = ("test", "test");

/// Receives after which SQS itself dead-letters a message. Failures are counted in the
/// ledger; this is for messages that kill their receivers before they can count.
const RECEIVES_MAX: &str = "100";

/// Creates buckets, tables and the required queues of a deployment, with unique
/// names.
///
/// # Panics
/// When the emulator does not create them.
pub async fn provision(endpoint: &str) -> Provisioned {
    provision_lanes(endpoint, &[]).await
}

/// The same with queues for those lanes as well.
///
/// # Panics
/// When the emulator does not create them.
pub async fn provision_lanes(endpoint: &str, more: &[Lane]) -> Provisioned {
    let name = format!("segue-{}", uuid::Uuid::new_v4().simple());
    let mut settings = AwsSettings {
        buckets: Buckets { input: format!("{name}-in"), output: format!("{name}-out") },
        tables: Tables {
            jobs: format!("{name}-jobs"),
            completions: format!("{name}-completions"),
            leases: format!("{name}-leases"),
        },
        assets_table: Some(format!("{name}-assets")),
        queues: Lanes::default(),
        gpu_tasks: vec![TaskKind::Transcribe],
        region: "us-east-1".to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        segment_duration: None,
    };
    let config = config(&settings).await;
    buckets(&settings, &config).await;
    tables(&settings, &config).await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let own = async |lane: Lane| queue(&sqs, &format!("{name}-{lane}")).await;
    let asked = async |lane: Lane| if more.contains(&lane) { Some(own(lane).await) } else { None };
    settings.queues = Lanes {
        plan: own(Lane::Plan).await,
        task_cpu: own(Lane::Task(Resource::Cpu)).await,
        task_gpu: asked(Lane::Task(Resource::Gpu)).await,
        task_net: asked(Lane::Task(Resource::Net)).await,
        assemble: own(Lane::Assemble).await,
        ingest: asked(Lane::Ingest).await,
        notify: asked(Lane::Notify).await,
        study: asked(Lane::Study).await,
    };
    Provisioned { settings }
}

/// A test has its own credentials, independent of the machine's.
async fn config(settings: &AwsSettings) -> SdkConfig {
    let (id, secret) = CREDENTIALS;
    let credentials =
        Credentials::builder().access_key_id(id).secret_access_key(secret).provider_name("tests").build();
    let loader = loader(settings).credentials_provider(SharedCredentialsProvider::new(credentials));
    loader.load().await
}

async fn buckets(settings: &AwsSettings, config: &SdkConfig) {
    let client = aws_sdk_s3::Client::from_conf(s3(settings, config).build());
    for bucket in [&settings.buckets.input, &settings.buckets.output] {
        client.create_bucket().bucket(bucket).send().await.expect("a bucket is made");
    }
}

async fn queue(client: &aws_sdk_sqs::Client, name: &str) -> String {
    let made = client.create_queue().queue_name(format!("{name}-dead")).send().await;
    let dead = made.expect("a queue is made").queue_url.expect("it has a URL");
    let asked = client.get_queue_attributes().queue_url(dead).attribute_names(QueueAttributeName::QueueArn);
    let asked = asked.send().await.expect("it has attributes");
    let arn =
        asked.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn)).expect("it has a name");
    let policy = serde_json::json!({"deadLetterTargetArn": arn, "maxReceiveCount": RECEIVES_MAX});
    let made = client
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
        .send()
        .await;
    made.expect("a queue is made").queue_url.expect("it has a URL")
}

fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().expect("an attribute")
}

fn key(names: &[&str]) -> Vec<KeySchemaElement> {
    let kinds = [KeyType::Hash, KeyType::Range];
    let element = |(name, kind): (&&str, KeyType)| {
        KeySchemaElement::builder().attribute_name(*name).key_type(kind).build().expect("a key")
    };
    names.iter().zip(kinds).map(element).collect()
}

async fn tables(settings: &AwsSettings, config: &SdkConfig) {
    use ScalarAttributeType::{N, S};
    let (tables, client) = (&settings.tables, aws_sdk_dynamodb::Client::new(config));
    let index = |name, keys: &[&str]| {
        GlobalSecondaryIndex::builder()
            .index_name(name)
            .set_key_schema(Some(key(keys)))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()
            .expect("an index")
    };
    let jobs = client
        .create_table()
        .table_name(&tables.jobs)
        .attribute_definitions(attribute("job_id", S))
        .attribute_definitions(attribute("state", S))
        .attribute_definitions(attribute("state_since_ms", N))
        .attribute_definitions(attribute("open", S))
        .attribute_definitions(attribute("open_since_ms", N))
        .set_key_schema(Some(key(&["job_id"])))
        .global_secondary_indexes(index(INDEX_BY_STATE, &["state", "state_since_ms"]))
        .global_secondary_indexes(index(INDEX_BY_OPEN, &["open", "open_since_ms"]));
    jobs.billing_mode(BillingMode::PayPerRequest).send().await.expect("a table is made");
    let assets = client
        .create_table()
        .set_table_name(settings.assets_table.clone())
        .attribute_definitions(attribute("asset_id", S))
        .attribute_definitions(attribute("listing", S))
        .attribute_definitions(attribute("place", S))
        .set_key_schema(Some(key(&["asset_id"])))
        .global_secondary_indexes(index(INDEX_BY_OWNER, &["listing", "place"]));
    assets.billing_mode(BillingMode::PayPerRequest).send().await.expect("a table is made");
    for (table, range) in [(&tables.completions, "item"), (&tables.leases, "lease")] {
        let made = client
            .create_table()
            .table_name(table)
            .attribute_definitions(attribute("job", S))
            .attribute_definitions(attribute(range, S))
            .set_key_schema(Some(key(&["job", range])))
            .billing_mode(BillingMode::PayPerRequest);
        made.send().await.expect("a table is made");
    }
}
