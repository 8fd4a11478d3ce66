//! Turns a fragmented MP4 with one audio track into a plain MP4 with one sample table.
//!
//! ffmpeg's muxer keeps an entry for each packet until the end; with fragments it releases them after
//! each one. The muxer still writes the file for the first fragment, and this module inserts the tables of all
//! packets, as in a join. The tables include the duration of the last packet; a muxer that copies
//! omits it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::error::{MediaError, Result};
use crate::filled;
use crate::mp4::{self, CountedFile, Filling, Fragments, IndexError};
use crate::probe::source_input;
use crate::process::{self, Limits};
use crate::tools::Tools;

/// Options that make ffmpeg's muxer write and release its entries every ten seconds.
pub(crate) const IN_PIECES: [&str; 6] =
    ["-movflags", "+delay_moov+default_base_moof+skip_trailer", "-frag_duration", "10000000", "-f", "mp4"];

/// Writes `out` from the fragments in `pieces`, which is removed. `clock` is the movie's timescale, in
/// ticks per second.
///
/// # Errors
/// Errors of ffmpeg, a full disk; fragments of more than one track.
pub(crate) async fn in_one_file(
    tools: &Tools,
    pieces: &Path,
    clock: u32,
    out: &Path,
    limits: &Limits,
) -> Result<()> {
    let failed = |e: &io::Error| MediaError::io(pieces.display(), e);
    let file = File::open(pieces).and_then(CountedFile::new).map_err(|e| failed(&e))?;
    let found = mp4::read_fragments(&file).map_err(|e| broken(pieces, &e))?;
    let Fragments { timescale, samples, last_duration, first_end } = found;
    let first = pieces.with_extension("first");
    let skeleton = pieces.with_extension("skeleton.mp4");
    let mut start = File::open(pieces).map_err(|e| failed(&e))?.take(first_end);
    let copied = File::create(&first).and_then(|mut to| io::copy(&mut start, &mut to));
    copied.map_err(|e| MediaError::io(first.display(), &e))?;
    remux(tools, &first, clock, &skeleton, limits).await?;
    let filling = Filling { track: 0, timescale, samples, last_duration };
    let (body, made, to, cancel) =
        (pieces.to_owned(), skeleton.clone(), out.to_owned(), limits.cancel.clone());
    let filled = tokio::task::spawn_blocking(move || {
        let movie = File::open(&made).and_then(CountedFile::new);
        let movie = movie.map_err(|e| MediaError::io(made.display(), &e))?;
        let filled = mp4::fill(&movie, vec![filling]).map_err(|e| broken(&body, &e))?;
        filled::write(&filled, &made, &[vec![body]], &to, &cancel)
    });
    filled
        .await
        .map_err(|e| MediaError::internal(format!("the task that writes the index failed: {e}")))??;
    for done in [pieces, &first, &skeleton] {
        fs::remove_file(done).map_err(|e| MediaError::io(done.display(), &e))?;
    }
    Ok(())
}

fn broken(path: &Path, why: &IndexError) -> MediaError {
    MediaError::internal(format!("{}: {why}", path.display()))
}

async fn remux(tools: &Tools, from: &Path, clock: u32, out: &Path, limits: &Limits) -> Result<()> {
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-copyts"]);
    args.extend(source_input(from));
    args.extend(words(&["-map", "0:0", "-c", "copy", "-map_metadata", "-1", "-movie_timescale"]));
    args.extend([clock.to_string(), "-f".to_owned(), "mp4".to_owned()].map(OsString::from));
    args.push(out.into());
    let call = tools.ffmpeg("writing the index of the sound", args).reading(from).writing(out);
    process::run(&call, limits, |_| process::Heard::Progress).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::TrackChoice;

    fn ffmpeg(args: &str, more: &[&str], out: &Path) {
        let program = std::env::var("SEGUE_FFMPEG").unwrap_or_else(|_| "ffmpeg".into());
        let run = std::process::Command::new(program)
            .args(["-nostdin", "-v", "error", "-y"])
            .args(args.split_whitespace())
            .args(more)
            .arg(out)
            .output()
            .unwrap();
        assert!(run.status.success(), "{args}: {}", String::from_utf8_lossy(&run.stderr));
    }

    /// The packets of a file by ffprobe, and the start of its stream.
    fn told(path: &Path) -> String {
        let run = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-show_data_hash", "md5", "-of", "csv", "-show_entries"])
            .arg("packet=pts,dts,duration,size,flags,data_hash,side_data:stream=start_time,time_base,extradata_hash")
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(run.stdout).unwrap()
    }

    fn edits(path: &Path) -> (u32, usize) {
        let file = CountedFile::new(File::open(path).unwrap()).unwrap();
        let index = mp4::read_index(&file, TrackChoice::Any).unwrap();
        (index.movie_timescale, index.track.edits.len())
    }

    /// Encodes one audio stream by the plain muxer and in fragments; `more` follows the codec.
    async fn check(input: &str, encoder: &str, seconds: u32) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (at_once, pieces, out) = (at("once.m4a"), at("sound.pieces"), at("sound.m4a"));
        let args = format!("-copyts {input} -t {seconds} -c:a {encoder} -b:a 96k -map_metadata -1");
        ffmpeg(&format!("{args} -movie_timescale 48000 -f mp4"), &[], &at_once);
        ffmpeg(&format!("{args} -movie_timescale 48000"), &IN_PIECES, &pieces);
        let tools = Tools::discover().await.unwrap();
        in_one_file(&tools, &pieces, 48_000, &out, &Limits::default()).await.unwrap();
        assert_eq!(told(&at_once), told(&out), "{input} {encoder}");
        assert_eq!(edits(&at_once), edits(&out), "{input} {encoder}");
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 2, "nothing but the two files");
    }

    const SOUND: &str = "-f lavfi -i aevalsrc=0.4*sin(440*2*PI*t+8*sin(5*t)):s=48000:d=47";

    #[tokio::test]
    async fn sound_in_pieces_becomes_the_file_that_the_muxer_makes_at_once() {
        for encoder in ["aac", "libopus"] {
            check(SOUND, encoder, 4).await;
            check(SOUND, encoder, 43).await;
            check(&format!("-itsoffset 1.7 {SOUND}"), encoder, 31).await;
        }
    }

    #[tokio::test]
    async fn a_gap_between_pieces_stays() {
        let gap = format!("{SOUND} -af asetpts=PTS+gte(T\\,20.5)*3/TB+gte(T\\,31)*0.25/TB");
        check(&gap, "aac", 43).await;
    }
}
