//! Dead letters: dead-lettering, listing, and redriving.

use std::collections::HashMap;

use async_trait::async_trait;
use segue_ports::{DeadLetters, DeadMessage, Lane, PortError};

use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message};

use super::receipt::Ticket;
use super::sending::{Outgoing, reason_of, send_all};
use super::void::is_void;
use super::{RECEIVE_MAX, SqsQueue};
use crate::error;

/// Visibility of a message while it is moved between queues or listed, seconds.
const MOVE_S: i32 = 60;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id of it.
    pub id: String,
    /// The message body.
    pub body: String,
    /// The reason given by a worker; absent for a message that was received too often.
    pub reason: Option<String>,
}

impl SqsQueue {
    pub(super) async fn remove(&self, lane: Lane, ticket: &Ticket) -> Result<bool, PortError> {
        let request = self.client.delete_message().queue_url(&self.lane(lane)?.url);
        match request.receipt_handle(&ticket.handle).send().await {
            Ok(_) => Ok(true),
            Err(e) if is_void(&e) => Ok(false),
            Err(e) => Err(error::sdk(format_args!("cannot acknowledge on the {lane} queue"), e)),
        }
    }

    pub(super) async fn put_aside(
        &self,
        lane: Lane,
        ticket: &Ticket,
        reason: &str,
    ) -> Result<bool, PortError> {
        let queue = self.lane(lane)?;
        let dead_url = queue.dead_url(&self.client).await?;
        // checks the receipt, and hides the message meanwhile
        let hide = self.client.change_message_visibility().queue_url(&queue.url);
        match hide.receipt_handle(&ticket.handle).visibility_timeout(MOVE_S).send().await {
            Ok(_) => {}
            Err(e) if is_void(&e) => return Ok(false),
            Err(e) => return Err(error::sdk(format_args!("cannot put aside on the {lane} queue"), e)),
        }
        let letter = [Outgoing::new(&ticket.body, 0).because(reason)];
        send_all(&self.client, lane, dead_url, &letter).await?;
        self.remove(lane, ticket).await?;
        Ok(true)
    }

    async fn take_dead(&self, lane: Lane, max: usize) -> Result<Vec<Message>, PortError> {
        let request = self
            .client
            .receive_message()
            .queue_url(self.lane(lane)?.dead_url(&self.client).await?)
            .max_number_of_messages(max.min(RECEIVE_MAX) as i32)
            .visibility_timeout(MOVE_S)
            .wait_time_seconds(1)
            .message_attribute_names("All");
        let got = request.send().await;
        let got = got.map_err(|e| error::sdk(format_args!("cannot read the dead letters of {lane}"), e))?;
        Ok(got.messages.unwrap_or_default())
    }

    /// Receives up to `max` dead letters, unordered. They are hidden from other receivers
    /// meanwhile, so that each is listed once, and made visible again at the end.
    ///
    /// # Errors
    /// `Environment` when the queue has no dead-letter queue; errors of the service. Letters that were
    /// not made visible become so within a minute.
    pub async fn dead_letters(&self, lane: Lane, max: usize) -> Result<Vec<DeadLetter>, PortError> {
        let (mut found, mut seen) = (Vec::new(), HashMap::new());
        while found.len() < max {
            let before = found.len();
            for message in self.take_dead(lane, max - before).await? {
                let letter = DeadLetter {
                    reason: reason_of(&message),
                    id: message.message_id.unwrap_or_default(),
                    body: message.body.unwrap_or_default(),
                };
                // a receipt is void once its message was received again
                let receipt = message.receipt_handle.unwrap_or_default();
                if seen.insert(letter.id.clone(), receipt).is_none() {
                    found.push(letter);
                }
            }
            if found.len() == before {
                break;
            }
        }
        self.give_back(lane, seen.into_values().collect()).await?;
        Ok(found)
    }

    async fn give_back(&self, lane: Lane, receipts: Vec<String>) -> Result<(), PortError> {
        let dead_url = self.lane(lane)?.dead_url(&self.client).await?;
        for batch in receipts.chunks(RECEIVE_MAX) {
            let entries = (0..).zip(batch).map(|(number, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
                entry.receipt_handle(receipt).visibility_timeout(0).build()
            });
            let entries: Vec<_> =
                entries.collect::<Result<_, _>>().map_err(|e| error::odd("a receipt", e))?;
            let request = self.client.change_message_visibility_batch().queue_url(dead_url);
            // a letter with a void receipt is visible already
            let given = request.set_entries(Some(entries)).send().await;
            given.map_err(|e| error::sdk(format_args!("cannot give back the dead letters of {lane}"), e))?;
        }
        Ok(())
    }

    /// Sends up to `max` dead letters to their queue again, as new messages, and
    /// returns their number. A crash in between sends one twice.
    ///
    /// # Errors
    /// `Environment` when the queue has no dead-letter queue; errors of the service. Letters that were
    /// not sent become visible in the dead-letter queue within a minute.
    pub async fn redrive(&self, lane: Lane, max: usize) -> Result<usize, PortError> {
        let queue = self.lane(lane)?;
        let dead_url = queue.dead_url(&self.client).await?;
        let mut sent = 0;
        while sent < max {
            let got = self.take_dead(lane, max - sent).await?;
            if got.is_empty() {
                break;
            }
            for message in got {
                let again = [Outgoing::new(message.body().unwrap_or_default(), 0)];
                send_all(&self.client, lane, &queue.url, &again).await?;
                let gone = self.client.delete_message().queue_url(dead_url);
                let gone = gone.set_receipt_handle(message.receipt_handle).send().await;
                gone.map_err(|e| error::sdk(format_args!("cannot redrive the {lane} queue"), e))?;
                sent += 1;
            }
        }
        Ok(sent)
    }
}

#[async_trait]
impl DeadLetters for SqsQueue {
    async fn list(&self, lane: Lane, max: usize) -> Result<Vec<DeadMessage>, PortError> {
        let letters = self.dead_letters(lane, max).await?;
        let message = |DeadLetter { id, body, reason }: DeadLetter| DeadMessage { id, body, reason };
        Ok(letters.into_iter().map(message).collect())
    }

    async fn redrive(&self, lane: Lane, max: usize) -> Result<usize, PortError> {
        SqsQueue::redrive(self, lane, max).await
    }

    /// Deletes the messages that it can receive, so that it can count; those that are being listed elsewhere stay.
    async fn purge(&self, lane: Lane) -> Result<usize, PortError> {
        let dead_url = self.lane(lane)?.dead_url(&self.client).await?;
        let mut removed = 0;
        loop {
            let got = self.take_dead(lane, RECEIVE_MAX).await?;
            if got.is_empty() {
                return Ok(removed);
            }
            for message in got {
                let gone = self.client.delete_message().queue_url(dead_url);
                let gone = gone.set_receipt_handle(message.receipt_handle).send().await;
                gone.map_err(|e| error::sdk(format_args!("cannot purge the {lane} queue"), e))?;
                removed += 1;
            }
        }
    }
}
