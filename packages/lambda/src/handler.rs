//! One call: an event of S3 itself, or a batch of a queue with S3's notices in it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use segue_domain::Recipe;
use segue_pipeline::ingester::ingest_notice;
use segue_pipeline::{Deps, Outcome};
use segue_ports::ReadArrivals;
use serde_json::Value;

/// Creates jobs from notices of uploads.
#[derive(Clone)]
pub struct Handler {
    /// Where jobs are created.
    pub deps: Deps,
    /// Reads the notices of S3.
    pub reader: Arc<dyn ReadArrivals>,
    /// Recipe of a job that was not created before its source arrived.
    pub recipe: Recipe,
}

/// Which messages of a batch are to be delivered again; none for a call by S3 itself.
pub type Response = SqsBatchResponse;

impl Handler {
    /// Handles one call.
    ///
    /// A notice of a batch that was not handled is delivered again, and nothing else of the batch is.
    /// One that can never be handled is delivered again as well, until the queue puts it aside as a
    /// dead letter.
    ///
    /// # Errors
    /// For a call by S3 itself: the service repeats it, and sends it to the dead letters when
    /// repeats do not help.
    pub async fn handle(&self, event: Value) -> anyhow::Result<Response> {
        let mut response = Response::default();
        let Some(batch) = batch(&event)? else {
            self.take(&event.to_string()).await?;
            return Ok(response);
        };
        for message in batch.records {
            let id = message.message_id.unwrap_or_default();
            if let Err(error) = self.take(message.body.as_deref().unwrap_or_default()).await {
                tracing::error!(message = "notice not handled", id, error = format!("{error:#}"));
                let mut failed = BatchItemFailure::default();
                failed.item_identifier = id;
                response.batch_item_failures.push(failed);
            }
        }
        Ok(response)
    }

    async fn take(&self, text: &str) -> anyhow::Result<()> {
        let notice = self.reader.read(text);
        // the service has its own wait before the next delivery
        match ingest_notice(&self.deps, &self.recipe, &notice, Duration::ZERO).await? {
            Outcome::Done => Ok(()),
            Outcome::Later(_) => bail!("its version is newer than this build"),
            Outcome::Poison(why) => bail!("{why}"),
        }
    }
}

/// The batch, if the event is one. `None` for any other event, which the reader reads.
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
    use segue_ports::memory::{MemoryLedger, MemoryQueue, MemoryStore};
    use segue_ports::{JobFilter, JobLedger, NoReport, Lane, WorkQueue};
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

        async fn asked(&self) -> u64 {
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
    async fn repeated_calls_by_s3_itself_create_one_job() {
        let world = world();
        for _ in 0..3 {
            let response = world.handler.handle(notice("2.1", &["input/a+b/source.mp4"])).await;
            // an id has no blank in it
            assert!(response.unwrap_err().to_string().contains("a b"));
            let response = world.handler.handle(notice("2.1", &["input/a/source.mp4"])).await.unwrap();
            assert_eq!(failed(&response), [""; 0]);
        }
        assert_eq!(world.jobs().await, [("input/a/source.mp4".to_owned(), JobState::Created)]);
        let job = world.ledger.job(&"a".parse().unwrap()).await.unwrap().unwrap();
        let outputs: Vec<&str> = job.outputs.iter().map(|output| output.id().as_str()).collect();
        assert_eq!(outputs, ["thumbnail", "transcript", "video"], "the outputs of the recipe");
        assert_eq!(Recipe::from_json(&job.recipe).unwrap(), world.handler.recipe);
        assert!(world.asked().await >= 1);
    }

    #[tokio::test]
    async fn only_what_failed_of_a_batch_is_delivered_again() {
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
    async fn a_payload_that_is_not_an_event_is_refused() {
        let world = world();
        for event in [json!(null), json!("x"), json!([]), json!({}), json!({"Records": 7})] {
            assert!(world.handler.handle(event.clone()).await.is_err(), "{event}");
        }
        // a batch of one kind is read as that kind
        let mixed = json!({"Records": [{"eventSource": "aws:sqs"}, {"eventSource": "aws:sns"}]});
        assert!(world.handler.handle(mixed).await.is_err());
        assert_eq!(world.jobs().await, []);
    }
}
