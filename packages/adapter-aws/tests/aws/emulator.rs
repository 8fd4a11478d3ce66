//! Guarantees of the tests' emulator: nothing listens while it is stopped, it has its state when it is
//! started again, and it does not answer while it is frozen.

use std::time::Duration;

use crate::support::job;
use bytes::Bytes;
use segue_adapter_aws::testing::{Emulator, provision};
use segue_domain::Key;
use segue_ports::{
    Acquired, JobLedger, Lane, LeaseLedger, LeaseName, MediaStore, PutOptions, Resource, WorkQueue,
};

const QUEUE: Lane = Lane::Task(Resource::Cpu);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_started_again_knows_what_it_knew() {
    let emulator = Emulator::lasting();
    let deployment = provision(emulator.endpoint()).await;
    let backend = deployment.connect().await;
    let (key, name) =
        ("work/j/video/digest-00000/1/some".parse::<Key>().unwrap(), LeaseName::plan(&job("j").id));
    backend.store.put_bytes(&key, Bytes::from_static(b"some"), &PutOptions::default()).await.unwrap();
    backend.ledger.create_job(job("j")).await.unwrap();
    let Acquired::Held(lease) = backend.ledger.acquire(&name, &"a".parse().unwrap(), MINUTE).await.unwrap()
    else {
        panic!("nobody has it")
    };
    backend.queue.send(QUEUE, &["held".to_owned(), "waits".to_owned()], Duration::ZERO).await.unwrap();
    let held = backend.queue.receive(QUEUE, 1, MINUTE, Duration::ZERO).await.unwrap();

    emulator.stop();
    let refused = std::net::TcpStream::connect(emulator.endpoint().trim_start_matches("http://"));
    assert!(refused.is_err(), "something listens where it was");
    emulator.start_again();

    let backend = deployment.connect().await;
    assert_eq!(backend.store.get_bytes(&key, 100).await.unwrap(), b"some"[..]);
    assert!(backend.ledger.job(&job("j").id).await.unwrap().is_some());
    let other = backend.ledger.acquire(&name, &"b".parse().unwrap(), MINUTE).await.unwrap();
    assert!(matches!(other, Acquired::Busy(_)), "{other:?}");
    assert!(backend.ledger.renew(&lease, MINUTE).await.unwrap(), "its lease holds");
    let got = backend.queue.receive(QUEUE, 10, MINUTE, Duration::ZERO).await.unwrap();
    assert_eq!(got.len(), 1, "one of the two is hidden: {got:?}");
    assert_ne!(got[0].body, held[0].body);
    assert!(backend.queue.ack(QUEUE, &held[0].receipt).await.unwrap(), "its receipt holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_answers_when_it_goes_on() {
    let own = Emulator::lasting();
    let ledger = provision(own.endpoint()).await.connect().await.ledger;
    own.freeze();
    let mut asked = tokio::spawn(async move { ledger.create_job(job("j")).await });
    let soon = tokio::time::timeout(Duration::from_millis(500), &mut asked).await;
    assert!(soon.is_err(), "somebody answers: {soon:?}");
    own.thaw();
    asked.await.unwrap().unwrap();
}
