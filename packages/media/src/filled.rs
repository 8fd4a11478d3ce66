//! The join of parts that were encoded, in memory that does not grow with a muxer's lists.
//!
//! ffmpeg's muxer makes the file for the first packets of the picture and of the sound, with
//! all that goes around them: tags, chapters, languages, subtitles, late starts. The tables of
//! all packets are ours to write ([`mp4::fill`]), and the packets are moved as they are. A file
//! that cannot be made so is left to the muxer; either way the certificate reads the result.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::assemble::{self, Assembled};
use crate::container::{Fate, FinalContainer, Fit};
use crate::error::{MediaError, MediaErrorKind, Result};
use crate::facts::StreamKind;
use crate::join::{self, JoinRequest};
use crate::mp4::{self, CountedFile, Filled, FilledRun, Filling, TrackChoice};
use crate::mux::PictureInput;
use crate::plan::open_at;
use crate::process::{Finished, Limits};
use crate::tools::Tools;
use crate::view::{self, View};

/// Packets of each track that the muxer sees: enough to know how the track begins.
const FIRST_PACKETS: usize = 64;
const COPY_BYTES: usize = 1 << 20;

/// Joins the assembled picture and the encoded sound into `partial`; `None` where this is for
/// the muxer alone.
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
        // what is wrong with it, the muxer will say of all of it
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
                tracing::debug!(%why, "left to the muxer");
                return Ok(false);
            }
        };
        write(&filled, &skeleton, &bodies, &out, &cancel)?;
        // a file that is not there is as good as one that was removed
        let _ = fs::remove_file(&skeleton);
        Ok(true)
    });
    let written =
        written.await.map_err(|e| MediaError::internal(format!("joining parts ended badly: {e}")))??;
    Ok(written.then_some(made))
}

/// Which tracks of the result are filled.
struct TrackPlaces {
    picture: usize,
    sounds: Vec<usize>,
}

/// Where picture and sounds go, where nothing else is long.
fn places(request: &JoinRequest<'_>, assembled: &Assembled, fit: &Fit) -> Option<TrackPlaces> {
    let (plan, _) = request.picture?;
    let long = assembled.track.samples.len() > FIRST_PACKETS;
    if fit.container == FinalContainer::Mkv || !long || assembled.track.samples.iter().any(|s| s.hidden) {
        return None;
    }
    // a cover is no track, and what was not kept has none
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
    let picture = PictureInput { list: movie.list, offset_us, stands_for: plan.stream };
    let short = |path: &Path| Some((path.to_owned(), view::of_first_packets(path, FIRST_PACKETS, None)?));
    let paths = request.audio.iter().map(|sound| sound.path.as_path()).chain([request.source]);
    let views: Vec<(PathBuf, View)> = paths.filter_map(short).collect();
    let inputs: BTreeMap<PathBuf, Vec<OsString>> =
        views.iter().map(|(path, view)| (path.clone(), view.input())).collect();
    join::run_mux(tools, request, Some(&picture), fit, inputs, out, limits).await
}

/// The encoded sound as a track to fill.
fn sound_filling(path: &Path, track: usize) -> Result<Filling> {
    // an encoder's file has one track
    let index = open_at(path, TrackChoice::Id(1))?.index;
    let mp4::Track { timescale, samples, last_duration, .. } = index.track;
    Ok(Filling { track, timescale, samples, last_duration })
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| MediaError::io(path.display(), &e))
}

/// Writes the filled file: its head, and ranges of the muxer's file and of the bodies.
fn write(
    filled: &Filled,
    skeleton: &Path,
    bodies: &[Vec<PathBuf>],
    out: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    let skeleton = Bodies::open(&[skeleton.to_owned()])?;
    let bodies = bodies.iter().map(|paths| Bodies::open(paths)).collect::<Result<Vec<_>>>()?;
    let failed = |e: std::io::Error| MediaError::io(format!("writing {}", out.display()), &e);
    let mut to = BufWriter::with_capacity(COPY_BYTES, File::create(out).map_err(failed)?);
    to.write_all(&filled.head).map_err(failed)?;
    let mut buf = vec![0; COPY_BYTES];
    for run in &filled.runs {
        if cancel.is_cancelled() {
            return Err(MediaError::cancelled());
        }
        let FilledRun { filling, mut from, mut len } = *run;
        let of = filling.map_or(&skeleton, |i| &bodies[i]);
        while len > 0 {
            let n = of.read(from, &mut buf[..len.min(COPY_BYTES as u64) as usize])?;
            to.write_all(&buf[..n]).map_err(failed)?;
            from += n as u64;
            len -= n as u64;
        }
    }
    to.into_inner().map_err(|e| failed(e.into_error()))?;
    Ok(())
}

/// Files that are counted through from the first to the last.
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

    /// Reads some bytes from the place on, at least one.
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
