//! Sending and receiving.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Port, QUEUE, bodies, is_quiet, send, take};
use crate::conformance::{Capabilities, all_at_once};
use segue_ports::queue::{Lane, QueueDepth};

async fn drain(queue: &Port, caps: &Capabilities, max: usize) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let got = queue.receive(QUEUE, max, caps.long(), caps.settle).await.unwrap();
        if got.is_empty() {
            return all;
        }
        assert!(got.len() <= max, "{} messages, {max} were asked for", got.len());
        assert!(got.iter().all(|d| d.deliveries == 1), "a first delivery is number 1");
        all.extend(got.into_iter().map(|d| d.body));
    }
}

/// Every body is delivered unchanged and once; a body that is sent twice is two messages.
pub async fn what_is_sent_is_delivered(queue: Port, caps: &Capabilities) {
    let mut sent = bodies(25);
    sent.push("{\"text\":\"naïve \u{1f3ac} \\n ' \\\" \"}".to_owned());
    sent.push(sent[0].clone());
    send(&queue, &sent).await;
    send(&queue, &[]).await;
    let mut got = drain(&queue, caps, 10).await;
    got.sort();
    sent.sort();
    assert_eq!(got, sent);
}

/// Returns no message after `wait`, or at once if `wait` is zero.
pub async fn an_empty_queue_lets_go_in_time(queue: Port, caps: &Capabilities) {
    for wait in [Duration::ZERO, caps.short] {
        let started = Instant::now();
        assert_eq!(queue.receive(QUEUE, 5, caps.long(), wait).await.unwrap(), []);
        let took = started.elapsed();
        assert!(took + Duration::from_millis(1) >= wait, "gave up after {took:?} of {wait:?}");
        assert!(took <= wait + caps.short, "held on for {took:?} instead of {wait:?}");
    }
}

/// Delivered after the delay, without another call.
pub async fn a_delay_hides(queue: Port, caps: &Capabilities) {
    queue.send(QUEUE, &bodies(1), caps.short).await.unwrap();
    assert_eq!(queue.receive(QUEUE, 1, caps.long(), Duration::ZERO).await.unwrap(), []);
    send(&queue, &["at once".to_owned()]).await;
    let got = queue.receive(QUEUE, 10, caps.long(), caps.settle).await.unwrap();
    let got: Vec<&str> = got.iter().map(|d| d.body.as_str()).collect();
    assert_eq!(got, ["at once"], "a delayed message came along with another");
    caps.outlast_short().await;
    assert_eq!(take(&queue, caps, caps.long()).await.deliveries, 1);
}

/// `max` limits a receive; the other messages stay.
pub async fn no_more_than_asked_for(queue: Port, caps: &Capabilities) {
    send(&queue, &bodies(7)).await;
    assert_eq!(queue.receive(QUEUE, 0, caps.long(), Duration::ZERO).await.unwrap(), []);
    assert_eq!(drain(&queue, caps, 3).await.len(), 7);
}

/// A long poll ends when a message arrives, not at its timeout.
pub async fn a_sleeper_wakes_when_something_is_sent(queue: Port, caps: &Capabilities) {
    let sleeper = {
        let (queue, caps) = (Arc::clone(&queue), caps.clone());
        tokio::spawn(async move { take(&queue, &caps, caps.long()).await })
    };
    sleep(caps.settle).await;
    let sent = Instant::now();
    send(&queue, &bodies(1)).await;
    sleeper.await.expect("the sleeper");
    assert!(sent.elapsed() <= caps.short, "woke {:?} after the sending", sent.elapsed());
}

/// A delayed message without further sends: the waiting receiver must wake up by itself.
pub async fn a_sleeper_wakes_when_a_delay_ends(queue: Port, caps: &Capabilities) {
    let started = Instant::now();
    queue.send(QUEUE, &bodies(1), caps.short).await.unwrap();
    take(&queue, caps, caps.short).await;
    let again = take(&queue, caps, caps.long()).await;
    assert_eq!(again.deliveries, 2);
    let took = started.elapsed();
    assert!(took <= caps.short * 4 + caps.settle, "two short waits took {took:?}");
}

/// Concurrent receivers: every message goes to one of them.
pub async fn receivers_never_share_a_delivery(queue: Port, caps: &Capabilities) {
    let sent = bodies(caps.callers * 5);
    send(&queue, &sent).await;
    let calls = (0..caps.callers).map(|n| {
        let (queue, caps) = (Arc::clone(&queue), caps.clone());
        async move { drain(&queue, &caps, 1 + n % 3).await }
    });
    let got: Vec<String> = all_at_once(calls).await.into_iter().flatten().collect();
    let distinct: BTreeSet<&String> = got.iter().collect();
    assert_eq!(distinct.len(), got.len(), "two receivers got the same message");
    assert_eq!(got.len(), sent.len(), "a message went to nobody");
}

/// A message is delivered only on the queue that it was sent to.
pub async fn queues_are_apart(queue: Port, caps: &Capabilities) {
    for name in Lane::ALL {
        queue.send(name, &[name.to_string()], Duration::ZERO).await.unwrap();
    }
    for name in Lane::ALL {
        let got = queue.receive(name, 10, caps.long(), caps.settle).await.unwrap();
        let got: Vec<String> = got.into_iter().map(|d| d.body).collect();
        assert_eq!(got, [name.to_string()]);
    }
}

/// Visible, in flight, dead-lettered.
pub async fn depth_tells_what_is_there(queue: Port, caps: &Capabilities) {
    assert_eq!(queue.depth(QUEUE).await.unwrap(), QueueDepth::default());
    send(&queue, &bodies(4)).await;
    queue.send(QUEUE, &bodies(1), caps.long()).await.unwrap();
    let first = take(&queue, caps, caps.long()).await;
    take(&queue, caps, caps.long()).await;
    let third = take(&queue, caps, caps.short).await;
    queue.ack(QUEUE, &first.receipt).await.unwrap();
    sleep(caps.settle).await;
    let depth = queue.depth(QUEUE).await.unwrap();
    assert_eq!(depth, QueueDepth { waiting: 2, in_flight: 2, dead: 0 });
    queue.dead_letter(QUEUE, &third.receipt, "poison").await.unwrap();
    take(&queue, caps, caps.short).await;
    caps.outlast_short().await;
    let depth = queue.depth(QUEUE).await.unwrap();
    assert_eq!(depth, QueueDepth { waiting: 2, in_flight: 1, dead: 1 });
    is_quiet_but_for(&queue, caps, 1).await;
}

async fn is_quiet_but_for(queue: &Port, caps: &Capabilities, messages: usize) {
    for _ in 0..messages {
        take(queue, caps, caps.long()).await;
    }
    is_quiet(queue, caps).await;
}
