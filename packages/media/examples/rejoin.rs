//! Cuts a source and joins it again, by reference or through a map command.
//!
//! `rejoin SOURCE OUTDIR [--segment-duration 2s] [--map 'cp {input} {output}']`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use segue_media::assemble::read_part;
use segue_media::map_command::{MapCommand, MapTask};
use segue_media::part::{ledger_of, part_extension, part_path};
use segue_media::{
    CertifyRequest, JoinParts, JoinReport, JoinRequest, Limits, MediaError, OpenIndex, PicturePlan, Result,
    SourceFacts, Tools, certify, copy_part, digest_part, join, lossless_part, open_index, plan_cuts, probe,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            e.stderr_tail().iter().for_each(|l| eprintln!("  {l}"));
            ExitCode::from(3)
        }
    }
}

async fn run() -> Result<JoinReport> {
    let mut args = std::env::args().skip(1);
    let (mut paths, mut length_us, mut map) = (Vec::new(), 2_000_000, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--segment-duration" => {
                let value = args.next().unwrap_or_default();
                let seconds: f64 = value.trim_end_matches('s').parse().unwrap_or(2.0);
                length_us = (seconds * 1e6) as i64;
            }
            "--map" => map = Some(MapCommand::parse(&args.next().unwrap_or_default())?),
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    let [source, out_dir] = paths.as_slice() else {
        return Err(MediaError::usage("rejoin SOURCE OUTDIR [--segment-duration 2s] [--map COMMAND]"));
    };
    let tools = Tools::discover().await?;
    std::fs::create_dir_all(out_dir).map_err(|e| MediaError::io(out_dir.display(), &e))?;
    let work = tempfile::tempdir_in(out_dir).map_err(|e| MediaError::io(out_dir.display(), &e))?;
    let limits = Limits::default();
    let facts = probe(&tools, source).await?;
    let plan = plan_cuts(&tools, source, work.path(), length_us, &facts, &limits).await?;
    let open = plan.as_ref().map(|p| open_index(p, source, work.path())).transpose()?.map(Arc::new);
    let picture = plan.as_ref().zip(open.as_deref());
    if let Some((plan, _)) = picture {
        eprintln!(
            "{} segments, {} packets, closed {}, {:?}, lost {:?}, read {} bytes",
            plan.segments.len(),
            plan.packets,
            plan.all_closed(),
            plan.track,
            plan.lost,
            plan.bytes_read
        );
    }
    let mut ledgers = Vec::new();
    let parts = match (plan.as_ref().zip(open.as_ref()), &map) {
        (Some((plan, open)), Some(map)) => {
            Some(mapped(&tools, plan, open, &facts, map, work.path(), &limits).await?)
        }
        (Some((plan, open)), None) => {
            for segment in &plan.segments {
                ledgers.push(digest_part(open, segment)?);
            }
            None
        }
        _ => None,
    };
    if let (Some(files), Some(plan)) = (&parts, &plan) {
        for (segment, file) in plan.segments.iter().zip(files) {
            ledgers.push(ledger_of(&read_part(file, segment)?, segment)?);
        }
    }
    let track = plan.as_ref().map_or(source.clone(), |p| p.track_path(source, work.path()));
    let mapped_codec = match (&parts, &plan) {
        (Some(files), Some(_)) => Some(probe(&tools, &files[0]).await?),
        _ => None,
    };
    let codec = mapped_codec.as_ref().and_then(|f| f.primary_video()).and_then(|s| s.codec.clone());
    let joined = join(
        &tools,
        &JoinRequest {
            source,
            facts: &facts,
            picture,
            track: &track,
            parts: parts.as_deref().map_or(JoinParts::ByReference, JoinParts::Files),
            mapped_codec: codec.as_deref(),
            audio: &[],
            subtitles: &[],
            container: None,
            work: work.path(),
            out_dir,
            stem: "final",
            progress: &|_| {},
        },
        &limits,
    )
    .await?;
    let about = CertifyRequest {
        source,
        facts: &facts,
        picture,
        ledgers: &ledgers,
        joined: &joined,
        work: work.path(),
    };
    let certificate = certify(&tools, &about, &limits).await?;
    eprintln!("certificate passed: {} {:?}", certificate.passed, certificate.failures);
    if !certificate.passed {
        eprintln!("{}", serde_json::to_string(&certificate).unwrap_or_default());
    }
    Ok(joined)
}

async fn mapped(
    tools: &Tools,
    plan: &PicturePlan,
    open: &Arc<OpenIndex>,
    facts: &SourceFacts,
    map: &MapCommand,
    work: &Path,
    limits: &Limits,
) -> Result<Vec<PathBuf>> {
    let lossless = !plan.all_closed();
    let (cut_dir, out_dir) = (work.join("in"), work.join("out"));
    for dir in [&cut_dir, &out_dir] {
        std::fs::create_dir_all(dir).map_err(|e| MediaError::io(dir.display(), &e))?;
    }
    let stream = facts.primary_video().ok_or_else(|| MediaError::internal("no picture"))?;
    let mut parts = Vec::new();
    for segment in &plan.segments {
        let input = part_path(&cut_dir, plan, segment, lossless);
        if lossless {
            lossless_part(tools, Arc::clone(open), plan, stream, segment, &input, 2, limits).await?;
        } else {
            copy_part(open, plan, segment, &input)?;
        }
        let output = out_dir.join(format!("{:05}.{}", segment.index, part_extension(plan, lossless)));
        let task = MapTask {
            what: "a segment",
            input: &input,
            output: &output,
            index: segment.index,
            total: plan.segments.len() as u32,
            start_us: plan.timebase.to_micros(segment.range.start),
            end_us: plan.timebase.to_micros(segment.range.end),
            job: "example",
        };
        map.run(&task, limits).await?;
        parts.push(output);
    }
    Ok(parts)
}
