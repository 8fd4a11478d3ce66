//! The queues in SQS, one for each lane.
//!
//! * **Seconds**: SQS uses whole seconds; visibility, delay and wait are rounded up.
//! * **Waiting** is a sequence of long polls of up to 20 s.
//! * **12 hours** after a delivery SQS delivers a message again, whatever is requested. An
//!   extension is limited to the remaining time, and when none is left the receipt is reported as
//!   void: the next receiver finds the lease held and skips the message.
//! * **Delays** above 15 minutes are split: the rest is an attribute of the message, and
//!   a receiver that gets the message too early sends it again.
//! * **Dead-lettering** sends the body to the dead-letter queue and then removes the message;
//!   a crash in between leaves both. The queue's own redrive policy moves messages that were received
//!   too often by workers that died.
//! * **Void receipts**: SQS may accept one. No guarantee depends on its answer.
//! * **A lane without a queue** is an error that names the variable to set.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use segue_ports::{
    Clock, Delivery, Lane, PortError, PortErrorKind, QueueDepth, Receipt, SystemClock, WorkQueue,
};
use tokio::time::Instant;

use crate::error::{self, odd, say};

mod dead;
mod lanes;
mod receipt;
mod sending;
mod void;

pub use dead::DeadLetter;
use lanes::LaneQueue;
pub use lanes::Lanes;
use receipt::Ticket;
use sending::{Outgoing, seconds, send_all, still_s};
use void::is_void;

/// Maximum wait of a long poll of SQS.
const POLL_MAX: Duration = Duration::from_secs(20);

/// Maximum visibility after a delivery, less a margin, seconds.
const HIDDEN_MAX_S: u64 = 12 * 3600 - 10;

/// Maximum number of messages of one receive.
const RECEIVE_MAX: usize = 10;

/// The queues of a deployment.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    lanes: HashMap<Lane, LaneQueue>,
}

impl SqsQueue {
    pub(crate) fn new(client: Client, urls: &Lanes) -> SqsQueue {
        let queue = |lane| urls.url(lane).map(|url| (lane, LaneQueue::new(lane, url)));
        SqsQueue { client, lanes: Lane::ALL.into_iter().filter_map(queue).collect() }
    }

    fn lane(&self, lane: Lane) -> Result<&LaneQueue, PortError> {
        self.lanes.get(&lane).ok_or_else(|| {
            let message = format_args!("the {lane} lane has no queue, set {}", Lanes::variable(lane));
            say(PortErrorKind::Environment, message)
        })
    }

    async fn poll(
        &self,
        queue: &LaneQueue,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<ReceiveMessageOutput, PortError> {
        let request = self
            .client
            .receive_message()
            .queue_url(&queue.url)
            .max_number_of_messages(max.min(RECEIVE_MAX) as i32)
            .visibility_timeout(seconds(visibility).min(HIDDEN_MAX_S) as i32)
            .wait_time_seconds(seconds(wait.min(POLL_MAX)) as i32)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_attribute_names("All");
        request.send().await.map_err(|e| error::sdk(format_args!("cannot read the {} queue", queue.lane), e))
    }

    /// Parses an approximate count of the service.
    async fn counts<const N: usize>(
        &self,
        lane: Lane,
        url: &str,
        names: [QueueAttributeName; N],
    ) -> Result<[u64; N], PortError> {
        let asked = self.client.get_queue_attributes().queue_url(url);
        let asked = asked.set_attribute_names(Some(names.to_vec())).send().await;
        let asked =
            asked.map_err(|e| error::sdk(format_args!("cannot read the depth of the {lane} queue"), e))?;
        let mut counts = [0; N];
        for (count, name) in counts.iter_mut().zip(names) {
            let text = asked.attributes().and_then(|all| all.get(&name)).map_or("0", String::as_str);
            *count = text.parse().map_err(|e| odd("the depth of a queue", e))?;
        }
        Ok(counts)
    }
}

fn delivery_of(lane: Lane, message: Message, received_ms: i64) -> Delivery {
    let count =
        message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    let deliveries = count.and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
    let body = message.body.unwrap_or_default();
    let handle = message.receipt_handle.unwrap_or_default();
    let ticket = Ticket { lane: lane.to_string(), handle, received_ms, body: body.clone() };
    Delivery { body, receipt: ticket.write(), deliveries }
}

/// Maximum remaining visibility of a message, seconds.
fn hideable_s(received_ms: i64, now_ms: i64) -> u64 {
    let hidden_s = u64::try_from(now_ms.saturating_sub(received_ms)).unwrap_or(0) / 1000;
    HIDDEN_MAX_S.saturating_sub(hidden_s)
}

#[async_trait]
impl WorkQueue for SqsQueue {
    async fn send(&self, lane: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        let all: Vec<Outgoing> = bodies.iter().map(|body| Outgoing::new(body, seconds(delay))).collect();
        send_all(&self.client, lane, &self.lane(lane)?.url, &all).await
    }

