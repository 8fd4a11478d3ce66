//! Receipts: what SQS calls the receipt, and what it will not tell again.

use segue_ports::{QueueName, Receipt};
use serde::{Deserialize, Serialize};

/// One delivery. SQS can put a message aside only by way of its body, and holds it hidden
/// for 12 hours at most: both travel in the receipt, so that any process can act on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The queue that it came from.
    pub queue: String,
    /// SQS's own receipt.
    pub handle: String,
    /// When it was received, milliseconds since 1970 by this machine.
    pub received_ms: i64,
    /// The text that was sent.
    pub body: String,
}

impl Ticket {
    pub fn write(&self) -> Receipt {
        Receipt(serde_json::to_string(self).expect("a struct of texts and numbers"))
    }

    /// The delivery, or `None` for what is no receipt of this queue.
    pub fn read(queue: QueueName, receipt: &Receipt) -> Option<Ticket> {
        let ticket: Ticket = serde_json::from_str(&receipt.0).ok()?;
        (ticket.queue == queue.as_str()).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_of_its_queue_and_no_text_is_one() {
        let ticket = Ticket {
            queue: QueueName::Map.to_string(),
            handle: "AQEB/+=".into(),
            received_ms: 1,
            body: "\"ü\n".into(),
        };
        assert_eq!(Ticket::read(QueueName::Map, &ticket.write()), Some(ticket.clone()));
        assert_eq!(Ticket::read(QueueName::Chunk, &ticket.write()), None);
        for text in ["", "1-0", "{}", "null", "' OR 1=1 --"] {
            assert_eq!(Ticket::read(QueueName::Map, &Receipt(text.into())), None);
        }
    }
}
