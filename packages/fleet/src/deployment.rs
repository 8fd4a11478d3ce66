//! `segue-fleet deployment`: a deployment on an emulator for as long as somebody asks for it, by
//! lines on stdin that are answered with JSON on stdout. So a harness that knows no vendor can
//! torture a fleet on one.
//!
//! `fetch JOB DIR` copies the files of a job's manifest and the manifest itself, `left` names what is on its way, `down` and `up`
//! let the services be gone and there again.

use std::path::Path;

use anyhow::{Context, Result, bail};
use segue_domain::{JobId, Key};
use segue_ports::MediaStore;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

use crate::{Fleet, Tuning, Weather, oracle};

/// Answers until stdin ends.
///
/// # Errors
/// An emulator that does not start.
pub async fn serve() -> Result<()> {
    let fleet = Fleet::new(Tuning::default()).await?;
    let environment: serde_json::Map<String, Value> =
        fleet.environment(&[]).into_iter().map(|(name, value)| (name, value.into())).collect();
    println!("{}", json!({ "environment": environment }));
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = answer(&fleet, &line).await;
        println!("{}", answer.unwrap_or_else(|error| json!({ "error": format!("{error:#}") })));
    }
    Ok(())
}

async fn answer(fleet: &Fleet, line: &str) -> Result<Value> {
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    match words.as_slice() {
        ["fetch", job, folder] => fetch(fleet, &job.parse()?, Path::new(folder)).await,
        ["left"] => Ok(json!({ "left": oracle::left(fleet).await? })),
        ["down"] => Ok(weather(fleet, Weather::Down)),
        ["up"] => Ok(weather(fleet, Weather::Fair)),
        _ => bail!("nothing is known of {line:?}"),
    }
}

fn weather(fleet: &Fleet, weather: Weather) -> Value {
    fleet.proxy.set(weather);
    json!({})
}

async fn fetch(fleet: &Fleet, job: &JobId, folder: &Path) -> Result<Value> {
    let store = &fleet.backend.store;
    let mut count = 0;
    let prefix = Key::published_prefix(job);
    let page = store.list(&prefix, None, 1000).await?;
    for object in page.objects {
        let key: Key = object.key.parse()?;
        let name = object.key.strip_prefix(&prefix).context("a key of another job")?;
        // an index is for the next roles, the files of the manifest are for people
        if name.starts_with("outputs/") {
            continue;
        }
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = store.get_file(&key, fleet.dir()).await?;
        std::fs::copy(&file, &path).with_context(|| object.key.clone())?;
        std::fs::remove_file(&file)?;
        count += 1;
    }
    Ok(json!({ "fetched": count }))
}
