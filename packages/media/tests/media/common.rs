//! Small files made by ffmpeg, and the pipeline from a source to a certified join.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use segue_media::assemble::read_part;
use segue_media::map_command::{MapCommand, MapTask};
use segue_media::part::{ledger_of, part_extension, part_path};
use segue_media::{
    Certificate, CertifyRequest, JoinParts, JoinReport, JoinRequest, Limits, MediaError, OpenIndex,
    PicturePlan, SourceFacts, Tools, certify, copy_part, digest_part, join, lossless_part, open_index,
    plan_cuts, probe,
};

/// Runs ffmpeg; the arguments are split at spaces.
pub fn ffmpeg(dir: &Path, args: &str) {
    let status = Command::new("ffmpeg")
        .current_dir(dir)
        .args(["-nostdin", "-v", "error", "-y"])
        .args(args.split_whitespace())
        .status()
        .unwrap();
    assert!(status.success(), "{args}");
}

/// A talk of some seconds with a tone, as `name` in `dir`.
pub fn talk(dir: &Path, name: &str, picture: &str, rest: &str) -> PathBuf {
    let inputs = "-f lavfi -i testsrc2=s=160x90:r=30000/1001 -f lavfi -i sine=f=440:r=48000";
    ffmpeg(dir, &format!("{inputs} -t 5 {picture} {rest} {name}"));
    dir.join(name)
}

/// A join and its inputs.
pub struct Joined {
    pub tools: Tools,
    pub source: PathBuf,
    pub facts: SourceFacts,
    pub plan: Option<PicturePlan>,
    pub open: Option<Arc<OpenIndex>>,
    pub ledgers: Vec<segue_media::PartLedger>,
    pub report: JoinReport,
    pub work: tempfile::TempDir,
}

impl Joined {
    pub async fn certificate(&self) -> Certificate {
        self.try_certificate().await.unwrap()
    }

    pub async fn try_certificate(&self) -> Result<Certificate, MediaError> {
        let about = CertifyRequest {
            source: &self.source,
            facts: &self.facts,
            picture: self.plan.as_ref().zip(self.open.as_deref()),
            ledgers: &self.ledgers,
            joined: &self.report,
            work: self.work.path(),
        };
        certify(&self.tools, &about, &Limits::default()).await
    }
}

/// Cuts at every second and joins again.
pub async fn rejoin(source: &Path, out: &Path, map: Option<&str>) -> Result<Joined, MediaError> {
    let tools = Tools::discover().await?;
    let work = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let facts = probe(&tools, source).await?;
    let plan = plan_cuts(&tools, source, work.path(), 1_000_000, &facts, &limits).await?;
    let open = plan.as_ref().map(|p| open_index(p, source, work.path())).transpose()?.map(Arc::new);
    let picture = plan.as_ref().zip(open.as_deref());
    let (mut ledgers, mut files) = (Vec::new(), None);
    if let Some((plan, open)) = plan.as_ref().zip(open.as_ref()) {
        match map {
            None => {
                for segment in &plan.segments {
                    ledgers.push(digest_part(open, segment)?);
                }
            }
            Some(line) => {
                let parts = mapped(&tools, plan, open, &facts, line, work.path()).await?;
                for (segment, file) in plan.segments.iter().zip(&parts) {
                    ledgers.push(ledger_of(&read_part(file, segment)?, segment)?);
                }
                files = Some(parts);
            }
        }
    }
    let codec = match &files {
        Some(files) => probe(&tools, &files[0]).await?.primary_video().and_then(|s| s.codec.clone()),
        None => None,
    };
    let track = plan.as_ref().map_or(source.to_owned(), |p| p.track_path(source, work.path()));
    let report = join(
        &tools,
        &JoinRequest {
            source,
            facts: &facts,
            picture,
            track: &track,
            parts: files.as_deref().map_or(JoinParts::ByReference, JoinParts::Files),
            mapped_codec: codec.as_deref(),
            audio: &[],
            subtitles: &[],
            container: None,
            work: work.path(),
            out_dir: out,
            stem: "final",
            progress: &|_| {},
        },
        &limits,
    )
    .await?;
    Ok(Joined { tools, source: source.to_owned(), facts, plan, open, ledgers, report, work })
}

async fn mapped(
    tools: &Tools,
    plan: &PicturePlan,
    open: &Arc<OpenIndex>,
    facts: &SourceFacts,
    line: &str,
    work: &Path,
) -> Result<Vec<PathBuf>, MediaError> {
    let (map, lossless) = (MapCommand::parse(line)?, !plan.all_closed());
    let mut parts = Vec::new();
    for segment in &plan.segments {
        let input = part_path(work, plan, segment, lossless);
        match lossless {
            true => {
                let stream = facts.primary_video().unwrap();
                lossless_part(tools, Arc::clone(open), plan, stream, segment, &input, 1, &Limits::default())
                    .await?;
            }
            false => drop(copy_part(open, plan, segment, &input)?),
        }
        let output = work.join(format!("out{}.{}", segment.index, part_extension(plan, lossless)));
        let task = MapTask {
            what: "a segment",
            input: &input,
            output: &output,
            index: segment.index,
            total: plan.segments.len() as u32,
            start_us: plan.timebase.to_micros(segment.range.start),
            end_us: plan.timebase.to_micros(segment.range.end),
            job: "test",
        };
        map.run(&task, &Limits::default()).await?;
        parts.push(output);
    }
    Ok(parts)
}
