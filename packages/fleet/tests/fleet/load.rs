//! The measurements, small: what they count is real, whatever it came to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use segue_fleet::arrival::measure;
use segue_fleet::load::{large, many};

/// 20 MB that nobody needs whole to begin with.
fn source(dir: &Path) -> PathBuf {
    let path = dir.join("source.mp4");
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"])
        .arg("testsrc2=size=320x180:rate=25:duration=60,noise=alls=60:allf=t")
        .args(["-f", "lavfi", "-i", "sine=frequency=440:duration=60", "-c:v", "libx264", "-g", "50"])
        .args(["-preset", "ultrafast", "-b:v", "4M", "-c:a", "aac", "-movflags", "+faststart"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_segment_is_worked_on_before_the_source_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let harness = Path::new(env!("CARGO_BIN_EXE_segue-fleet"));
    let arrival = measure(&source(dir.path()), Duration::from_secs(5), harness).await.unwrap();
    let (ours, peer, all) = (arrival.ours, arrival.peer, arrival.source_bytes);
    assert!(ours.bytes.0 > 0 && ours.bytes.0 < all / 2, "{} of {all} bytes", ours.bytes.0);
    assert!(ours.bytes.0 < ours.bytes.1 && ours.bytes.1 < all, "{:?} of {all} bytes", ours.bytes);
    // down and up again
    assert!(peer.bytes.0 >= 2 * all - all / 10, "{} of {all} bytes", peer.bytes.0);
    assert!(ours.requests > 0 && peer.requests > 0 && ours.peak_bytes > 0 && peer.peak_bytes > 0);
}

#[tokio::test]
async fn a_job_of_many_segments_costs_each_the_same() {
    let (few, more) = (large(30, 2).await.unwrap(), large(120, 2).await.unwrap());
    assert!(few.ledger_calls() > 1.0 && more.ledger_calls() < few.ledger_calls() * 1.2, "{few}\n{more}");
    let (a, b) = (few.traffic.of("DynamoDB").largest, more.traffic.of("DynamoDB").largest);
    assert!(a > 0 && b <= a + 16, "{few}\n{more}");
    // ten messages at once at most, in either
    assert!(more.traffic.largest_message <= few.traffic.largest_message + 40, "{few}\n{more}");
}

#[tokio::test]
async fn many_jobs_all_end() {
    let many = many(12, 3).await.unwrap();
    assert_eq!((many.jobs, many.workers), (12, 3));
    assert!(many.overtaken <= 6 && many.spans[2] > Duration::ZERO, "{many}");
}
