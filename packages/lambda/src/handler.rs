//! Handler of one call: an S3 event, or an SQS batch with S3's notices.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use segue_domain::Recipe;
use segue_pipeline::ingester::ingest_notice;
use segue_pipeline::{Deps, Outcome};
use segue_ports::ReadArrivals;
use serde_json::Value;

/// Creates jobs for upload notices.
#[derive(Clone)]
pub struct Handler {
    /// Ledger, queue and store.
    pub deps: Deps,
    /// Parses notices.
    pub reader: Arc<dyn ReadArrivals>,
    /// Recipe of jobs that are created by an upload.
    pub recipe: Recipe,
}

/// The failed notices of a batch, which the service delivers again; empty for a call by S3.
pub type Response = SqsBatchResponse;

impl Handler {
    /// Handles one call.
    ///
    /// Only the failed notices of a batch are delivered again. Invalid ones are delivered again as
    /// well, until the queue moves them to its dead letters, so that no notice is lost silently.
    ///
    /// # Errors
    /// A failed call by S3: the service repeats it, and finally moves it to the dead letters.
    pub async fn handle(&self, event: Value) -> anyhow::Result<Response> {
        let mut response = Response::default();
        let Some(batch) = batch(&event)? else {
            self.ingest(&event.to_string()).await?;
            return Ok(response);
        };
        for message in batch.records {
            let id = message.message_id.unwrap_or_default();
            if let Err(error) = self.ingest(message.body.as_deref().unwrap_or_default()).await {
                tracing::error!(message = "notice not processed", id, error = format!("{error:#}"));
                let mut failed = BatchItemFailure::default();
                failed.item_identifier = id;
                response.batch_item_failures.push(failed);
            }
        }
        Ok(response)
    }

    async fn ingest(&self, text: &str) -> anyhow::Result<()> {
        let notice = self.reader.read(text);
        // no delay for redelivery: the service has its own
        match ingest_notice(&self.deps, &self.recipe, &notice, Duration::ZERO).await? {
            Outcome::Done => Ok(()),
            Outcome::Later(_) => bail!("the notice has a newer version than this build reads"),
            Outcome::Poison(why) => bail!("{why}"),
        }
    }
}

/// The batch, if the event is one, else `None`; the reader checks other events.
fn batch(event: &Value) -> anyhow::Result<Option<SqsEvent>> {
    let is_batch = event["Records"].as_array().is_some_and(|records| {
        !records.is_empty() && records.iter().all(|record| record["eventSource"] == "aws:sqs")
    });
    Ok(if is_batch { Some(serde_json::from_value(event.clone())?) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_adapter_aws::S3Notices;
    use segue_domain::JobState;
    use segue_ports::{JobFilter, JobLedger, Lane, NoReport, WorkQueue};
    use segue_ports_testkit::memory::{MemoryLedger, MemoryQueue, MemoryStore};
    use serde_json::json;

    struct World {
        handler: Handler,
        ledger: Arc<MemoryLedger>,
        queue: Arc<MemoryQueue>,
    }

    fn world() -> World {
        let (ledger, queue) = (Arc::new(MemoryLedger::new()), Arc::new(MemoryQueue::new()));
        let store = Arc::new(MemoryStore::new());
        let deps = Deps {
            ledger: ledger.clone(),
            queue: queue.clone(),
            store: store.clone(),
            documents: store,
            reporter: Arc::new(NoReport),
            gpu_tasks: Arc::new([]),
        };
        let recipe = Recipe::built_in("standard").expect("a built-in recipe");
        let handler = Handler { deps, reader: Arc::new(S3Notices::of("in")), recipe };
        World { handler, ledger, queue }
    }

    impl World {
        async fn jobs(&self) -> Vec<(String, JobState)> {
            let page = self.ledger.jobs(JobFilter::default(), None, 100).await.unwrap();
            page.jobs.into_iter().map(|job| (job.source_key.clone(), job.state())).collect()
        }

        async fn waiting(&self) -> u64 {
            self.queue.depth(Lane::Plan).await.unwrap().waiting
        }
    }

    fn notice(version: &str, keys: &[&str]) -> Value {
        let record = |key: &&str| {
            json!({
                "eventVersion": version, "eventSource": "aws:s3", "awsRegion": "us-east-1",
                "eventTime": "2026-01-02T03:04:05.678Z", "eventName": "ObjectCreated:CompleteMultipartUpload",
                "userIdentity": { "principalId": "AIDA" }, "requestParameters": { "sourceIPAddress": "127.0.0.1" },
                "responseElements": {},
                "s3": { "bucket": { "name": "in" }, "object": { "key": key, "size": 1 } },
            })
        };
        json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() })
    }

    fn batch_of(bodies: &[&str]) -> Value {
        let record = |(number, body): (usize, &&str)| {
            json!({
                "messageId": format!("m{number}"), "receiptHandle": "r", "body": body,
                "attributes": {}, "messageAttributes": {}, "md5OfBody": "",
                "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:0:uploads", "awsRegion": "us-east-1",
            })
        };
        json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
    }

    fn failed(response: &Response) -> Vec<&str> {
        response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
    }

    #[tokio::test]
    async fn repeated_calls_by_s3_create_one_job() {
        let world = world();
        for _ in 0..3 {
            let response = world.handler.handle(notice("2.1", &["input/a+b/source.mp4"])).await;
            // a job id must not contain a space
            assert!(response.unwrap_err().to_string().contains("a b"));
            let response = world.handler.handle(notice("2.1", &["input/a/source.mp4"])).await.unwrap();
            assert_eq!(failed(&response), [""; 0]);
        }
        assert_eq!(world.jobs().await, [("input/a/source.mp4".to_owned(), JobState::Created)]);
        let job = world.ledger.job(&"a".parse().unwrap()).await.unwrap().unwrap();
        let outputs: Vec<&str> = job.outputs.iter().map(|output| output.id().as_str()).collect();
        assert_eq!(outputs, ["thumbnail", "transcript", "video"], "the outputs of the recipe");
        assert_eq!(Recipe::from_json(&job.recipe).unwrap(), world.handler.recipe);
        assert!(world.waiting().await >= 1);
    }

    #[tokio::test]
    async fn only_the_failed_notices_of_a_batch_are_delivered_again() {
        let world = world();
        let good = notice("2.1", &["input/a/source.mp4"]).to_string();
        let half = notice("2.1", &["input/b/source.mp4", "input/../source.mp4"]).to_string();
        let newer = notice("3.0", &["input/c/source.mp4"]).to_string();
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"in"}"#;
        let batch = batch_of(&[&good, "hello", &half, &newer, test, &good]);
        let response = world.handler.handle(batch).await.unwrap();
        assert_eq!(failed(&response), ["m1", "m2", "m3"]);
        let jobs: Vec<String> = world.jobs().await.into_iter().map(|(source, _)| source).collect();
        assert_eq!(jobs, ["input/a/source.mp4", "input/b/source.mp4"]);
    }

    #[tokio::test]
    async fn an_invalid_event_is_an_error() {
        let world = world();
        for event in [json!(null), json!("x"), json!([]), json!({}), json!({"Records": 7})] {
            assert!(world.handler.handle(event.clone()).await.is_err(), "{event}");
        }
        // records of several services are not a batch
        let mixed = json!({"Records": [{"eventSource": "aws:sqs"}, {"eventSource": "aws:sns"}]});
        assert!(world.handler.handle(mixed).await.is_err());
        assert_eq!(world.jobs().await, []);
    }
}
