//! Checks that everything Segue needs is installed, and how to fix what is missing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use segue_domain::{Failure, FaultKind};
use segue_media::Tools;
use segue_process::{Invocation, Limits, SandboxMode, Support, output};
use segue_speech::KnownModel;
use serde::Serialize;

use crate::models::{ModelShelf, voice_activity_model};
use crate::run::free_bytes;
use crate::settings::Settings;

/// Free space below which the check warns, in bytes.
const LITTLE_SPACE: u64 = 2 << 30;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Nothing is missing.
    Ok,
    /// Some recipes will not work.
    Limited,
    /// The default recipe will not work.
    Missing,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// The result.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// The command or the step that fixes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Check {
        Check { name: name.into(), health: Health::Ok, found: found.into(), fix: None }
    }

    fn bad(name: &str, health: Health, found: impl Into<String>, fix: impl Into<String>) -> Check {
        Check { name: name.into(), health, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Checks everything that the recipes need.
pub async fn examine(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    match Tools::at(settings.ffmpeg.clone(), settings.ffprobe.clone()).await {
        Ok(tools) => {
            checks.push(Check::ok("ffmpeg", tools.ffmpeg_version.clone()));
            checks.push(Check::ok("ffprobe", tools.ffprobe_version.clone()));
            checks.extend(encoders(&tools.ffmpeg).await);
        }
        Err(error) => {
            checks.push(Check::bad("ffmpeg", Health::Missing, error.to_string(), install("ffmpeg")));
        }
    }
    checks.extend(models(settings));
    checks.push(sandbox(segue_process::support(), settings.sandbox));
    checks.push(space(Path::new(".")));
    let share = format!("{} for {} workers", settings.threads, settings.workers);
    checks.push(Check::ok("threads", share));
    checks
}

/// Whether the default recipe can run.
pub fn is_able(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.health != Health::Missing)
}

/// Encoders by purpose; one of each group is enough.
const ENCODERS: [(&str, &[&str]); 5] = [
    ("H.264 encoder", &["libx264"]),
    ("HEVC encoder", &["libx265"]),
    ("AV1 encoder", &["libsvtav1", "libaom-av1"]),
    ("AAC encoder", &["aac"]),
    ("Opus encoder", &["libopus"]),
];

async fn encoders(ffmpeg: &Path) -> Vec<Check> {
    let args = vec!["-hide_banner".into(), "-encoders".into()];
    let call = Invocation::new("listing the encoders of ffmpeg", ffmpeg, args);
    let limits = Limits { time: Duration::from_secs(20), ..Limits::default() };
    let listing = match output(&call, &limits, 1 << 20).await {
        Ok(listing) => String::from_utf8_lossy(&listing).into_owned(),
        Err(error) => {
            return vec![Check::bad("encoders", Health::Limited, error.to_string(), install("ffmpeg"))];
        }
    };
    ENCODERS.iter().map(|(name, any_of)| encoder(name, any_of, &listing)).collect()
}

fn encoder(name: &str, any_of: &[&str], listing: &str) -> Check {
    // a line reads " V....D libx264  libx264 H.264 / AVC"
    let has = |wanted: &&&str| listing.lines().any(|line| line.split_whitespace().nth(1) == Some(**wanted));
    match any_of.iter().find(has) {
        Some(found) => Check::ok(name, *found),
        None => Check::bad(
            name,
            Health::Limited,
            format!("this ffmpeg has no {}", any_of.join(" and no ")),
            format!("install a full build of ffmpeg, or name one with SEGUE_FFMPEG ({})", install("ffmpeg")),
        ),
    }
}

fn models(settings: &Settings) -> Vec<Check> {
    let shelf = ModelShelf::new(&settings.model_dir);
    let speech = settings.model.as_deref().unwrap_or("base.en");
    let voice = voice_activity_model().map_or("", |model| model.name);
    vec![
        model("speech model", &shelf, speech, shelf.transcription(speech)),
        model("voice model", &shelf, voice, shelf.voice_activity()),
    ]
}

fn model(name: &str, shelf: &ModelShelf, model: &str, found: Result<PathBuf, Failure>) -> Check {
    let fix = shelf.fetch_command(model);
    match found {
        Ok(path) => whole(name, KnownModel::find(model), &path, fix),
        Err(failure) if failure.kind == FaultKind::Environment => {
            Check::bad(name, Health::Missing, format!("{model} is not in {}", shelf.dir().display()), fix)
        }
        Err(failure) => Check::bad(name, Health::Missing, failure.cause, "name another one with SEGUE_MODEL"),
    }
}

/// Compares the size only; `segue models verify` reads the whole file.
fn whole(name: &str, model: Option<&'static KnownModel>, path: &Path, fix: String) -> Check {
    let bytes = path.metadata().map(|found| found.len()).unwrap_or_default();
    match model {
        Some(model) if model.size.is_some_and(|size| size != bytes) => Check::bad(
            name,
            Health::Missing,
            format!("{} has {bytes} bytes which is not its size; it is damaged", path.display()),
            fix,
        ),
        _ => Check::ok(name, path.display().to_string()),
    }
}

/// What the kernel offers to sandbox the programs that parse media.
fn sandbox(support: Support, mode: SandboxMode) -> Check {
    let name = "sandbox";
    let abi = support.landlock_abi.unwrap_or_default();
    let missing = match (mode, support.missing()) {
        (SandboxMode::Off, _) => {
            let found = "switched off: ffmpeg and map commands can reach all that this user can";
            return Check::bad(name, Health::Limited, found, "set SEGUE_SANDBOX=best");
        }
        (_, None) => {
            let (network, signals) = (abi >= 4, abi >= 6);
            let more = match (network, signals) {
                (true, true) => "files, network, signals",
                (true, false) => "files, network",
                _ => "files",
            };
            let found = format!("Landlock ABI {abi} ({more}), seccomp, limits on memory and time");
            return Check::ok(name, found);
        }
        (_, Some(missing)) => missing,
    };
    let rest = match (support.landlock_abi, support.seccomp) {
        (None, true) => "ffmpeg has no network, and can read all files of this user",
        (Some(_), false) => "ffmpeg can read declared files only, and can use sockets",
        _ => "ffmpeg has limits on memory and time, and can reach all that this user can",
    };
    let health = if mode == SandboxMode::Require { Health::Missing } else { Health::Limited };
    let found = format!("{missing}; {rest}");
    Check::bad(name, health, found, "use Linux 5.13 or newer, and a container runtime that allows both")
}

fn space(path: &Path) -> Check {
    match free_bytes(path) {
        Ok(free) if free >= LITTLE_SPACE => Check::ok("disk", format!("{} GB free here", free >> 30)),
        Ok(free) => Check::bad(
            "disk",
            Health::Limited,
            format!("only {} MB free here", free >> 20),
            "free some space: a job needs about the size of its source",
        ),
        Err(failure) => Check::bad("disk", Health::Limited, failure.cause, "change to a folder that exists"),
    }
}

/// The command that installs a package on this system.
fn install(package: &str) -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    install_on(std::env::consts::OS, &release, package)
}

