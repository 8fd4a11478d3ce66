//! The queues by name, each with its dead-letter queue.

use segue_ports::{PortError, PortErrorKind, QueueName};
use tokio::sync::OnceCell;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;

use crate::error::{self, odd, say};

/// A URL for each queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes {
    /// Jobs to plan.
    pub chunk: String,
    /// Tasks to do.
    pub map: String,
    /// Jobs to join.
    pub reassemble: String,
}

/// One queue.
#[derive(Debug)]
pub struct Lane {
    pub name: QueueName,
    pub url: String,
    dead_url: OnceCell<String>,
}

impl Lane {
    pub fn new(name: QueueName, url: String) -> Lane {
        Lane { name, url, dead_url: OnceCell::new() }
    }

    /// URL of the dead-letter queue, as the queue's own redrive policy names it.
    ///
    /// # Errors
    /// `Environment` when it has none.
    pub async fn dead_url(&self, client: &Client) -> Result<&str, PortError> {
        self.dead_url.get_or_try_init(|| self.find_dead_url(client)).await.map(String::as_str)
    }

    async fn find_dead_url(&self, client: &Client) -> Result<String, PortError> {
        let name = self.name;
        let asked = client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|e| error::sdk(format_args!("cannot ask for the policy of the {name} queue"), e))?;
        let policy = asked.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
        let Some(policy) = policy else {
            let message = format_args!("the {name} queue has no dead-letter queue, give it a redrive policy");
            return Err(say(PortErrorKind::Environment, message));
        };
        let (account, dead) = target_of(policy)
            .ok_or_else(|| odd(&format!("the redrive policy of the {name} queue"), policy))?;
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
