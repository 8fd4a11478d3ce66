//! The queues by lane, each with its dead-letter queue.

use segue_ports::{Lane, PortError, PortErrorKind, Resource};
use tokio::sync::OnceCell;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::error::{self, odd, say};

/// The URL of each lane's queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lanes {
    /// Jobs to plan.
    pub plan: String,
    /// Tasks that need only a CPU.
    pub task_cpu: String,
    /// Tasks that need a GPU; absent where they are sent to `task_cpu`.
    pub task_gpu: Option<String>,
    /// Tasks that need network access beyond the store.
    pub task_net: Option<String>,
    /// Outputs to assemble.
    pub assemble: String,
    /// Notices of arrived sources, and sources to fetch.
    pub ingest: Option<String>,
    /// Callbacks and events to deliver.
    pub notify: Option<String>,
    /// Study material to make.
    pub study: Option<String>,
}

impl Lanes {
    /// The environment variable with the queue of a lane.
    pub fn variable(lane: Lane) -> &'static str {
        match lane {
            Lane::Plan => "CHUNKING_QUEUE_URL",
            Lane::Task(Resource::Cpu) => "MAP_QUEUE_URL",
            Lane::Task(Resource::Gpu) => "MAP_GPU_QUEUE_URL",
            Lane::Task(Resource::Net) => "NET_QUEUE_URL",
            Lane::Assemble => "REASSEMBLY_QUEUE_URL",
            Lane::Ingest => "INGEST_QUEUE_URL",
            Lane::Notify => "NOTIFY_QUEUE_URL",
            Lane::Study => "STUDY_QUEUE_URL",
        }
    }

    /// The dedicated queue of a lane.
    pub fn own(&self, lane: Lane) -> Option<&str> {
        match lane {
            Lane::Plan => Some(&self.plan),
            Lane::Task(Resource::Cpu) => Some(&self.task_cpu),
            Lane::Task(Resource::Gpu) => self.task_gpu.as_deref(),
            Lane::Task(Resource::Net) => self.task_net.as_deref(),
            Lane::Assemble => Some(&self.assemble),
            Lane::Ingest => self.ingest.as_deref(),
            Lane::Notify => self.notify.as_deref(),
            Lane::Study => self.study.as_deref(),
        }
    }

    /// The queue of a lane: its own, and for tasks that need a
    /// GPU otherwise that of the CPU tasks.
    pub fn url(&self, lane: Lane) -> Option<&str> {
        let fallback = (lane == Lane::Task(Resource::Gpu)).then_some(self.task_cpu.as_str());
        self.own(lane).or(fallback)
    }
}

/// The queue of one lane.
#[derive(Debug)]
pub struct LaneQueue {
    pub lane: Lane,
    pub url: String,
    dead_url: OnceCell<String>,
}

impl LaneQueue {
    pub fn new(lane: Lane, url: &str) -> LaneQueue {
        LaneQueue { lane, url: url.to_owned(), dead_url: OnceCell::new() }
    }

    /// URL of the dead-letter queue, as the queue's own redrive policy names it.
    ///
    /// # Errors
    /// `Environment` when it has none.
    pub async fn dead_url(&self, client: &Client) -> Result<&str, PortError> {
        self.dead_url.get_or_try_init(|| self.find_dead_url(client)).await.map(String::as_str)
    }

    async fn find_dead_url(&self, client: &Client) -> Result<String, PortError> {
        let lane = self.lane;
        let asked = client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|e| error::sdk(format_args!("cannot read the redrive policy of the {lane} queue"), e))?;
        let policy = asked.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
        let Some(policy) = policy else {
            let message = format_args!("the {lane} queue has no dead-letter queue, give it a redrive policy");
            return Err(say(PortErrorKind::Environment, message));
        };
        let (account, dead) = target_of(policy)
            .ok_or_else(|| odd(&format!("the redrive policy of the {lane} queue"), policy))?;
        let found = client.get_queue_url().queue_name(&dead).queue_owner_aws_account_id(account);
        let found = found.send().await;
        let found = found.map_err(|e| error::sdk(format_args!("cannot find dead-letter queue {dead}"), e))?;
        found.queue_url.ok_or_else(|| odd("the URL of a dead-letter queue", "it is empty"))
    }
}

/// Account and name of the dead-letter queue that a redrive policy names.
fn target_of(policy: &str) -> Option<(String, String)> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let arn = policy.get("deadLetterTargetArn")?.as_str()?;
    // arn:aws:sqs:REGION:ACCOUNT:NAME
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "sqs", _, account, name] => Some(((*account).to_owned(), (*name).to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_names_its_target() {
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:map-dead","maxReceiveCount":"9"}"#;
        assert_eq!(target_of(policy), Some(("123456789012".into(), "map-dead".into())));
        for odd in
            ["", "{}", r#"{"deadLetterTargetArn":"arn:aws:sns:x:1:topic"}"#, r#"{"deadLetterTargetArn":7}"#]
        {
            assert_eq!(target_of(odd), None);
        }
    }
}
