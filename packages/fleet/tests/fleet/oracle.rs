//! The oracle sees what it is there to see.

use std::time::Duration;

use bytes::Bytes;
use segue_domain::{JobId, Key, Message};
use segue_fleet::{Fleet, Tuning, clip, oracle};
use segue_ports::{Lane, MediaStore, PutOptions, WorkQueue};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_doubled_or_left_is_seen() {
    let fleet = Fleet::new(Tuning::default()).await.unwrap();
    let job: JobId = "seen".parse().unwrap();
    let nothing = oracle::judge(&fleet, &job).await.unwrap();
    assert!(nothing.lost && !nothing.doubled, "{nothing:?}");

    let mut crew = fleet.start("planner,worker,assembler,sweeper").unwrap();
    fleet.put("input/seen/source.mp4", &clip(fleet.dir()).unwrap()).await.unwrap();
    fleet.ended(&job, Duration::from_secs(120)).await.unwrap();
    oracle::quiet(&fleet, Duration::from_secs(60)).await.unwrap();
    crew.drain().await.unwrap();
    let good = oracle::judge(&fleet, &job).await.unwrap();
    assert!(!good.lost && !good.doubled && good.wrong.is_empty(), "{good:?}");

    let put = async |key: &str| {
        let key: Key = key.parse().unwrap();
        fleet.backend.store.put_bytes(&key, Bytes::from_static(b"x"), &PutOptions::default()).await.unwrap();
        key
    };
    let second = put("jobs/seen/final.mkv").await;
    assert!(oracle::judge(&fleet, &job).await.unwrap().doubled, "a second result");
    fleet.backend.store.delete(&second).await.unwrap();

    let orphan = put("work/seen/video/digest-00000/9/part.mov").await;
    assert!(oracle::quiet(&fleet, Duration::from_secs(1)).await.is_err(), "an orphan");
    fleet.backend.store.delete(&orphan).await.unwrap();

    let body = Message::Assemble { job: job.clone(), output: "video".parse().unwrap() }.encode();
    fleet.backend.queue.send(Lane::Assemble, &[body], Duration::ZERO).await.unwrap();
    assert!(oracle::quiet(&fleet, Duration::from_secs(1)).await.is_err(), "a message");

    fleet.backend.store.delete(&"jobs/seen/final.mp4".parse().unwrap()).await.unwrap();
    assert!(oracle::judge(&fleet, &job).await.unwrap().lost, "a result that is gone");
}
