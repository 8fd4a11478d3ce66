//! Cases specific to SQS: long delays, many messages, dead letters.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use segue_adapter_aws::AwsBackend;
use segue_adapter_aws::testing::{Provisioned, emulator, provision, provision_lanes};
use segue_ports::{Lane, PortErrorKind, Resource, WorkQueue};

const QUEUE: Lane = Lane::Task(Resource::Cpu);
const MINUTE: Duration = Duration::from_secs(60);

async fn open() -> (Provisioned, AwsBackend) {
    let deployment = provision(emulator().endpoint()).await;
    let backend = deployment.connect().await;
    (deployment, backend)
}

/// The rest of a long delay is waited for, and does not count as a delivery.
#[tokio::test]
async fn a_delay_goes_on_where_sqs_ends_it() {
    let (deployment, backend) = open().await;
    let client = aws_sdk_sqs::Client::new(&deployment.sdk().await);
    let still = MessageAttributeValue::builder().data_type("Number").string_value("2").build().unwrap();
    let sent = Instant::now();
    client
        .send_message()
        .queue_url(&deployment.settings.queues.task_cpu)
        .message_body("late")
        .message_attributes("segue-still-s", still)
        .send()
        .await
        .unwrap();
    let none = backend.queue.receive(QUEUE, 10, MINUTE, Duration::ZERO).await.unwrap();
    assert_eq!(none, [], "it came before its time");
    let got = backend.queue.receive(QUEUE, 10, MINUTE, MINUTE).await.unwrap();
    assert_eq!((got.len(), got[0].body.as_str(), got[0].deliveries), (1, "late", 1));
    assert!(sent.elapsed() >= Duration::from_secs(2));
    assert!(backend.queue.ack(QUEUE, &got[0].receipt).await.unwrap());
    let depth = backend.queue.depth(QUEUE).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 0, 0));
}

/// A delay above SQS's maximum: the message is on the queue, and not visible.
#[tokio::test]
async fn an_hour_is_a_delay() {
    let (_, backend) = open().await;
    backend.queue.send(QUEUE, &["x".to_owned()], Duration::from_secs(3600)).await.unwrap();
    assert_eq!(backend.queue.receive(QUEUE, 10, MINUTE, Duration::from_secs(1)).await.unwrap(), []);
    assert_eq!(backend.queue.depth(QUEUE).await.unwrap().waiting, 1);
}

/// More and larger messages than one request takes.
#[tokio::test]
async fn many_and_large_messages_are_all_sent() {
    let (_, backend) = open().await;
    let mut bodies: Vec<String> = (0..25).map(|n| format!("{n:02}{}", "x".repeat(60_000))).collect();
    backend.queue.send(QUEUE, &bodies, Duration::ZERO).await.unwrap();
    let mut got = Vec::new();
    loop {
        let more = backend.queue.receive(QUEUE, 100, MINUTE, Duration::ZERO).await.unwrap();
        if more.is_empty() {
            break;
        }
        got.extend(more.into_iter().map(|d| d.body));
    }
    got.sort();
    bodies.sort();
    assert!(got == bodies, "{} of {} came", got.len(), bodies.len());
}

#[tokio::test]
async fn dead_letters_are_looked_at_and_sent_back() {
    let (_, backend) = open().await;
    let queue = &backend.queue;
    queue.send(QUEUE, &["a".to_owned(), "b".to_owned()], Duration::ZERO).await.unwrap();
    for delivery in queue.receive(QUEUE, 10, MINUTE, Duration::ZERO).await.unwrap() {
        assert!(queue.dead_letter(QUEUE, &delivery.receipt, "not ours\nat all").await.unwrap());
    }
    assert_eq!(queue.depth(QUEUE).await.unwrap().dead, 2);
    let mut letters = queue.dead_letters(QUEUE, 10).await.unwrap();
    letters.sort_by(|a, b| a.body.cmp(&b.body));
    let seen: Vec<_> = letters.iter().map(|l| (l.body.as_str(), l.reason.as_deref())).collect();
    assert_eq!(seen, [("a", Some("not ours at all")), ("b", Some("not ours at all"))]);

    // listing hides them from no later receiver
    assert_eq!(queue.redrive(QUEUE, 1).await.unwrap(), 1);
    assert_eq!(queue.redrive(QUEUE, 10).await.unwrap(), 1);
    let again = queue.receive(QUEUE, 10, MINUTE, Duration::from_secs(1)).await.unwrap();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|d| d.deliveries == 1), "a redriven message begins anew");
    assert_eq!(queue.depth(QUEUE).await.unwrap().dead, 0);
}

