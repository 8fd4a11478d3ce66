//! The queues in SQS.
//!
//! * **Seconds**: SQS counts in whole seconds; visibility, delay and wait are rounded up.
//! * **Waiting** is a long poll of up to 20 s at a time, over and over.
//! * **12 hours** after a delivery SQS shows a message again, whatever is asked. An
//!   extension is cut to what is left, and when nothing is left it says that the receipt is
//!   void: the next receiver finds the lease held and leaves the work alone.
//! * **Delays** above 15 minutes are made of several: the rest travels as an attribute, and
//!   whoever receives the message too early sends it on.
//! * **Putting aside** sends the body to the dead-letter queue and then removes the message;
//!   a crash in between leaves both. The queue's own redrive policy moves what was received
//!   too often by workers that died of it.
//! * **Void receipts**: SQS may say yes to one. Nothing here rests on its answer.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use segue_ports::{Clock, Delivery, PortError, QueueDepth, QueueName, Receipt, SystemClock, WorkQueue};
use tokio::time::Instant;

use crate::error::{self, odd};

mod dead;
mod lanes;
mod receipt;
mod sending;
mod void;

pub use dead::DeadLetter;
use lanes::Lane;
pub use lanes::Lanes;
use receipt::Ticket;
use sending::{Outgoing, seconds, send_all, still_s};
use void::is_void;

/// Longest poll of SQS.
const POLL_MAX: Duration = Duration::from_secs(20);

/// How long SQS holds a message hidden after a delivery, less a margin, seconds.
const HIDDEN_MAX_S: u64 = 12 * 3600 - 10;

/// Most messages that one request gives.
const RECEIVE_MAX: usize = 10;

/// The three queues.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    lanes: [Lane; 3],
}

impl SqsQueue {
    pub(crate) fn new(client: Client, urls: Lanes) -> SqsQueue {
        let lanes = [
            Lane::new(QueueName::Chunk, urls.chunk),
            Lane::new(QueueName::Map, urls.map),
            Lane::new(QueueName::Reassemble, urls.reassemble),
        ];
        SqsQueue { client, lanes }
    }

    fn lane(&self, queue: QueueName) -> &Lane {
        match queue {
            QueueName::Chunk => &self.lanes[0],
            QueueName::Map => &self.lanes[1],
            QueueName::Reassemble => &self.lanes[2],
        }
    }

    async fn poll(
        &self,
        lane: &Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<ReceiveMessageOutput, PortError> {
        let request = self
            .client
            .receive_message()
            .queue_url(&lane.url)
            .max_number_of_messages(max.min(RECEIVE_MAX) as i32)
            .visibility_timeout(seconds(visibility).min(HIDDEN_MAX_S) as i32)
            .wait_time_seconds(seconds(wait.min(POLL_MAX)) as i32)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_attribute_names("All");
        request.send().await.map_err(|e| error::sdk(format_args!("cannot read the {} queue", lane.name), e))
    }

    /// How many there are, as a number that the service keeps.
    async fn counts<const N: usize>(
        &self,
        queue: QueueName,
        url: &str,
        names: [QueueAttributeName; N],
    ) -> Result<[u64; N], PortError> {
        let asked = self.client.get_queue_attributes().queue_url(url);
        let asked = asked.set_attribute_names(Some(names.to_vec())).send().await;
        let asked = asked.map_err(|e| error::sdk(format_args!("cannot look at the {queue} queue"), e))?;
        let mut counts = [0; N];
        for (count, name) in counts.iter_mut().zip(names) {
            let text = asked.attributes().and_then(|all| all.get(&name)).map_or("0", String::as_str);
            *count = text.parse().map_err(|e| odd("the depth of a queue", e))?;
        }
        Ok(counts)
    }
}

fn delivery_of(queue: QueueName, message: Message, received_ms: i64) -> Delivery {
    let count =
        message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    let deliveries = count.and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
    let body = message.body.unwrap_or_default();
    let handle = message.receipt_handle.unwrap_or_default();
    let ticket = Ticket { queue: queue.to_string(), handle, received_ms, body: body.clone() };
    Delivery { body, receipt: ticket.write(), deliveries }
}

/// How long a message may still be hidden, seconds.
fn hideable_s(received_ms: i64, now_ms: i64) -> u64 {
    let hidden_s = u64::try_from(now_ms.saturating_sub(received_ms)).unwrap_or(0) / 1000;
    HIDDEN_MAX_S.saturating_sub(hidden_s)
}

#[async_trait]
impl WorkQueue for SqsQueue {
    async fn send(&self, queue: QueueName, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        let all: Vec<Outgoing> = bodies.iter().map(|body| Outgoing::new(body, seconds(delay))).collect();
        send_all(&self.client, queue, &self.lane(queue).url, &all).await
    }

    async fn receive(
        &self,
        queue: QueueName,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let lane = self.lane(queue);
        let deadline = Instant::now() + wait;
        loop {
            // before asking: SQS counts its 12 hours from when it gets the request
            let received_ms = SystemClock.now_ms();
            let left = deadline.saturating_duration_since(Instant::now());
            let mut got = Vec::new();
            for message in self.poll(lane, max, visibility, left).await?.messages.unwrap_or_default() {
                if still_s(&message) == 0 {
                    got.push(delivery_of(queue, message, received_ms));
                } else if let Err(error) = lane.delay_on(&self.client, &message).await {
                    tracing::warn!(%queue, %error, "a message whose delay is not over is looked at again");
                }
            }
            if !got.is_empty() || Instant::now() >= deadline {
                return Ok(got);
            }
        }
    }

    async fn extend(
        &self,
        queue: QueueName,
        receipt: &Receipt,
        visibility: Duration,
    ) -> Result<bool, PortError> {
        let Some(ticket) = Ticket::read(queue, receipt) else { return Ok(false) };
        let left_s = hideable_s(ticket.received_ms, SystemClock.now_ms());
        let wanted_s = seconds(visibility);
        if wanted_s > 0 && left_s == 0 {
            tracing::warn!(%queue, "a message was hidden for 12 hours, it comes again");
            return Ok(false);
        }
        let changed = self
            .client
            .change_message_visibility()
            .queue_url(&self.lane(queue).url)
            .receipt_handle(&ticket.handle)
            .visibility_timeout(wanted_s.min(left_s) as i32)
            .send()
            .await;
        match changed {
            Ok(_) => Ok(true),
            Err(e) if is_void(&e) => Ok(false),
            Err(e) => Err(error::sdk(format_args!("cannot hide a message on the {queue} queue"), e)),
        }
    }

    async fn ack(&self, queue: QueueName, receipt: &Receipt) -> Result<bool, PortError> {
        let Some(ticket) = Ticket::read(queue, receipt) else { return Ok(false) };
        self.remove(queue, &ticket).await
    }

    async fn dead_letter(
        &self,
        queue: QueueName,
        receipt: &Receipt,
        reason: &str,
    ) -> Result<bool, PortError> {
        let Some(ticket) = Ticket::read(queue, receipt) else { return Ok(false) };
        self.put_aside(queue, &ticket, reason).await
    }

    async fn depth(&self, queue: QueueName) -> Result<QueueDepth, PortError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
            ApproximateNumberOfMessagesNotVisible as Hidden,
        };
        let lane = self.lane(queue);
        let [visible, delayed, in_flight] = self.counts(queue, &lane.url, [Visible, Delayed, Hidden]).await?;
        let dead_url = lane.dead_url(&self.client).await?;
        // one that somebody is looking at just now is hidden, and dead all the same
        let [dead, looked_at] = self.counts(queue, dead_url, [Visible, Hidden]).await?;
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
