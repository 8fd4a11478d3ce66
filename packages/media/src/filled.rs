//! Joins encoded parts with memory use that does not grow with a muxer's packet lists.
//!
//! ffmpeg's muxer writes a file of the first packets of video and audio, with
//! all other streams and metadata: tags, chapters, languages, subtitles, start offsets. This crate writes the tables of
//! all packets ([`mp4::fill`]), and the packets are copied unchanged. A file
//! that cannot be written so is left to the muxer; either way the certificate verifies the result.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::assemble::{self, Assembled};
use crate::container::{Fate, FinalContainer, Fit};
use crate::error::{MediaError, MediaErrorKind, Result};
use crate::facts::StreamKind;
use crate::hash::PIECE;
use crate::join::{self, JoinRequest};
use crate::mp4::{self, CountedFile, Filled, FilledRun, Filling, TrackChoice};
use crate::mux::PictureInput;
use crate::plan::open_at;
use crate::process::{Finished, Limits};
use crate::tools::Tools;
use crate::view::{self, View};

/// Packets of each track that the muxer gets: enough to determine the start of the track.
const FIRST_PACKETS: usize = 64;

/// Joins the assembled video and the encoded audio into `partial`; `None` if only the muxer can
/// write this file.
pub(crate) async fn mux(
    tools: &Tools,
    request: &JoinRequest<'_>,
    assembled: &Assembled,
    fit: &Fit,
    partial: &Path,
    limits: &Limits,
) -> Result<Option<Finished>> {
    let Some(places) = places(request, assembled, fit) else { return Ok(None) };
    let skeleton = request.work.join(format!("first.{}", fit.container.extension()));
    let made = match first_packets(tools, request, assembled, fit, &skeleton, limits).await {
        Ok(finished) => finished,
        // errors of this path are dropped: the muxer reports its own on the complete input
        Err(e) if e.kind() == MediaErrorKind::Source => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bodies = vec![assembled.bodies.clone()];
    bodies.extend(request.audio.iter().map(|sound| vec![sound.path.clone()]));
    let mut fillings = vec![assembled.filling(places.picture)];
    for (sound, track) in request.audio.iter().zip(&places.sounds) {
        fillings.push(sound_filling(&sound.path, *track)?);
    }
    let (out, cancel) = (partial.to_owned(), limits.cancel.clone());
    let written = tokio::task::spawn_blocking(move || {
        let movie = CountedFile::new(open(&skeleton)?).map_err(|e| MediaError::io(skeleton.display(), &e))?;
        let filled = match mp4::fill(&movie, fillings) {
            Ok(filled) => filled,
            Err(why) => {
                tracing::debug!(%why, "falling back to the muxer");
                return Ok(false);
            }
        };
        write(&filled, &skeleton, &bodies, &out, &cancel)?;
        // a missing file counts as removed
        let _ = fs::remove_file(&skeleton);
        Ok(true)
    });
    let written =
        written.await.map_err(|e| MediaError::internal(format!("the joining task failed: {e}")))??;
    Ok(written.then_some(made))
}

/// The tracks of the result that are filled.
struct TrackPlaces {
    picture: usize,
    sounds: Vec<usize>,
}

/// The tracks of video and audio, if no other track is long.
fn places(request: &JoinRequest<'_>, assembled: &Assembled, fit: &Fit) -> Option<TrackPlaces> {
    let (plan, _) = request.picture?;
    let long = assembled.track.samples.len() > FIRST_PACKETS;
    if fit.container == FinalContainer::Mkv || !long || assembled.track.samples.iter().any(|s| s.hidden) {
        return None;
    }
    // a cover is not a track, and a dropped stream has none
    let tracks = request.facts.streams.iter().zip(&fit.fates).filter(|(stream, fate)| {
        stream.kind != StreamKind::Picture && matches!(fate, Fate::Copy | Fate::Convert(_))
    });
    let mut picture = None;
    let mut sounds = BTreeMap::new();
    for (track, (stream, fate)) in tracks.enumerate() {
        let made = request.audio.iter().any(|sound| sound.stands_for == stream.index);
        match stream.kind {
            _ if stream.index == plan.stream => picture = Some(track),
            StreamKind::Audio if made && *fate == Fate::Copy => {
                sounds.insert(stream.index, track);
            }
            StreamKind::Audio | StreamKind::Video => return None,
            _ => {}
        }
    }
    let sounds = request.audio.iter().map(|sound| sounds.get(&sound.stands_for).copied());
    Some(TrackPlaces { picture: picture?, sounds: sounds.collect::<Option<_>>()? })
}

/// The muxer's file of the first packets.
async fn first_packets(
    tools: &Tools,
    request: &JoinRequest<'_>,
    assembled: &Assembled,
    fit: &Fit,
    out: &Path,
    limits: &Limits,
) -> Result<Finished> {
    let (plan, _) = request.picture.ok_or_else(|| MediaError::internal("a join of no picture"))?;
    let movie = assemble::write_virtual(&assembled.first_packets(FIRST_PACKETS), request.work)?;
    let offset_us = plan.timebase.to_micros(movie.origin + plan.anchor);
    let decoder = join::decoder(request.parts, plan);
    let (list, files, stands_for) = (movie.list, movie.files, plan.stream);
    let picture = PictureInput { list, files, offset_us, stands_for, decoder };
    let mut views: Vec<(PathBuf, View)> = Vec::new();
    for path in request.audio.iter().map(|sound| sound.path.as_path()).chain([request.source]) {
        views.extend(view::of_first_packets(path, FIRST_PACKETS, None)?.map(|view| (path.to_owned(), view)));
    }
    join::run_mux(tools, request, Some(&picture), fit, &views, out, limits).await
}

/// The encoded audio as a track to fill.
fn sound_filling(path: &Path, track: usize) -> Result<Filling> {
    // an encoder's file has one track
    let index = open_at(path, TrackChoice::Id(1))?.index;
    let mp4::Track { timescale, samples, last_duration, .. } = index.track;
    Ok(Filling { track, timescale, samples, last_duration })
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| MediaError::io(path.display(), &e))
}