/// A message whose receivers all die is dead-lettered by SQS itself.
#[tokio::test]
async fn a_message_that_kills_its_receivers_is_put_aside() {
    let (deployment, backend) = open().await;
    let client = aws_sdk_sqs::Client::new(&deployment.sdk().await);
    let url = &deployment.settings.queues.task_cpu;
    let asked =
        client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::RedrivePolicy);
    let policy = asked.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::RedrivePolicy].clone();
    let mut policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
    policy["maxReceiveCount"] = 2.into();
    let set = client.set_queue_attributes().queue_url(url);
    set.attributes(QueueAttributeName::RedrivePolicy, policy.to_string()).send().await.unwrap();

    backend.queue.send(QUEUE, &["x".to_owned()], Duration::ZERO).await.unwrap();
    for _ in 0..2 {
        let got = backend.queue.receive(QUEUE, 1, Duration::from_secs(1), MINUTE).await.unwrap();
        assert_eq!(got.len(), 1);
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(backend.queue.receive(QUEUE, 1, MINUTE, Duration::from_secs(1)).await.unwrap(), []);
    let letters = backend.queue.dead_letters(QUEUE, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_deref()), (1, None));
}

#[tokio::test]
async fn a_queue_without_dead_letters_says_so() {
    let (mut deployment, backend) = open().await;
    let client = aws_sdk_sqs::Client::new(&deployment.sdk().await);
    let bare = client.create_queue().queue_name(format!("bare-{}", std::process::id())).send().await.unwrap();
    deployment.settings.queues.task_cpu = bare.queue_url.unwrap();
    drop(backend);
    let queue = deployment.connect().await.queue;
    queue.send(QUEUE, &["x".to_owned()], Duration::ZERO).await.unwrap();
    let got = queue.receive(QUEUE, 1, MINUTE, Duration::ZERO).await.unwrap();
    let error = queue.dead_letter(QUEUE, &got[0].receipt, "poison").await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Environment, "{error}");
    assert!(queue.ack(QUEUE, &got[0].receipt).await.unwrap(), "nothing happened to the message");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_an_error_of_the_deployment() {
    let (mut deployment, _) = open().await;
    deployment.settings.queues.task_cpu.push_str("-nowhere");
    let queue = deployment.connect().await.queue;
    let missing = queue.receive(QUEUE, 1, MINUTE, Duration::ZERO).await.unwrap_err();
    assert_eq!(missing.kind, PortErrorKind::Environment, "{missing}");
}

#[tokio::test]
async fn a_lane_without_a_queue_names_the_variable() {
    let (_, backend) = open().await;
    for (lane, variable) in [
        (Lane::Task(Resource::Net), "NET_QUEUE_URL"),
        (Lane::Ingest, "INGEST_QUEUE_URL"),
        (Lane::Notify, "NOTIFY_QUEUE_URL"),
        (Lane::Study, "STUDY_QUEUE_URL"),
    ] {
        let refused = backend.queue.send(lane, &["x".to_owned()], Duration::ZERO).await.unwrap_err();
        assert_eq!(refused.kind, PortErrorKind::Environment, "{refused}");
        assert!(refused.message.contains(variable), "{refused}");
    }
}

/// Tasks that need a GPU are sent to the other tasks' queue where they have no queue of their own.
#[tokio::test]
async fn gpu_tasks_have_their_own_queue_or_that_of_the_other_tasks() {
    let gpu = Lane::Task(Resource::Gpu);
    let (_, backend) = open().await;
    backend.queue.send(gpu, &["x".to_owned()], Duration::ZERO).await.unwrap();
    let got = backend.queue.receive(QUEUE, 1, MINUTE, MINUTE).await.unwrap();
    assert_eq!(got[0].body, "x");
    assert!(backend.queue.ack(QUEUE, &got[0].receipt).await.unwrap());

    let backend = provision_lanes(emulator().endpoint(), &[gpu]).await.connect().await;
    backend.queue.send(gpu, &["x".to_owned()], Duration::ZERO).await.unwrap();
    assert_eq!(backend.queue.receive(QUEUE, 1, MINUTE, Duration::ZERO).await.unwrap(), []);
    let got = backend.queue.receive(gpu, 1, MINUTE, MINUTE).await.unwrap();
    assert!(!backend.queue.ack(QUEUE, &got[0].receipt).await.unwrap(), "a receipt of another lane");
    assert!(backend.queue.ack(gpu, &got[0].receipt).await.unwrap());
}
