//! Connects the three ports of one deployment.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::catalogue::DynamoCatalogue;
use crate::clock::{HearDate, LedgerClock};
use crate::ledger::DynamoLedger;
use crate::queue::SqsQueue;
use crate::settings::AwsSettings;
use crate::store::S3Store;

/// Maximum attempts of a request in the SDK, including the first. With the waits below it
/// retries for about 10 s before a role gets the error.
const ATTEMPTS: u32 = 8;

/// Backoff before the second attempt; it doubles, with jitter, up to [`WAIT_MAX`].
const WAIT: Duration = Duration::from_millis(100);

/// Maximum backoff.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Timeout of a request to DynamoDB.
const ROW_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of a response from SQS: longer than the longest poll.
const POLL_TIMEOUT: Duration = Duration::from_secs(35);

/// Timeout of the response to a part, or to the completion of an upload.
const PART_TIMEOUT: Duration = Duration::from_secs(300);

/// Ledger, queue and store of one deployment.
#[derive(Debug, Clone)]
pub struct AwsBackend {
    /// Jobs, completions and leases.
    pub ledger: Arc<DynamoLedger>,
    /// The assets, where there is a table of them.
    pub catalogue: Option<Arc<DynamoCatalogue>>,
    /// The queues.
    pub queue: Arc<SqsQueue>,
    /// The media store.
    pub store: Arc<S3Store>,
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(attempt)
        .build()
}

/// Configuration shared by all clients: region, endpoint, retries, and the SDK's chain of credentials.
pub(crate) fn loader(settings: &AwsSettings) -> ConfigLoader {
    let https =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(WAIT)
        .with_max_backoff(WAIT_MAX);
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        .region(Region::new(settings.region.clone()))
        .retry_config(retries);
    match &settings.endpoint_url {
        Some(url) => loader.endpoint_url(url),
        None => loader,
    }
}

pub(crate) fn s3(settings: &AwsSettings, config: &SdkConfig) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::from(config)
        .timeout_config(timeouts(PART_TIMEOUT))
        // an emulator has an address, and no domain under which buckets could be host names
        .force_path_style(settings.endpoint_url.is_some())
}

impl AwsBackend {
    /// Connects to a deployment. No request is sent yet: errors of the configuration appear with the
    /// first call. Credentials come from the SDK's default chain.
    pub async fn connect(settings: &AwsSettings) -> AwsBackend {
        AwsBackend::over(settings, &loader(settings).load().await)
    }

    /// The same with a loaded configuration.
    pub(crate) fn over(settings: &AwsSettings, config: &SdkConfig) -> AwsBackend {
        let clock = Arc::new(LedgerClock::new());
        let dynamo = aws_sdk_dynamodb::config::Builder::from(config)
            .timeout_config(timeouts(ROW_TIMEOUT))
            .interceptor(HearDate(Arc::clone(&clock)))
            .build();
        let sqs = aws_sdk_sqs::config::Builder::from(config).timeout_config(timeouts(POLL_TIMEOUT)).build();
        let signer = s3(settings, config)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build();
        let store = S3Store::new(
            aws_sdk_s3::Client::from_conf(s3(settings, config).build()),
            aws_sdk_s3::Client::from_conf(signer),
            settings.buckets.clone(),
        );
        let dynamo = aws_sdk_dynamodb::Client::from_conf(dynamo);
        let catalogue = settings
            .assets_table
            .clone()
            .map(|table| Arc::new(DynamoCatalogue::new(dynamo.clone(), table, Arc::clone(&clock))));
        let ledger = DynamoLedger::new(dynamo, settings.tables.clone(), clock);
        let sqs = aws_sdk_sqs::Client::from_conf(sqs);
        let queue = Arc::new(SqsQueue::new(sqs, &settings.queues));
        AwsBackend { ledger: Arc::new(ledger), catalogue, queue, store: Arc::new(store) }
    }
}
