//! Conformance suite of the dead-letter port.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Capabilities, Subject, all_at_once, run_clauses};
use segue_ports::dead::{DeadLetters, DeadMessage};
use segue_ports::queue::{Delivery, Lane, Resource, WorkQueue};

/// Runs every clause, each on empty queues without dead letters.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<Port>>,
{
    run_clauses!(factory, &caps;
        what_is_put_aside_is_told_with_its_reason,
        no_more_than_asked_for,
        a_look_leaves_them_where_they_are,
        sent_again_is_a_new_message,
        a_sleeper_wakes_when_one_is_sent_again,
        who_send_again_at_once_share_no_letter,
        removed_is_gone_for_good,
        what_waits_is_none_of_them,
        queues_are_apart,
        aside_again_is_one_letter,
    );
}

/// The same queues by both ports.
pub struct Port {
    /// The work queue.
    pub queue: Arc<dyn WorkQueue>,
    /// Its dead letters.
    pub letters: Arc<dyn DeadLetters>,
}

const QUEUE: Lane = Lane::Task(Resource::Cpu);
const REASON: &str = "not ours";

/// More than one page of any service.
const MANY: usize = 23;

fn bodies(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("letter {n:04}")).collect()
}

impl Port {
    /// Sends messages and dead-letters every one.
    async fn put_aside(&self, queue: Lane, bodies: &[String], caps: &Capabilities) {
        self.queue.send(queue, bodies, Duration::ZERO).await.unwrap();
        for _ in bodies {
            let taken = self.take(queue, caps).await;
            assert!(self.queue.dead_letter(queue, &taken.receipt, REASON).await.unwrap());
        }
    }

    async fn take(&self, queue: Lane, caps: &Capabilities) -> Delivery {
        let mut got = self.queue.receive(queue, 1, caps.long(), caps.long()).await.unwrap();
        assert_eq!(got.len(), 1, "nothing was delivered");
        got.remove(0)
    }

    /// Receives and acknowledges all messages; returns them in order.
    async fn drain(&self, queue: Lane, caps: &Capabilities) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let got = self.queue.receive(queue, 10, caps.long(), caps.short / 2).await.unwrap();
            if got.is_empty() {
                all.sort();
                return all;
            }
            for delivery in got {
                assert!(self.queue.ack(queue, &delivery.receipt).await.unwrap());
                all.push(delivery.body);
            }
        }
    }

    async fn list(&self, queue: Lane) -> Vec<DeadMessage> {
        let mut all = self.letters.list(queue, 1000).await.unwrap();
        all.sort_by(|a, b| a.body.cmp(&b.body));
        all
    }

    async fn dead(&self, queue: Lane) -> u64 {
        self.queue.depth(queue).await.unwrap().dead
    }
}

fn told(letters: &[DeadMessage]) -> Vec<String> {
    letters.iter().map(|letter| letter.body.clone()).collect()
}

/// Each is listed once, with its body and reason.
pub async fn what_is_put_aside_is_told_with_its_reason(port: Arc<Port>, caps: &Capabilities) {
    assert_eq!(port.list(QUEUE).await, [], "there are letters that nobody wrote");
    port.put_aside(QUEUE, &bodies(MANY), caps).await;
    let letters = port.list(QUEUE).await;
    assert_eq!(told(&letters), bodies(MANY));
    assert!(letters.iter().all(|letter| letter.reason.as_deref() == Some(REASON)), "{letters:?}");
    let ids: BTreeSet<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    assert_eq!(ids.len(), MANY, "an id names one letter");
}

/// `max` limits the listing; zero gives none.
pub async fn no_more_than_asked_for(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(MANY), caps).await;
    assert_eq!(port.letters.list(QUEUE, 0).await.unwrap(), []);
    assert_eq!(port.letters.redrive(QUEUE, 0).await.unwrap(), 0);
    assert_eq!(port.letters.redrive(QUEUE, 12).await.unwrap(), 12);
    assert_eq!(port.dead(QUEUE).await, (MANY - 12) as u64);
    assert_eq!(port.letters.list(QUEUE, 7).await.unwrap().len(), 7);
    assert_eq!(port.drain(QUEUE, caps).await.len(), 12);
}

/// Listing does not remove or hide letters.
pub async fn a_look_leaves_them_where_they_are(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(3), caps).await;
    let first = port.list(QUEUE).await;
    assert_eq!(port.dead(QUEUE).await, 3);
    assert_eq!(port.list(QUEUE).await, first, "a second look tells something else");
    assert_eq!(port.drain(QUEUE, caps).await, [""; 0], "a look sent something");
    assert_eq!(port.letters.redrive(QUEUE, 10).await.unwrap(), 3, "a look hid something");
}

