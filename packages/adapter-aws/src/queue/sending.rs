//! Sending: in batches, and with delays above SQS's maximum.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, SendMessageBatchRequestEntry};
use segue_ports::{Lane, PortError, PortErrorKind};

use super::LaneQueue;
use crate::error::{self, back_off, say};

/// Maximum number of messages in one request.
const BATCH: usize = 10;

/// Maximum size of one request, bytes: the smallest limit that SQS ever had, less the size
/// of attributes.
const BATCH_BYTES: usize = 250_000;

/// Maximum delay of SQS, seconds.
const DELAY_MAX_S: u64 = 900;

/// Number of tries for the rest of a batch.
const TRIES: u32 = 6;

/// Attribute with the rest of a delay that exceeds SQS's maximum, seconds.
const STILL_S: &str = "segue-still-s";

/// Attribute with the reason of a dead letter.
const REASON: &str = "segue-reason";

/// A message to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    body: String,
    delay_s: u64,
    reason: Option<String>,
}

/// Whole seconds, at least `duration`.
pub fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Outgoing {
    pub fn new(body: &str, delay_s: u64) -> Outgoing {
        Outgoing { body: body.to_owned(), delay_s, reason: None }
    }

    /// The same as a dead letter. SQS refuses empty strings and most control characters.
    pub fn because(mut self, reason: &str) -> Outgoing {
        let plain: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
        self.reason = Some(if plain.trim().is_empty() { "no reason given".to_owned() } else { plain });
        self
    }

    fn to_entry(&self, id: usize) -> Result<SendMessageBatchRequestEntry, PortError> {
        let now_s = self.delay_s.min(DELAY_MAX_S);
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(id.to_string())
            .message_body(&self.body)
            .delay_seconds(now_s as i32);
        if self.delay_s > now_s {
            entry =
                entry.message_attributes(STILL_S, attribute("Number", &(self.delay_s - now_s).to_string())?);
        }
        if let Some(reason) = &self.reason {
            entry = entry.message_attributes(REASON, attribute("String", reason)?);
        }
        entry.build().map_err(|e| error::odd("a message", e))
    }
}

fn attribute(kind: &str, value: &str) -> Result<MessageAttributeValue, PortError> {
    let built = MessageAttributeValue::builder().data_type(kind).string_value(value).build();
    built.map_err(|e| error::odd("an attribute of a message", e))
}

/// The rest of the delay of a received message, seconds.
pub fn still_s(message: &Message) -> u64 {
    let still = message.message_attributes().and_then(|all| all.get(STILL_S));
    still.and_then(|value| value.string_value()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The reason of a dead letter, if a role gave one.
pub fn reason_of(message: &Message) -> Option<String> {
    message.message_attributes()?.get(REASON)?.string_value().map(str::to_owned)
}

/// Splits messages into requests within SQS's limits.
fn batches(all: &[Outgoing]) -> Vec<&[Outgoing]> {
    let (mut cut, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (n, message) in all.iter().enumerate() {
        let size = message.body.len() + message.reason.as_ref().map_or(0, String::len) + 100;
        if n > start && (n - start == BATCH || bytes + size > BATCH_BYTES) {
            cut.push(&all[start..n]);
            (start, bytes) = (n, 0);
        }
        bytes += size;
    }
    if start < all.len() {
        cut.push(&all[start..]);
    }
    cut
}

/// Sends all of them to the queue at `url`.
///
/// # Errors
/// `Misuse` for a body that SQS does not accept; otherwise errors of the service. Any subset may
/// have been sent.
pub async fn send_all(client: &Client, lane: Lane, url: &str, all: &[Outgoing]) -> Result<(), PortError> {
    for batch in batches(all) {
        let mut left: Vec<usize> = (0..batch.len()).collect();
        let mut tried = 0;
        while !left.is_empty() {
            left = send_batch(client, lane, url, batch, &left).await?;
            if !left.is_empty() {
                if tried == TRIES {
                    let message = format_args!("the {lane} queue took a part of the messages, try again");
                    return Err(say(PortErrorKind::Transient, message));
                }
                back_off(tried).await;
                tried += 1;
            }
        }
    }
    Ok(())
}

/// Sends the messages of a batch that are in `which` and returns those that were not accepted.
async fn send_batch(
    client: &Client,
    lane: Lane,
    url: &str,
    batch: &[Outgoing],
    which: &[usize],
) -> Result<Vec<usize>, PortError> {
    let mut request = client.send_message_batch().queue_url(url);
    for n in which {
        request = request.entries(batch[*n].to_entry(*n)?);
    }
    let sent = request.send().await;
    let sent = sent.map_err(|e| error::sdk(format_args!("cannot send to the {lane} queue"), e))?;
    let mut again = Vec::new();
    for failed in sent.failed() {
        if failed.sender_fault() {
            let (code, why) = (failed.code(), failed.message().unwrap_or_default());
            let message = format_args!("the {lane} queue does not take a message ({code}: {why})");
            return Err(say(PortErrorKind::Misuse, message));
        }
        again.push(failed.id().parse().map_err(|e| error::odd("the id of a message", e))?);
    }
    Ok(again)
}

impl LaneQueue {
    /// Sends a message whose delay is not over again, with the rest of its delay, and deletes this delivery. A
    /// crash in between leaves two messages.
    pub(super) async fn delay_on(&self, client: &Client, message: &Message) -> Result<(), PortError> {
        let (body, handle) =
            (message.body().unwrap_or_default(), message.receipt_handle().unwrap_or_default());
        let on = [Outgoing::new(body, still_s(message))];
        send_all(client, self.lane, &self.url, &on).await?;
        let gone = client.delete_message().queue_url(&self.url).receipt_handle(handle).send().await;
        gone.map(drop)
            .map_err(|e| error::sdk(format_args!("cannot delay a message on the {} queue", self.lane), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_never_too_short() {
        for (ms, s) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(seconds(Duration::from_millis(ms)), s);
        }
    }

    #[test]
    fn a_long_delay_is_cut_into_hops() {
        let entry = |delay_s| Outgoing::new("x", delay_s).to_entry(0).unwrap();
        let still = |entry: &SendMessageBatchRequestEntry| {
            let attributes = entry.message_attributes().cloned().unwrap_or_default();
            attributes.get(STILL_S).and_then(|v| v.string_value().map(str::to_owned))
        };
        assert_eq!((entry(900).delay_seconds(), still(&entry(900))), (Some(900), None));
        assert_eq!((entry(2000).delay_seconds(), still(&entry(2000))), (Some(900), Some("1100".into())));
    }

    #[test]
    fn batches_are_small_and_lose_nothing() {
        let all: Vec<Outgoing> = (0..23).map(|n| Outgoing::new(&"x".repeat(n * 5_000), 0)).collect();
        let cut = batches(&all);
        assert_eq!(cut.iter().map(|batch| batch.len()).sum::<usize>(), all.len());
        for batch in cut {
            assert!(batch.len() <= BATCH);
            let bytes: usize = batch.iter().map(|m| m.body.len()).sum();
            assert!(batch.len() == 1 || bytes <= BATCH_BYTES);
        }
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn a_reason_is_always_a_text_that_sqs_takes() {
        for (reason, expected) in
            [("", "no reason given"), ("a\0b\nc", "a b c"), ("\u{7}", "no reason given")]
        {
            let letter = Outgoing::new("x", 0).because(reason);
            assert_eq!(letter.reason.as_deref(), Some(expected));
        }
    }
}