fn install_on(os: &str, release: &str, package: &str) -> String {
    let names: Vec<&str> = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    let is = |name: &str| names.contains(&name);
    if os == "macos" {
        format!("brew install {package}")
    } else if is("debian") || is("ubuntu") {
        format!("sudo apt-get install -y {package}")
    } else if is("fedora") || is("rhel") {
        format!("sudo dnf install -y {package}")
    } else if is("arch") {
        format!("sudo pacman -S --noconfirm {package}")
    } else if is("alpine") {
        format!("sudo apk add {package}")
    } else {
        format!("install {package} with your system's package manager")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_install_is_the_systems_own() {
        for (os, release, expected) in [
            ("linux", "ID=debian\n", "apt-get"),
            ("linux", "NAME=Mint\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get"),
            ("linux", "ID=\"fedora\"\n", "dnf"),
            ("linux", "ID=alpine\n", "apk add"),
            ("linux", "", "package manager"),
            ("macos", "", "brew"),
        ] {
            let command = install_on(os, release, "ffmpeg");
            assert!(command.contains(expected) && command.contains("ffmpeg"), "{release:?}: {command}");
        }
    }

    #[test]
    fn an_encoder_is_found_by_its_name_and_not_by_a_mention() {
        let listing = " V....D libx264rgb   libx264 H.264 RGB\n A....D aac   AAC\n";
        assert_eq!(encoder("H.264", &["libx264"], listing).health, Health::Limited);
        assert_eq!(encoder("AAC", &["nope", "aac"], listing).health, Health::Ok);
    }

    #[test]
    fn the_sandbox_is_described_by_what_the_kernel_has() {
        let of = |landlock_abi, seccomp, mode| sandbox(Support { landlock_abi, seccomp }, mode);
        let all = of(Some(7), true, SandboxMode::Best);
        assert_eq!(all.health, Health::Ok);
        assert!(all.found.contains("ABI 7 (files, network, signals)"), "{}", all.found);
        assert!(of(Some(1), true, SandboxMode::Best).found.contains("ABI 1 (files)"));
        let old = of(None, true, SandboxMode::Best);
        assert_eq!(old.health, Health::Limited);
        assert!(old.found.contains("no Landlock") && old.found.contains("no network"), "{}", old.found);
        assert_eq!(of(None, true, SandboxMode::Require).health, Health::Missing);
        assert_eq!(of(Some(7), true, SandboxMode::Off).health, Health::Limited);
    }

    #[tokio::test]
    async fn a_machine_without_ffmpeg_and_models_is_told_what_to_do() {
        let mut settings = Settings::load(&crate::Sources::default()).unwrap();
        settings.ffmpeg = "/nowhere/ffmpeg".into();
        settings.model_dir = "/nowhere".into();
        let checks = examine(&settings).await;
        assert!(!is_able(&checks));
        let missing: Vec<_> = checks.iter().filter(|c| c.health == Health::Missing).collect();
        assert_eq!(missing.len(), 3, "{missing:?}");
        assert!(missing.iter().all(|check| check.fix.is_some()), "{missing:?}");
    }
}
