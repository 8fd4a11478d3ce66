//! Comparison of one file with its source, for one way of joining.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

/// Result of one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every frame, sample and time equals the source's.
    Same,
    /// The result differs in this.
    Differs(String),
    /// There is no result.
    Failed(String),
    /// There is no picture to map.
    NoPicture,
}

impl Verdict {
    /// Whether no damage was found.
    pub fn is_good(&self) -> bool {
        matches!(self, Verdict::Same | Verdict::NoPicture)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Same => f.write_str("same"),
            Verdict::Differs(how) => write!(f, "differs: {how}"),
            Verdict::Failed(why) => write!(f, "failed: {why}"),
            Verdict::NoPicture => f.write_str("no picture"),
        }
    }
}

/// Programs and settings of the comparison.
pub struct Bench {
    /// The program `segue`.
    pub segue: PathBuf,
    /// Folder with media and tools.
    pub shared: PathBuf,
    /// `PATH` for all programs, if not inherited.
    pub path: Option<OsString>,
    /// Segment duration.
    pub segment_duration: String,
}

impl Bench {
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        if let Some(path) = &self.path {
            // these would take precedence over PATH
            command.env("PATH", path).env_remove("SEGUE_FFMPEG").env_remove("SEGUE_FFPROBE");
        }
        command
    }

    /// The first of MP4, MOV and Matroska into which one pass keeps everything.
    pub fn one_pass(&self, file: &Path) -> Result<Option<&'static str>> {
        for container in ["mp4", "mov", "mkv"] {
            let dir = tempfile::tempdir()?;
            let out = dir.path().join("one").with_extension(container);
            let mut ffmpeg = self.command("ffmpeg");
            ffmpeg.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(file);
            let made = ffmpeg.args(["-map", "0", "-c", "copy"]).arg(&out).output().context("ffmpeg")?;
            if made.status.success() && self.judge(file, &out)? == Verdict::Same {
                return Ok(Some(container));
            }
        }
        Ok(None)
    }

    /// Whether there is a video stream other than a cover.
    pub fn has_picture(&self, file: &Path) -> Result<bool> {
        let entries = "stream=codec_type:stream_disposition=attached_pic";
        let mut ffprobe = self.command("ffprobe");
        ffprobe.args(["-v", "error", "-show_entries", entries, "-of", "json"]).arg(file);
        let probe: Value =
            serde_json::from_slice(&ffprobe.output().context("ffprobe")?.stdout).unwrap_or_default();
        let moving =
            |s: &Value| s["codec_type"] == "video" && s["disposition"]["attached_pic"].as_i64() != Some(1);
        Ok(probe["streams"].as_array().is_some_and(|streams| streams.iter().any(moving)))
    }

    /// The result of Segue, and its number of segments.
    pub fn ours(&self, file: &Path, map: Option<&str>) -> Result<(Verdict, Option<u64>)> {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("out");
        let mut segue = self.command(&self.segue);
        segue.arg("run").arg(file).arg("--out").arg(&out).args(["--recipe", "rejoin", "--progress", "none"]);
        segue.args(["--segment-duration", &self.segment_duration]);
        if let Some(map) = map {
            segue.args(["--map", map]);
        }
        let made = segue.output().with_context(|| self.segue.display().to_string())?;
        if !made.status.success() {
            return Ok((failed(&made), None));
        }
        let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json"))?)?;
        let video = &manifest["outputs"]["video"];
        let files = video["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let media = |file: &&Value| file["kind"] == "media";
        let Some(name) = files.iter().find(media).and_then(|file| file["name"].as_str()) else {
            bail!("the manifest names no media file");
        };
        let joined = out.join(name);
        if std::fs::canonicalize(&joined)? == file.canonicalize()? {
            return Ok((Verdict::Failed("handed out the source itself".into()), None));
        }
        Ok((self.judge(file, &joined)?, video["segments"].as_u64()))
    }

    /// The result of naive cutting.
    pub fn seed(&self, file: &Path) -> Result<Verdict> {
        let dir = tempfile::tempdir()?;
        let out = dir.path().join("seed.mp4");
        let seconds = self.segment_duration.trim_end_matches('s');
        let mut seed = self.command(self.shared.join("tools/seed_method.sh"));
        let made = seed.arg(file).arg(&out).arg(seconds).output().context("seed_method.sh")?;
        if made.status.success() { self.judge(file, &out) } else { Ok(failed(&made)) }
    }

    fn judge(&self, source: &Path, joined: &Path) -> Result<Verdict> {
        let mut judge = self.command("python3");
        judge.arg(self.shared.join("tools/fidelity.py")).arg(source).arg(joined);
        let output = judge.output().context("python3")?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("fidelity.py printed {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(verdict(&report))
    }
}

fn failed(made: &Output) -> Verdict {
    let stderr = String::from_utf8_lossy(&made.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    let code = made.status.code().map_or("a signal".to_owned(), |code| format!("exit {code}"));
    Verdict::Failed(format!("{code}, {}", last.chars().take(160).collect::<String>()))
}

fn verdict(report: &Value) -> Verdict {
    if report["verdict"] == "same" {
        return Verdict::Same;
    }
    let mut how = Vec::new();
    if report["video_same"] == false {
        let frames = &report["video_frames"];
        how.push(if frames[0] == frames[1] {
            "pixels".to_owned()
        } else {
            format!("frames {}→{}", frames[0], frames[1])
        });
    }
    if report["audio_same"] == false {
        how.push(format!("sound {}→{} bytes", report["audio_bytes"][0], report["audio_bytes"][1]));
    }
    for (key, what) in [
        ("video_time_drift_ms", "video drift"),
        ("audio_time_drift_ms", "audio drift"),
        ("av_offset_ms", "A/V"),
    ] {
        if let Some(ms) = report[key].as_f64().filter(|ms| ms.abs() > 1.0) {
            how.push(format!("{what} {ms} ms"));
        }
    }
    if how.is_empty() {
        how.push(report["verdict"].as_str().unwrap_or("no verdict").to_owned());
    }
    Verdict::Differs(how.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_summarised() {
        let same = json!({"verdict": "same", "video_same": true, "audio_same": true});
        assert_eq!(verdict(&same), Verdict::Same);
        let bad = json!({"verdict": "differs", "video_same": false, "video_frames": [10, 9], "audio_same": false,
            "audio_bytes": [4, 2], "av_offset_ms": -3.5, "video_time_drift_ms": 0.2});
        let summary = verdict(&bad).to_string();
        assert_eq!(summary, "differs: frames 10→9, sound 4→2 bytes, A/V -3.5 ms");
        assert!(!verdict(&bad).is_good() && Verdict::NoPicture.is_good());
        let none = json!({"verdict": "source does not decode"});
        assert_eq!(verdict(&none).to_string(), "differs: source does not decode");
    }
}