/// Writes the filled file: its header, and ranges of the muxer's file and of the bodies.
pub(crate) fn write(
    filled: &Filled,
    skeleton: &Path,
    bodies: &[Vec<PathBuf>],
    out: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    let skeleton = Bodies::open(&[skeleton.to_owned()])?;
    let bodies = bodies.iter().map(|paths| Bodies::open(paths)).collect::<Result<Vec<_>>>()?;
    let failed = |e: std::io::Error| MediaError::io(format!("writing {}", out.display()), &e);
    let mut to = BufWriter::with_capacity(PIECE, File::create(out).map_err(failed)?);
    to.write_all(&filled.head).map_err(failed)?;
    let mut buf = vec![0; PIECE];
    for run in &filled.runs {
        if cancel.is_cancelled() {
            return Err(MediaError::cancelled());
        }
        let FilledRun { filling, mut from, mut len } = *run;
        let of = filling.map_or(&skeleton, |i| &bodies[i]);
        while len > 0 {
            let n = of.read(from, &mut buf[..len.min(PIECE as u64) as usize])?;
            to.write_all(&buf[..n]).map_err(failed)?;
            from += n as u64;
            len -= n as u64;
        }
    }
    to.into_inner().map_err(|e| failed(e.into_error()))?;
    Ok(())
}

/// Files addressed by one continuous offset, in order.
struct Bodies {
    files: Vec<(u64, PathBuf, File)>,
}

impl Bodies {
    fn open(paths: &[PathBuf]) -> Result<Bodies> {
        let mut files = Vec::with_capacity(paths.len());
        let mut at = 0;
        for path in paths {
            let file = open(path)?;
            let len = file.metadata().map_err(|e| MediaError::io(path.display(), &e))?.len();
            files.push((at, path.clone(), file));
            at += len;
        }
        Ok(Bodies { files })
    }

