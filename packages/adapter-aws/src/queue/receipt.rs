//! Receipts: SQS's own handle, with data that later calls need and SQS does not return again.

use segue_ports::{Lane, Receipt};
use serde::{Deserialize, Serialize};

/// One delivery. A message is dead-lettered by sending its body again, and SQS hides it for 12 hours at
/// most: body and time are in the receipt, so that any process can use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// Its lane.
    pub lane: String,
    /// SQS's own receipt.
    pub handle: String,
    /// When it was received, milliseconds since 1970 by this machine's clock.
    pub received_ms: i64,
    /// The message body.
    pub body: String,
}

impl Ticket {
    pub fn write(&self) -> Receipt {
        Receipt(serde_json::to_string(self).expect("a struct of texts and numbers"))
    }

    /// The delivery, or `None` for a text that is not a receipt of this lane.
    pub fn read(lane: Lane, receipt: &Receipt) -> Option<Ticket> {
        let ticket: Ticket = serde_json::from_str(&receipt.0).ok()?;
        (ticket.lane == lane.as_str()).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use segue_ports::Resource;

    use super::*;

    const CPU: Lane = Lane::Task(Resource::Cpu);

    #[test]
    fn a_receipt_is_of_its_lane_and_no_other_text_is_one() {
        let ticket =
            Ticket { lane: CPU.to_string(), handle: "AQEB/+=".into(), received_ms: 1, body: "\"ü\n".into() };
        assert_eq!(Ticket::read(CPU, &ticket.write()), Some(ticket.clone()));
        assert_eq!(Ticket::read(Lane::Plan, &ticket.write()), None);
        for text in ["", "1-0", "{}", "null", "' OR 1=1 --"] {
            assert_eq!(Ticket::read(CPU, &Receipt(text.into())), None);
        }
    }
}