/// The delivery count is reset, and it is no longer a dead letter.
pub async fn sent_again_is_a_new_message(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(2), caps).await;
    assert_eq!(port.letters.redrive(QUEUE, 1).await.unwrap(), 1);
    assert_eq!(port.letters.redrive(QUEUE, 10).await.unwrap(), 1, "what was sent is a letter still");
    assert_eq!(port.letters.redrive(QUEUE, 10).await.unwrap(), 0, "what was sent is a letter still");
    let mut again = Vec::new();
    for _ in 0..2 {
        let delivery = port.take(QUEUE, caps).await;
        assert_eq!(delivery.deliveries, 1, "a message that is sent again begins anew");
        assert!(port.queue.ack(QUEUE, &delivery.receipt).await.unwrap());
        again.push(delivery.body);
    }
    again.sort();
    assert_eq!(again, bodies(2));
    assert_eq!(port.drain(QUEUE, caps).await, [""; 0], "one was sent twice");
    assert_eq!(port.dead(QUEUE).await, 0);
}

/// A redriven message wakes a waiting receiver.
pub async fn a_sleeper_wakes_when_one_is_sent_again(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(1), caps).await;
    let sleeper = {
        let (port, caps) = (Arc::clone(&port), caps.clone());
        tokio::spawn(async move { port.take(QUEUE, &caps).await })
    };
    tokio::time::sleep(caps.settle).await;
    let sent = tokio::time::Instant::now();
    assert_eq!(port.letters.redrive(QUEUE, 1).await.unwrap(), 1);
    let redriven = tokio::time::Instant::now();
    assert_eq!(sleeper.await.expect("the sleeper").body, bodies(1)[0]);
    assert!(redriven.elapsed() <= caps.short, "{:?} after it was sent", sent.elapsed());
}

/// A redrive of all sends each once and leaves none.
pub async fn who_send_again_at_once_share_no_letter(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(MANY), caps).await;
    let calls = (0..caps.callers).map(|_| {
        let port = Arc::clone(&port);
        async move { port.letters.redrive(QUEUE, 1000).await.unwrap() }
    });
    assert_eq!(all_at_once(calls).await.into_iter().sum::<usize>(), MANY);
    assert_eq!(port.drain(QUEUE, caps).await, bodies(MANY));
    assert_eq!(port.dead(QUEUE).await, 0);
}

/// Purged letters are neither listed nor redriven.
pub async fn removed_is_gone_for_good(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(MANY), caps).await;
    assert_eq!(port.letters.purge(QUEUE).await.unwrap(), MANY);
    assert_eq!(port.dead(QUEUE).await, 0, "something stayed");
    assert_eq!(port.list(QUEUE).await, []);
    assert_eq!(port.letters.redrive(QUEUE, 1000).await.unwrap(), 0);
    assert_eq!(port.letters.purge(QUEUE).await.unwrap(), 0);
    assert_eq!(port.drain(QUEUE, caps).await, [""; 0]);
}

/// Purging does not affect visible messages or those in flight.
pub async fn what_waits_is_none_of_them(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(1), caps).await;
    let others = ["held".to_owned(), "waits".to_owned()];
    port.queue.send(QUEUE, &others, Duration::ZERO).await.unwrap();
    let held = port.take(QUEUE, caps).await;
    assert_eq!(port.letters.purge(QUEUE).await.unwrap(), 1);
    assert_eq!(port.letters.redrive(QUEUE, 10).await.unwrap(), 0);
    assert!(port.queue.ack(QUEUE, &held.receipt).await.unwrap(), "a message was taken from who held it");
    let rest = port.drain(QUEUE, caps).await;
    assert_eq!(
        (rest.len(), rest.contains(&held.body)),
        (1, false),
        "a message that waited is gone: {rest:?}"
    );
}

/// Dead letters of one queue are not visible on another.
pub async fn queues_are_apart(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &["mine".to_owned()], caps).await;
    port.put_aside(Lane::Plan, &["theirs".to_owned()], caps).await;
    assert_eq!(told(&port.list(QUEUE).await), ["mine"]);
    assert_eq!(port.letters.purge(QUEUE).await.unwrap(), 1);
    assert_eq!(port.letters.redrive(Lane::Plan, 10).await.unwrap(), 1, "another queue's are gone");
    assert_eq!(port.drain(QUEUE, caps).await, [""; 0]);
    assert_eq!(port.drain(Lane::Plan, caps).await, ["theirs"]);
}

/// A redriven message that is dead-lettered again is listed once, and can be redriven again.
pub async fn aside_again_is_one_letter(port: Arc<Port>, caps: &Capabilities) {
    port.put_aside(QUEUE, &bodies(1), caps).await;
    for _ in 0..2 {
        assert_eq!(port.letters.redrive(QUEUE, 10).await.unwrap(), 1);
        let poison = port.take(QUEUE, caps).await;
        assert!(port.queue.dead_letter(QUEUE, &poison.receipt, REASON).await.unwrap());
        assert_eq!(port.dead(QUEUE).await, 1);
    }
    assert_eq!(told(&port.list(QUEUE).await), bodies(1));
}