    /// Reads bytes at the offset, at least one.
    fn read(&self, from: u64, into: &mut [u8]) -> Result<usize> {
        let after = self.files.partition_point(|(start, ..)| *start <= from);
        let (start, path, file) = self.files[..after]
            .last()
            .ok_or_else(|| MediaError::internal("a packet that lies in no part"))?;
        match file.read_at(into, from - start).map_err(|e| MediaError::io(path.display(), &e))? {
            0 => Err(MediaError::environment(format!("{}: ends before its last packet", path.display()))),
            n => Ok(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::part::copy_part;
    use crate::{AudioSettings, JoinParts, container, encode_audio, plan_cuts, probe};

    fn ffmpeg(args: &str, more: &[&Path]) -> String {
        let run = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y"])
            .args(args.split_whitespace())
            .args(more)
            .output()
            .unwrap();
        assert!(run.status.success(), "{args}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    }

    /// Every packet of a file with its times, flags and digest.
    fn packets(path: &Path) -> String {
        let run = Command::new("ffprobe")
            .args(["-v", "error", "-show_data_hash", "md5", "-of", "csv", "-show_entries"])
            .arg("packet=stream_index,pts,dts,duration,size,flags,data_hash")
            .arg(path)
            .output()
            .unwrap();
        let mut rows: Vec<String> =
            String::from_utf8(run.stdout).unwrap().lines().map(str::to_owned).collect();
        // the order of streams in the file differs; that within each stream does not
        rows.sort_by_key(|row| row.split(',').nth(1).map(str::to_owned));
        rows.join("\n")
    }

    async fn check(extension: &str, source: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!("source.{extension}"));
        let chapters = dir.path().join("chapters");
        fs::write(&chapters, ";FFMETADATA1\ntitle=t\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=5\n").unwrap();
        let inputs = format!("-i {} {source} -map_metadata 0 -g 30 -t 10", chapters.display());
        ffmpeg(&inputs, &[&path]);
        let (tools, limits) = (Tools::discover().await.unwrap(), Limits::default());
        let facts = probe(&tools, &path).await.unwrap();
        let plan = plan_cuts(&tools, &path, dir.path(), 2_000_000, &facts, &limits).await.unwrap().unwrap();
        let index = crate::open_index(&plan, &path, dir.path()).unwrap();
        let mut parts = Vec::new();
        for segment in &plan.segments {
            parts.push(dir.path().join(format!("part-{}.mp4", segment.index)));
            copy_part(&index, &plan, segment, &parts[parts.len() - 1]).unwrap();
        }
        let sound = facts.primary_audio().unwrap();
        let encoded = dir.path().join("sound.m4a");
        let settings = AudioSettings::default();
        let audio = [encode_audio(&tools, &path, &facts, sound, &settings, &encoded, &limits).await.unwrap()];
        let request = JoinRequest {
            source: &path,
            facts: &facts,
            picture: Some((&plan, &index)),
            track: &path,
            parts: JoinParts::Files(&parts),
            mapped_codec: Some(&plan.codec),
            audio: &audio,
            subtitles: &[],
            container: None,
            work: dir.path(),
            out_dir: dir.path(),
            stem: "final",
            progress: &|_| {},
        };
        let made = BTreeMap::from([(sound.index, "aac".to_owned()), (plan.stream, plan.codec.clone())]);
        let fit = container::candidates(&facts, &made).0.remove(0);
        let assembled = assemble::from_parts(&index, &plan, &parts, dir.path()).unwrap();
        let (ours, theirs) = (dir.path().join("ours.mp4"), dir.path().join("theirs.mp4"));
        assert!(mux(&tools, &request, &assembled, &fit, &ours, &limits).await.unwrap().is_some());
        let movie = assemble::write_virtual(&assembled, dir.path()).unwrap();
        let offset_us = plan.timebase.to_micros(movie.origin + plan.anchor);
        let (list, files, stands_for, decoder) = (movie.list, movie.files, plan.stream, Vec::new());
        let picture = PictureInput { list, files, offset_us, stands_for, decoder };
        join::run_mux(&tools, &request, Some(&picture), &fit, &[], &theirs, &limits).await.unwrap();
        assert_eq!(packets(&ours), packets(&theirs));
        let of = async |path: &Path| {
            let facts = probe(&tools, path).await.unwrap();
            crate::SourceFacts { size_bytes: 0, first_packets: BTreeMap::new(), ..facts }
        };
        assert_eq!(of(&ours).await, of(&theirs).await);
        let null = ["-f", "null", "-"].map(Path::new);
        ffmpeg(&format!("-xerror -i {}", ours.display()), &null);
    }

    #[tokio::test]
    async fn a_filled_file_is_the_muxers() {
        let picture = "-f lavfi -i testsrc2=s=64x36:r=30000/1001";
        let coded = "-map 1 -map 2 -c:v libx264 -preset ultrafast -bf 2 -x264-params open-gop=0";
        check("mp4", &format!("{picture} -f lavfi -i sine=r=48000 {coded} -c:a aac")).await;
        let late = "-itsoffset 1.7 -f lavfi -i sine=r=44100";
        check("mp4", &format!("{picture} {late} {coded} -c:a aac -metadata:s:1 language=deu")).await;
        let after = "-itsoffset 0.9 -f lavfi -i testsrc2=s=64x36:r=25";
        check("mov", &format!("{after} -f lavfi -i sine=r=48000 {coded} -c:a pcm_s16le")).await;
    }
}
