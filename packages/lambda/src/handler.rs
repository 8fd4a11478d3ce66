//! One call: an event of S3 itself, or a batch of a queue with S3's notices in it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use segue_pipeline::ingest::ingest_notice;
use segue_pipeline::{Deps, Outcome};
use segue_ports::ReadArrivals;
use serde_json::Value;

/// Makes jobs of what it is told.
#[derive(Clone)]
pub struct Handler {
    /// Where jobs are made.
    pub deps: Deps,
    /// Reads what S3 says.
    pub reader: Arc<dyn ReadArrivals>,
    /// Recipe of a job that nobody made beforehand, JSON.
    pub recipe: String,
}

/// What the service is told of a batch: which of it is to come again. A call by S3 itself has
/// no batch, and the answer says that of none.
pub type Response = SqsBatchResponse;

impl Handler {
    /// Handles one call.
    ///
    /// A notice in a batch that is not done comes again, and nothing else of the batch does.
    /// What can never be done comes again as well, until the queue puts it aside: nothing is
    /// lost, and somebody hears of it.
    ///
    /// # Errors
    /// For a call by S3 itself: it is repeated by the service, and goes to the dead letters
    /// when that does not help.
    pub async fn handle(&self, event: Value) -> anyhow::Result<Response> {
        let mut response = Response::default();
        let Some(batch) = batch(&event)? else {
            self.take(&event.to_string()).await?;
            return Ok(response);
        };
        for message in batch.records {
            let id = message.message_id.unwrap_or_default();
            if let Err(error) = self.take(message.body.as_deref().unwrap_or_default()).await {
                tracing::error!(message = "notice not taken", id, error = format!("{error:#}"));
                let mut failed = BatchItemFailure::default();
                failed.item_identifier = id;
                response.batch_item_failures.push(failed);
            }
        }
        Ok(response)
    }

    async fn take(&self, text: &str) -> anyhow::Result<()> {
        let notice = self.reader.read(text);
        // a time for others to take it makes no sense here: the service has its own
        match ingest_notice(&self.deps, &self.recipe, &notice, Duration::ZERO).await? {
            Outcome::Done => Ok(()),
            Outcome::Later(_) => bail!("it is of a version that this build does not know"),
            Outcome::Poison(why) => bail!("{why}"),
        }
    }
}

/// The batch, if the event is one. `None` for anything else: what it is, the reader says.
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
        let deps = Deps {
            ledger: ledger.clone(),
            queue: queue.clone(),
            store: Arc::new(MemoryStore::new()),
            reporter: Arc::new(NoReport),
        };
        let handler = Handler { deps, reader: Arc::new(S3Notices::of("in")), recipe: "{}".into() };
        World { handler, ledger, queue }
    }

    impl World {
        async fn jobs(&self) -> Vec<(String, JobState)> {
            let page = self.ledger.jobs(JobFilter::default(), None, 100).await.unwrap();
            page.jobs.into_iter().map(|job| (job.source_key, job.state)).collect()
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
    async fn a_call_by_s3_itself_makes_one_job_however_often_it_comes() {
        let world = world();
        for _ in 0..3 {
            let response = world.handler.handle(notice("2.1", &["input/a+b/source.mp4"])).await;
            // a job's name has no blank in it: that is for a person
            assert!(response.unwrap_err().to_string().contains("a b"));
            let response = world.handler.handle(notice("2.1", &["input/a/source.mp4"])).await.unwrap();
            assert_eq!(failed(&response), [""; 0]);
        }
        assert_eq!(world.jobs().await, [("input/a/source.mp4".to_owned(), JobState::Created)]);
        assert!(world.asked().await >= 1);
    }

    #[tokio::test]
    async fn only_what_failed_of_a_batch_comes_again() {
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
    async fn what_is_no_event_at_all_is_refused() {
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
