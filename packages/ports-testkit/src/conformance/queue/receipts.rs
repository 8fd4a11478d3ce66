//! Receipts: each is valid for one delivery.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Port, QUEUE, bodies, is_quiet, send, take};
use crate::conformance::Capabilities;
use segue_ports::queue::Lane;

/// The message of a receiver that died is delivered again.
pub async fn what_is_not_acknowledged_comes_again(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(1)).await;
    let first = take(&queue, caps, caps.short).await;
    let hidden = queue.receive(QUEUE, 1, caps.short, Duration::ZERO).await.unwrap();
    assert_eq!(hidden, [], "a delivered message is hidden from others");
    for deliveries in 2..=4 {
        let again = take(&queue, caps, caps.short).await;
        assert_eq!((&again.body, again.deliveries), (&first.body, deliveries));
        assert_ne!(again.receipt, first.receipt, "a later delivery has another receipt");
    }
}

/// An outdated receipt is void.
pub async fn a_redelivery_voids_the_receipt(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(1)).await;
    let old = take(&queue, caps, caps.short).await;
    caps.outlast_short().await;
    let new = take(&queue, caps, caps.long()).await;
    if caps.tells_void_receipts {
        assert!(!queue.ack(QUEUE, &old.receipt).await.unwrap(), "acknowledged by a void receipt");
        assert!(!queue.extend(QUEUE, &old.receipt, Duration::ZERO).await.unwrap(), "extended by one");
        assert!(!queue.dead_letter(QUEUE, &old.receipt, "no").await.unwrap(), "put aside by one");
    }
    is_quiet(&queue, caps).await;
    assert!(queue.extend(QUEUE, &new.receipt, caps.short).await.unwrap(), "the message is gone");
    caps.outlast_short().await;
    assert_eq!(take(&queue, caps, caps.short).await.deliveries, 3, "the message is gone");
}

/// An acknowledgement is final and idempotent.
pub async fn an_acknowledged_message_is_gone(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(1)).await;
    let only = take(&queue, caps, caps.short).await;
    assert!(queue.ack(QUEUE, &only.receipt).await.unwrap());
    if caps.tells_void_receipts {
        assert!(!queue.ack(QUEUE, &only.receipt).await.unwrap());
        assert!(!queue.extend(QUEUE, &only.receipt, caps.short).await.unwrap());
        assert!(!queue.dead_letter(QUEUE, &only.receipt, "no").await.unwrap());
    }
    caps.outlast_short().await;
    is_quiet(&queue, caps).await;
}

/// A receipt is valid until the next delivery, not until its visibility ends.
pub async fn a_late_acknowledgement_counts(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(1)).await;
    let only = take(&queue, caps, caps.short).await;
    caps.outlast_short().await;
    assert!(queue.ack(QUEUE, &only.receipt).await.unwrap());
    is_quiet(&queue, caps).await;
}

/// A heartbeat keeps the message hidden.
pub async fn an_extension_hides_on(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(1)).await;
    let only = take(&queue, caps, caps.short).await;
    assert!(queue.extend(QUEUE, &only.receipt, caps.long()).await.unwrap());
    caps.outlast_short().await;
    is_quiet(&queue, caps).await;
    assert!(queue.ack(QUEUE, &only.receipt).await.unwrap(), "an extension keeps the receipt");
}

/// A visibility of zero returns the message at once.
pub async fn zero_gives_it_back_at_once(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(1)).await;
    let first = take(&queue, caps, caps.long()).await;
    // a receiver that is already waiting is woken up
    let sleeper = {
        let (queue, caps) = (Arc::clone(&queue), caps.clone());
        tokio::spawn(async move { take(&queue, &caps, caps.long()).await })
    };
    sleep(caps.settle).await;
    let started = Instant::now();
    assert!(queue.extend(QUEUE, &first.receipt, Duration::ZERO).await.unwrap());
    assert_eq!(sleeper.await.expect("the sleeper").deliveries, 2);
    assert!(started.elapsed() <= caps.short, "given back after {:?}", started.elapsed());
}

/// A dead letter is neither visible nor lost.
pub async fn a_dead_letter_is_put_aside(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(1)).await;
    let poison = take(&queue, caps, caps.short).await;
    assert!(queue.dead_letter(QUEUE, &poison.receipt, "not ours").await.unwrap());
    if caps.tells_void_receipts {
        assert!(!queue.ack(QUEUE, &poison.receipt).await.unwrap());
    }
    caps.outlast_short().await;
    is_quiet(&queue, caps).await;
    let depth = queue.depth(QUEUE).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 0, 1));
}

/// A receipt is void on another queue, and arbitrary text is not a receipt.
pub async fn a_receipt_is_of_its_queue(queue: Port, caps: &Capabilities) {
    if !caps.tells_void_receipts {
        return;
    }
    send(&queue, &bodies(1)).await;
    queue.send(Lane::Plan, &bodies(1), Duration::ZERO).await.unwrap();
    let mine = take(&queue, caps, caps.long()).await;
    assert!(!queue.ack(Lane::Plan, &mine.receipt).await.unwrap());
    for nonsense in ["", "0", "1-0", "-", "x-y", "1-1-1", "' OR 1=1 --"] {
        let receipt = segue_ports::queue::Receipt(nonsense.to_owned());
        assert!(!queue.ack(QUEUE, &receipt).await.unwrap(), "{nonsense:?} was a receipt");
    }
    assert!(queue.ack(QUEUE, &mine.receipt).await.unwrap());
    assert_eq!(queue.receive(Lane::Plan, 1, caps.long(), caps.settle).await.unwrap().len(), 1);
}
