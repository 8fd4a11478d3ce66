//! HTTP download that resumes an interrupted one by a range request.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use segue_domain::Failure;
use ureq::http::StatusCode;

use super::OnProgress;
use crate::failure;

/// Timeout of name resolution and of connecting; short, so that a machine without a network fails early.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout of the first and of each further read of a response.
const SILENCE: Duration = Duration::from_secs(30);
/// Maximum number of times that a broken transfer is resumed.
const ATTEMPTS: u32 = 5;

/// Why a download failed.
#[derive(Debug)]
pub enum Trouble {
    /// The server or the network; another source may work.
    Far(String),
    /// This machine; no other source will work.
    Disk(Failure),
}

/// Downloads `url` to `part`, appending to the bytes that `part` already holds.
pub fn download(url: &str, part: &Path, on_progress: OnProgress<'_>) -> Result<(), Trouble> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let disk =
        |error: std::io::Error| Trouble::Disk(failure::io(format!("writing {}", part.display()), &error));
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(disk)?;
    let ended = repeat(&agent, url, part, &mut file, on_progress);
    if file.metadata().is_ok_and(|found| found.len() == 0) {
        let _ = std::fs::remove_file(part);
    }
    ended
}

fn repeat(
    agent: &ureq::Agent,
    url: &str,
    part: &Path,
    file: &mut File,
    on_progress: OnProgress<'_>,
) -> Result<(), Trouble> {
    let disk =
        |error: std::io::Error| Trouble::Disk(failure::io(format!("writing {}", part.display()), &error));
    let mut attempt = 1;
    loop {
        let before = file.metadata().map_err(disk)?.len();
        match once(agent, url, file, before, on_progress) {
            Ok(()) => return Ok(()),
            Err(Once::Disk(error)) => return Err(disk(error)),
            Err(Once::Refused(why)) => return Err(Trouble::Far(why)),
            Err(Once::Broken(why)) => {
                let got_some = file.metadata().map_err(disk)?.len() > before;
                attempt = if got_some { 1 } else { attempt + 1 };
                if attempt > ATTEMPTS {
                    return Err(Trouble::Far(why));
                }
            }
        }
    }
}

enum Once {
    /// Permanent: a retry would give the same answer.
    Refused(String),
    /// The transfer broke off; a retry resumes it.
    Broken(String),
    Disk(std::io::Error),
}

fn once(
    agent: &ureq::Agent,
    url: &str,
    file: &mut File,
    have: u64,
    on_progress: OnProgress<'_>,
) -> Result<(), Once> {
    let request = agent.get(url).header("accept-encoding", "identity");
    let request = if have > 0 { request.header("range", format!("bytes={have}-")) } else { request };
    let mut response = request.call().map_err(|error| Once::Refused(format!("{url}: {error}")))?;
    let mut have = match response.status() {
        StatusCode::PARTIAL_CONTENT => have,
        // the file is complete already; the caller verifies its checksum
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
        StatusCode::OK => {
            file.set_len(0).map_err(Once::Disk)?;
            0
        }
        status => return Err(Once::Refused(format!("{url}: HTTP status {status}"))),
    };
    let total = response.body().content_length().map(|rest| have + rest);
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = body.read(&mut buffer).map_err(|error| Once::Broken(format!("{url}: {error}")))?;
        if read == 0 {
            break;
        }
        file.write_all(&buffer[..read]).map_err(Once::Disk)?;
        have += read as u64;
        on_progress(have, total);
    }
    match total {
        Some(total) if have < total => {
            Err(Once::Broken(format!("{url}: ended after {have} of {total} bytes")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    const BODY: &[u8] = b"0123456789abcdef";

    /// Serves [`BODY`]; closes the connection after `at_most` bytes of it in each response.
    fn serve(at_most: usize) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/model.bin", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines: Vec<String> = BufReader::new(&stream)
                    .lines()
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .collect();
                let range =
                    lines.iter().find_map(|l| l.to_lowercase().strip_prefix("range: ").map(str::to_owned));
                seen.lock().unwrap().push(range.clone().unwrap_or_default());
                let from: usize = range
                    .map(|r| r.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap())
                    .unwrap_or(0);
                let status = if from == 0 { "200 OK" } else { "206 Partial Content" };
                let rest = &BODY[from.min(BODY.len())..];
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    rest.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&rest[..rest.len().min(at_most)]);
            }
        });
        (url, ranges)
    }

    #[test]
    fn a_broken_transfer_is_gone_on_with() {
        let (url, ranges) = serve(7);
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("x.part");
        let mut last = (0, None);
        download(&url, &part, &mut |done, total| last = (done, total)).unwrap();
        assert_eq!(std::fs::read(&part).unwrap(), BODY);
        assert_eq!(last, (16, Some(16)));
        assert_eq!(*ranges.lock().unwrap(), ["", "bytes=7-", "bytes=14-"]);
    }

    #[test]
    fn what_an_earlier_process_got_is_kept() {
        let (url, ranges) = serve(100);
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("x.part");
        std::fs::write(&part, &BODY[..10]).unwrap();
        download(&url, &part, &mut |_, _| {}).unwrap();
        assert_eq!(std::fs::read(&part).unwrap(), BODY);
        assert_eq!(*ranges.lock().unwrap(), ["bytes=10-"]);
    }

    #[test]
    fn a_place_that_cannot_be_reached_is_said_soon() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let started = std::time::Instant::now();
        let trouble = download(&format!("http://{closed}/x"), &dir.path().join("x"), &mut |_, _| {});
        assert!(matches!(trouble, Err(Trouble::Far(_))), "{trouble:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(!dir.path().join("x").exists(), "an empty file was left behind");
    }
}
