//! Test sources: small media, each with one special property, generated with ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Recorded speech of the Debian package `pocketsphinx-testdata`.
const CLIPS: &str = "/usr/share/pocketsphinx/test/data/librivox";

/// The source of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// H.264 with closed GOPs, and sound.
    Closed,
    /// H.264 with open GOPs and B-frames.
    OpenGop,
    /// Sound that starts 1.5 s after the picture.
    LateSound,
    /// Sound only.
    SoundOnly,
    /// Variable frame rate.
    Vfr,
    /// Matroska, whose index the planner does not read.
    Unindexed,
    /// About 40 MB.
    Large,
    /// Recorded speech with a picture.
    Talk,
    /// Broken: truncated before the index at its end.
    CutOff,
    /// Broken: random bytes in a file named like a video.
    Noise,
    /// Broken: text in a file named like a video.
    Text,
}

impl Source {
    /// Whether a job on it can succeed.
    pub fn is_good(self) -> bool {
        !matches!(self, Source::CutOff | Source::Noise | Source::Text)
    }

    fn file_name(self) -> &'static str {
        match self {
            Source::Closed => "closed.mp4",
            Source::OpenGop => "open.mp4",
            Source::LateSound => "late.mp4",
            Source::SoundOnly => "sound.m4a",
            Source::Vfr => "vfr.mp4",
            Source::Unindexed => "unindexed.mkv",
            Source::Large => "large.mp4",
            Source::Talk => "talk.mp4",
            Source::CutOff => "cut-off.mp4",
            Source::Noise => "noise.mp4",
            Source::Text => "text.mp4",
        }
    }

    /// Its path in the folder of sources.
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(self.file_name())
    }
}

/// The path of a source in `folder`; generates it if it does not exist.
///
/// # Errors
/// ffmpeg is missing or fails.
pub fn generated(source: Source, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = source.path(folder);
    if !path.is_file() {
        let partial = path.with_file_name(format!("partial-{}", source.file_name()));
        make(source, folder, &partial).with_context(|| format!("making {}", path.display()))?;
        std::fs::rename(&partial, &path)?;
    }
    Ok(path)
}

fn make(source: Source, folder: &Path, out: &Path) -> Result<()> {
    let x264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0";
    let aac = "-c:a aac -b:a 64k";
    let sound = |seconds: f64| {
        // a chirp: every sample identifies its position
        format!("-f lavfi -t {seconds} -i aevalsrc=0.3*sin(2*PI*(200+60*t)*t):s=44100")
    };
    let (picture, chirp) = ("-f lavfi -t 12 -i testsrc2=s=160x120:r=30", sound(12.0));
    match source {
        Source::Closed => ffmpeg(&format!("{picture} {chirp} {x264} -bf 2 {aac}"), out),
        Source::OpenGop => {
            let open = "-bf 3 -x264-params open-gop=1:b-adapt=0:b-pyramid=normal";
            ffmpeg(&format!("{picture} {chirp} {x264} {open} {aac}"), out)
        }
        Source::LateSound => {
            let late = sound(10.5);
            ffmpeg(&format!("{picture} -itsoffset 1.5 {late} -map 0 -map 1 {x264} {aac}"), out)
        }
        Source::SoundOnly => ffmpeg(&format!("{chirp} {aac}"), out),
        Source::Vfr => {
            let some = "-vf select='not(eq(mod(n,7),3))*not(eq(mod(n,11),5))' -fps_mode vfr";
            ffmpeg(&format!("{picture} {chirp} {some} {x264} -bf 2 {aac}"), out)
        }
        Source::Unindexed => ffmpeg(&format!("{picture} {chirp} {x264} -bf 2 {aac}"), out),
        Source::Large => {
            let noisy = "-f lavfi -t 10 -i testsrc2=s=640x360:r=30,noise=alls=40:allf=t";
            let fast = x264.replace("veryfast", "ultrafast");
            ffmpeg(&format!("{noisy} {} {fast} -b:v 32M -bf 0 {aac}", sound(10.0)), out)
        }
        Source::Talk => talk(&format!("{x264} -bf 2 {aac}"), out),
        Source::CutOff => {
            let whole = std::fs::read(generated(Source::Closed, folder)?)?;
            Ok(std::fs::write(out, &whole[..whole.len() / 2])?)
        }
        Source::Noise => {
            let mut rng = fastrand::Rng::with_seed(1);
            let bytes: Vec<u8> = (0..50_000).map(|_| rng.u8(..)).collect();
            Ok(std::fs::write(out, bytes)?)
        }
        Source::Text => Ok(std::fs::write(out, "This is no video.\n".repeat(100))?),
    }
}

/// Recorded speech if installed, else synthetic speech by ffmpeg.
fn talk(encode: &str, out: &Path) -> Result<()> {
    let clips = std::fs::read_dir(CLIPS).into_iter().flatten().flatten().map(|entry| entry.path());
    let clip = clips.filter(|path| path.extension().is_some_and(|ext| ext == "wav")).min();
    let voice = match clip {
        Some(path) => format!("-i {}", path.display()),
        None => "-f lavfi -i flite=text=Ask_not_what_your_country_can_do_for_you".to_owned(),
    };
    ffmpeg(&format!("{voice} -f lavfi -i testsrc2=s=160x120:r=30 -shortest -t 5 {encode}"), out)
}

fn ffmpeg(line: &str, out: &Path) -> Result<()> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y"]).args(line.split_whitespace()).arg(out);
    let made = ffmpeg.output().context("starting ffmpeg")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr).trim());
    Ok(())
}
