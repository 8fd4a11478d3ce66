//! Conformance suite of the work queue.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Capabilities, Subject, run_clauses};
use segue_ports::queue::{Delivery, Lane, Resource, WorkQueue};

pub mod delivery;
pub mod receipts;

type Port = Arc<dyn WorkQueue>;

/// Runs every clause, each on an empty queue.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<dyn WorkQueue>>,
{
    run_clauses!(factory, &caps;
        delivery::what_is_sent_is_delivered,
        delivery::an_empty_queue_lets_go_in_time,
        delivery::a_delay_hides,
        delivery::no_more_than_asked_for,
        delivery::a_sleeper_wakes_when_something_is_sent,
        delivery::a_sleeper_wakes_when_a_delay_ends,
        delivery::receivers_never_share_a_delivery,
        delivery::queues_are_apart,
        delivery::depth_tells_what_is_there,
        receipts::what_is_not_acknowledged_comes_again,
        receipts::a_redelivery_voids_the_receipt,
        receipts::an_acknowledged_message_is_gone,
        receipts::a_late_acknowledgement_counts,
        receipts::an_extension_hides_on,
        receipts::zero_gives_it_back_at_once,
        receipts::a_dead_letter_is_put_aside,
        receipts::a_receipt_is_of_its_queue,
    );
}

const QUEUE: Lane = Lane::Task(Resource::Cpu);

fn bodies(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("message {n:04}")).collect()
}

async fn send(queue: &Port, bodies: &[String]) {
    queue.send(QUEUE, bodies, Duration::ZERO).await.unwrap();
}

/// The one message on the queue.
async fn take(queue: &Port, caps: &Capabilities, visibility: Duration) -> Delivery {
    let mut got = queue.receive(QUEUE, 1, visibility, caps.long()).await.unwrap();
    assert_eq!(got.len(), 1, "nothing was delivered");
    got.remove(0)
}

/// No message can be received for a while.
async fn is_quiet(queue: &Port, caps: &Capabilities) {
    let got = queue.receive(QUEUE, 10, caps.short, caps.short / 2).await.unwrap();
    assert_eq!(got, [], "something was delivered");
}
