//! Benchmark sources, generated once and kept.
//!
//! A short clip is encoded, and repeated by copying its packets, so that hours of video are
//! generated quickly. A file gets its name only when it is complete.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::measure::{Watch, run};

/// A folder of sources.
pub struct Sources {
    dir: PathBuf,
    shared: Option<PathBuf>,
    quick: bool,
}

/// A talk with a known transcript.
pub struct Talk {
    /// 16 kHz mono WAV.
    pub sound: PathBuf,
    /// Its transcript.
    pub reference: PathBuf,
    /// Its length, milliseconds.
    pub millis: u64,
    /// Description for the table.
    pub what: &'static str,
    /// External tool for word error rates, if available.
    pub judge: Option<PathBuf>,
    /// Whether it is synthetic speech, for which word error rates differ.
    pub synthetic: bool,
}

/// Sentences of synthetic talks.
const SENTENCES: [&str; 8] = [
    "the child almost hurt the small dog",
    "we must find a new home in the stars",
    "sunday is the best part of the week",
    "the pencils have all been used",
    "a thin stripe runs down the middle",
    "drop the two when you add the figures",
    "at that high level the air is pure",
    "go forward ten meters and then turn to the left",
];

impl Sources {
    /// The sources in `dir`, which is created if it does not exist.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn new(dir: PathBuf, shared: Option<PathBuf>, quick: bool) -> Result<Sources> {
        std::fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
        Ok(Sources { dir, shared, quick })
    }

    /// A subfolder of the sources.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// An MP4 of 1 GB or more (quick: 100 MB), ten minutes, with sound.
    pub fn large(&self) -> Result<PathBuf> {
        let (mbit, name) = if self.quick { (2, "large-quick.mp4") } else { (16, "large.mp4") };
        let piece = self.generated("large-piece.mp4", mbit, |out| {
            let rate = format!("{mbit}M");
            let mut ffmpeg = self.lavfi("testsrc2=s=1280x720:r=30,noise=alls=60:allf=t+u", 20);
            ffmpeg.args(["-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-b:v", &rate]);
            ffmpeg.args([
                "-minrate",
                &rate,
                "-maxrate",
                &rate,
                "-bufsize",
                &rate,
                "-x264-params",
                "nal-hrd=cbr",
            ]);
            ffmpeg.args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "128k", "-shortest"]).arg(out);
            ffmpeg
        })?;
        let large = self.repeated(&piece, 30, name)?;
        let bytes = large.metadata()?.len();
        ensure!(self.quick || bytes >= 1_000_000_000, "{} has only {bytes} bytes", large.display());
        Ok(large)
    }

    /// A video of a talk: small pictures, low bit rate, speech.
    pub fn talk_minutes(&self, minutes: u32) -> Result<PathBuf> {
        let speech = self.speech(7)?;
        let piece = self.generated("talk-piece.mp4", 1, |out| {
            let mut ffmpeg = ffmpeg();
            ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"]).arg("-i").arg(&speech.sound);
            ffmpeg.args(["-t", "60", "-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-g", "50"]);
            ffmpeg.args(["-pix_fmt", "yuv420p", "-c:a", "aac", "-ar", "48000", "-b:a", "64k"]).arg(out);
            ffmpeg
        })?;
        self.repeated(&piece, minutes, &format!("talk-{minutes}min.mp4"))
    }

    /// A demanding source for encoders: motion, detail and grain (90 s; quick: 12 s).
    pub fn motion(&self) -> Result<PathBuf> {
        self.motion_of(960, 540, if self.quick { 12 } else { 90 })
    }

    /// The same in another size; a longer one than a minute repeats its first minute.
    pub fn motion_of(&self, width: u32, height: u32, seconds: u32) -> Result<PathBuf> {
        let size = if (width, height) == (960, 540) { String::new() } else { format!("-{width}x{height}") };
        if seconds > 90 {
            let piece = self.motion_of(width, height, 60)?;
            return self.repeated(&piece, seconds / 60, &format!("motion{size}-{seconds}s.mp4"));
        }
        self.generated(&format!("motion{size}-{seconds}s.mp4"), 1, |out| {
            let pictures =
                format!("mandelbrot=s={width}x{height}:r=25:maxiter=400,noise=alls=6:allf=t,format=yuv420p");
            let mut ffmpeg = self.lavfi(&pictures, seconds);
            ffmpeg.args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-g", "50"]);
            ffmpeg.args(["-c:a", "aac", "-b:a", "128k", "-shortest"]).arg(out);
            ffmpeg
        })
    }

    /// A photo as JPEG: detail at every scale, and grain.
    pub fn photo(&self, number: u32, (width, height): (u32, u32)) -> Result<PathBuf> {
        self.generated(&format!("photo-{width}x{height}-{number}.jpg"), 1, |out| {
            let zoom = 0.6 / f64::from(1 + number * number);
            let fractal = format!(
                "mandelbrot=s={width}x{height}:maxiter=600:start_scale={zoom}:end_scale={zoom}:\
                 start_x=-0.743643887037158:start_y=-0.131825904205311,noise=alls=5:allf=u,format=yuvj420p"
            );
            let mut ffmpeg = ffmpeg();
            ffmpeg.args(["-f", "lavfi", "-i", &fractal, "-frames:v", "1", "-q:v", "2"]).arg(out);
            ffmpeg
        })
    }

    /// Ten minutes of speech (quick: one), recorded by the shared folder's script, else synthetic.
    pub fn speech(&self, seed: u32) -> Result<Talk> {
        let minutes = if self.quick { 1 } else { 10 };
        let script = self.shared.as_ref().map(|shared| shared.join("tools/long_speech.py"));
        let script = script.filter(|script| script.is_file());
        let kind = if script.is_some() { "recorded" } else { "synthetic" };
        let stem = format!("speech-{kind}-{minutes}min-{seed}");
        let (sound, reference) = (self.dir.join(format!("{stem}.wav")), self.dir.join(format!("{stem}.txt")));
        if !sound.is_file() || !reference.is_file() {
            let partial = self.dir.join(format!("{stem}.partial.wav"));
            match &script {
                Some(script) => {
                    let mut command = Command::new("python3");
                    command.arg(script).arg(&partial).arg(&reference);
                    run(command.arg(minutes.to_string()).arg(seed.to_string()), Watch::Time)?;
                }
                None => self.synthesise(&partial, &reference, minutes, seed)?,
            }
            std::fs::rename(&partial, &sound)?;
        }
        let millis = sound.metadata()?.len().saturating_sub(44) / 32;
        let judge = self.shared.as_ref().map(|shared| shared.join("tools/wer.py")).filter(|p| p.is_file());
        let what = if script.is_some() { "long_speech.py" } else { "synthetic voice: set SEGUE_SHARED" };
        Ok(Talk { sound, reference, millis, what, judge, synthetic: script.is_none() })
    }

    fn synthesise(&self, out: &Path, reference: &Path, minutes: u32, seed: u32) -> Result<()> {
        let order: Vec<&str> = (0..SENTENCES.len()).map(|i| SENTENCES[(i * seed as usize) % 8]).collect();
        let text = order.join(". ");
        let voice = self.dir.join(format!("voice-{seed}.wav"));
        let mut once = ffmpeg();
        once.args(["-f", "lavfi", "-i", &format!("flite=voice=slt:text='{text}.'")]);
        run(once.args(["-ar", "16000", "-ac", "1"]).arg(&voice), Watch::Time)
            .context("SEGUE_SHARED is not set, and this ffmpeg has no flite for synthetic speech")?;
        let spoken = voice.metadata()?.len() / 32_000;
        let times = (u64::from(minutes) * 60).div_ceil(spoken.max(1));
        let mut many = ffmpeg();
        many.args(["-stream_loop", &(times - 1).to_string(), "-i"]).arg(&voice);
        run(many.args(["-c", "copy"]).arg(out), Watch::Time)?;
        let words = vec![text; times as usize].join(" ");
        Ok(std::fs::write(reference, words)?)
    }

    fn lavfi(&self, pictures: &str, seconds: u32) -> Command {
        let mut ffmpeg = ffmpeg();
        ffmpeg.args(["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", "sine=f=330:r=48000"]);
        ffmpeg.args(["-t", &seconds.to_string()]);
        ffmpeg
    }

    fn repeated(&self, piece: &Path, times: u32, name: &str) -> Result<PathBuf> {
        self.generated(name, 0, |out| {
            let mut ffmpeg = ffmpeg();
            ffmpeg.args(["-stream_loop", &(times - 1).to_string(), "-i"]).arg(piece);
            ffmpeg.args(["-map", "0", "-c", "copy"]).arg(out);
            ffmpeg
        })
    }

    /// The file of that name, generated by the command if it does not exist. `variant`
    /// distinguishes files of one name.
    fn generated(&self, name: &str, variant: u32, command: impl Fn(&Path) -> Command) -> Result<PathBuf> {
        let path = self.dir.join(format!("v{variant}-{name}"));
        if !path.is_file() {
            eprintln!("bench: generating {}", path.display());
            let partial = self.dir.join(format!("partial-{variant}-{name}"));
            run(&mut command(&partial), Watch::Time)?;
            std::fs::rename(&partial, &path)?;
        }
        Ok(path)
    }
}

fn ffmpeg() -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y"]);
    ffmpeg
}
