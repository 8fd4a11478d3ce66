//! Encodes the segments of a source, several at once, and leaves the parts and a concat list:
//! `encode SOURCE DIR SEGMENT_MS WORKERS THREADS [CODEC] [KEYFRAME_MS] [PRESET]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use segue_domain::recipe::{EncodeRecipe, Span, VideoCodec};
use segue_media::encode::{EncodeRequest, choose_encoder, encode_segment, plan_on_grid};
use segue_media::{Limits, MediaError, Tools, open_index, plan_cuts, probe};

#[tokio::main]
async fn main() -> Result<(), MediaError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, usual: u64| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(usual);
    let (source, dir) = (PathBuf::from(&args[0]), PathBuf::from(&args[1]));
    let (segment_ms, workers, threads) = (number(2, 10_000), number(3, 2), number(4, 1) as u32);
    let codec = match args.get(5).map(String::as_str) {
        Some("hevc") => VideoCodec::Hevc,
        Some("av1") => VideoCodec::Av1,
        _ => VideoCodec::H264,
    };
    let recipe = EncodeRecipe {
        codec,
        keyframe_interval: Span::from_millis(number(6, 5_000)),
        preset: args.get(7).cloned(),
        ..EncodeRecipe::default()
    };
    let limits = Limits::default();
    let tools = Tools::discover().await?;
    let facts = probe(&tools, &source).await?;
    let plan = plan_cuts(&tools, &source, &dir, segment_ms as i64 * 1000, &facts, &limits)
        .await?
        .ok_or_else(|| MediaError::source("no picture"))?;
    let open = open_index(&plan, &source, &dir)?;
    let plan = plan_on_grid(&plan, &open, &recipe, segment_ms as i64 * 1000)?;
    let stream = facts.streams[plan.stream as usize].clone();
    let encoder = choose_encoder(&tools, codec, &stream).await?;
    let all = Arc::new((tools, source, dir, plan, stream, recipe, limits));
    let next = Arc::new(AtomicU32::new(0));
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (all, next) = (all.clone(), next.clone());
        running.spawn(async move {
            let (tools, source, dir, plan, stream, recipe, limits) = &*all;
            let open = Arc::new(open_index(plan, source, dir)?);
            let track = plan.track_path(source, dir);
            loop {
                let segment = next.fetch_add(1, Ordering::Relaxed);
                if segment as usize >= plan.segments.len() {
                    return Ok::<(), MediaError>(());
                }
                let out = dir.join(format!("{segment:05}.mp4"));
                let request = EncodeRequest {
                    track: &track,
                    plan,
                    stream,
                    segment,
                    recipe,
                    encoder,
                    out: &out,
                    scratch: dir,
                    threads,
                };
                encode_segment(tools, Arc::clone(&open), &request, limits, |_| ()).await?;
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("a worker does not panic")?;
    }
    let (_, _, dir, plan, ..) = &*all;
    let list: String = (0..plan.segments.len()).map(|i| format!("file '{i:05}.mp4'\n")).collect();
    std::fs::write(dir.join("list.txt"), list).map_err(|e| MediaError::io("list.txt", &e))?;
    println!("{} segments in {} ms", plan.segments.len(), started.elapsed().as_millis());
    Ok(())
}