    async fn receive(
        &self,
        lane: Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let queue = self.lane(lane)?;
        let deadline = Instant::now() + wait;
        loop {
            // before the request: SQS counts its 12 hours from when it gets the request
            let received_ms = SystemClock.now_ms();
            let left = deadline.saturating_duration_since(Instant::now());
            let mut got = Vec::new();
            for message in self.poll(queue, max, visibility, left).await?.messages.unwrap_or_default() {
                if still_s(&message) == 0 {
                    got.push(delivery_of(lane, message, received_ms));
                } else if let Err(error) = queue.delay_on(&self.client, &message).await {
                    tracing::warn!(%lane, %error, "a message whose delay is not over will be received again");
                }
            }
            if !got.is_empty() || Instant::now() >= deadline {
                return Ok(got);
            }
        }
    }

    async fn extend(&self, lane: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError> {
        let Some(ticket) = Ticket::read(lane, receipt) else { return Ok(false) };
        let left_s = hideable_s(ticket.received_ms, SystemClock.now_ms());
        let wanted_s = seconds(visibility);
        if wanted_s > 0 && left_s == 0 {
            tracing::warn!(%lane, "a message was hidden for 12 hours, it will be delivered again");
            return Ok(false);
        }
        let changed = self
            .client
            .change_message_visibility()
            .queue_url(&self.lane(lane)?.url)
            .receipt_handle(&ticket.handle)
            .visibility_timeout(wanted_s.min(left_s) as i32)
            .send()
            .await;
        match changed {
            Ok(_) => Ok(true),
            Err(e) if is_void(&e) => Ok(false),
            Err(e) => Err(error::sdk(format_args!("cannot hide a message on the {lane} queue"), e)),
        }
    }

    async fn ack(&self, lane: Lane, receipt: &Receipt) -> Result<bool, PortError> {
        let Some(ticket) = Ticket::read(lane, receipt) else { return Ok(false) };
        self.remove(lane, &ticket).await
    }

    async fn dead_letter(&self, lane: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError> {
        let Some(ticket) = Ticket::read(lane, receipt) else { return Ok(false) };
        self.put_aside(lane, &ticket, reason).await
    }

    async fn depth(&self, lane: Lane) -> Result<QueueDepth, PortError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as Hidden,
        };
        let queue = self.lane(lane)?;
        let [visible, delayed, in_flight] = self.counts(lane, &queue.url, [Visible, Delayed, Hidden]).await?;
        let dead_url = queue.dead_url(&self.client).await?;
        // one that is being listed is hidden, and still a dead letter
        let [dead, looked_at] = self.counts(lane, dead_url, [Visible, Hidden]).await?;
        Ok(QueueDepth { waiting: visible + delayed, in_flight, dead: dead + looked_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_hours_are_counted_from_the_delivery() {
        let hour_ms = 3_600_000;
        assert_eq!(hideable_s(0, 0), HIDDEN_MAX_S);
        assert_eq!(hideable_s(0, 11 * hour_ms), 3590);
        assert_eq!(hideable_s(0, 12 * hour_ms), 0);
        assert_eq!(hideable_s(0, 50 * hour_ms), 0);
        assert_eq!(hideable_s(hour_ms, 0), HIDDEN_MAX_S, "a clock that was set back");
    }
}
