//! Bad input fails its own job with a clear message, and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use segue_tests::{Ended, Fixture, Random, Sandbox, bad_files, fixture, is_root};

const RECIPE: [&str; 4] = ["--recipe", "rejoin", "--segment-duration", "1s"];

fn refused(sandbox: &Sandbox, source: &Path, words: &[&str]) {
    for recipe in [&RECIPE[..], &["--recipe", "mp4"]] {
        let ended = sandbox.end(&mut sandbox.run(source, recipe));
        sandbox.assert_refused(&ended, 3, words);
    }
}

#[test]
fn bytes_that_are_no_media() {
    let sandbox = Sandbox::new();
    let random = Random::new(5).bytes(65_536);
    refused(&sandbox, &sandbox.file("zero.mp4", ""), &["zero.mp4", "empty"]);
    refused(&sandbox, &sandbox.file("text.mp4", "hello world\n"), &["text.mp4"]);
    refused(&sandbox, &sandbox.file("random.mp4", random), &["random.mp4"]);
    refused(&sandbox, &sandbox.file("zeros.mkv", vec![0; 100_000]), &["zeros.mkv"]);
    // a still picture has no video or audio stream, and must not be looped
    refused(&sandbox, &sandbox.file("only-box.mp4", b"\0\0\0\x08ftyp"), &["only-box.mp4"]);
}

#[test]
fn things_that_are_no_files() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("folder.mp4");
    std::fs::create_dir(&folder).unwrap();
    refused(&sandbox, &folder, &["folder"]);
    refused(&sandbox, &sandbox.path("missing.mp4"), &["missing.mp4", "no such file"]);
    refused(&sandbox, Path::new("/dev/null"), &["/dev/null"]);
    refused(&sandbox, Path::new("https://127.0.0.1:1/x.mp4"), &["127.0.0.1"]);
    refused(&sandbox, Path::new("concat:/etc/hostname|/etc/hosts"), &["concat:"]);
}

#[test]
fn a_file_that_may_not_be_read() {
    let sandbox = Sandbox::new();
    let source = sandbox.path("secret.mp4");
    std::fs::copy(fixture(Fixture::H264Closed), &source).unwrap();
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o000)).unwrap();
    let ended = as_nobody(&sandbox, &source);
    sandbox.assert_refused(&ended, 3, &["secret.mp4", "permission"]);
}

#[test]
fn a_folder_that_may_not_be_written() {
    let sandbox = Sandbox::new();
    let source = sandbox.path("source.mp4");
    std::fs::copy(fixture(Fixture::H264Closed), &source).unwrap();
    std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::create_dir(sandbox.out()).unwrap();
    std::fs::set_permissions(sandbox.out(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let ended = as_nobody(&sandbox, &source);
    sandbox.assert_refused(&ended, 4, &["permission"]);
}

/// Root can read everything, so root runs the program as an unprivileged user.
fn as_nobody(sandbox: &Sandbox, source: &Path) -> Ended {
    let mut command = if is_root() {
        let program = sandbox.path("segue");
        std::fs::copy(segue_tests::segue(), &program).unwrap();
        let mut setpriv = sandbox.command("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]).arg(program);
        // the unprivileged user cannot access the home of root
        setpriv.env("HOME", sandbox.tmp()).env("XDG_DATA_HOME", sandbox.tmp());
        setpriv
    } else {
        sandbox.command(segue_tests::segue())
    };
    command.arg("run").arg(source).arg("--out").arg(sandbox.out()).args(RECIPE).args(["--progress", "none"]);
    sandbox.end(&mut command)
}

#[test]
fn a_file_cut_off_before_its_index() {
    let sandbox = Sandbox::new();
    let whole = std::fs::read(fixture(Fixture::Long)).unwrap();
    let source = sandbox.file("cut.mp4", &whole[..whole.len() / 2]);
    refused(&sandbox, &source, &["cut.mp4", "index"]);
}

/// A copy of a fixture with its index in front, truncated in the middle of the media data.
fn cut_behind_its_index(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    let whole = sandbox.path("whole.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(fixture(Fixture::Long))
        .args(["-map", "0", "-c", "copy", "-movflags", "+faststart"])
        .arg(&whole)
        .status()
        .unwrap();
    assert!(made.success());
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::remove_file(&whole).unwrap();
    sandbox.file(name, &bytes[..bytes.len() * 6 / 10])
}

#[test]
fn a_file_cut_off_behind_its_index_is_used_as_far_as_it_goes() {
    let sandbox = Sandbox::new();
    let source = cut_behind_its_index(&sandbox, "cut.mp4");
    sandbox.done(&source, &RECIPE);
    let notes = sandbox.notes("video");
    assert!(notes.contains("bytes") || notes.contains("lost") || notes.contains("cut off"), "{notes}");
    let frames = segue_tests::Digest::decode(&sandbox.joined()).video[0].times.len();
    assert!((200..400).contains(&frames), "{frames} of 480 frames");
}

#[test]
fn flipped_bits_end_well_or_clearly() {
    let mut random = Random::seeded(11);
    for (index, which) in
        [Fixture::H264Closed, Fixture::OffsetTs, Fixture::ManySounds, Fixture::Mpeg2Ps].iter().enumerate()
    {
        let sandbox = Sandbox::new();
        let path = fixture(*which);
        let mut bytes = std::fs::read(&path).unwrap();
        for _ in 0..40 {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        let name = format!("flipped-{index}.{}", path.extension().unwrap().to_str().unwrap());
        well_or_clearly(&sandbox, &sandbox.file(&name, bytes));
    }
}

#[test]
fn missing_tables_end_well_or_clearly() {
    let whole = std::fs::read(fixture(Fixture::H264Closed)).unwrap();
    for table in [b"stsd", b"stts", b"stsz", b"stsc", b"stco", b"stss", b"ctts", b"mdhd", b"trak"] {
        let sandbox = Sandbox::new();
        let mut bytes = whole.clone();
        let at = bytes.windows(4).position(|four| four == table).expect("the table is there");
        bytes[at..at + 4].copy_from_slice(b"free");
        well_or_clearly(&sandbox, &sandbox.file("missing.mp4", bytes));
    }
}

/// Damaged media may succeed or fail, but must not crash, hang or leave files.
fn well_or_clearly(sandbox: &Sandbox, source: &Path) {
    let ended = sandbox.end(&mut sandbox.run(source, &RECIPE));
    match ended.code {
        Some(0) => sandbox.assert_published(),
        _ => sandbox.assert_refused(&ended, 3, &[]),
    }
}

#[test]
fn shared_bad_files_end_well_or_clearly() {
    for source in bad_files() {
        let sandbox = Sandbox::new();
        let name = source.file_name().unwrap().to_string_lossy().into_owned();
        let hopeless = ["random", "text", "zero_bytes", "nomoov"].iter().any(|word| name.contains(word));
        if hopeless {
            refused(&sandbox, &source, &[&name]);
        } else {
            well_or_clearly(&sandbox, &source);
            if sandbox.out().join("manifest.json").is_file() && name.contains("truncated_faststart") {
                let notes = sandbox.notes("video");
                assert!(notes.len() > 4, "{name}: no note of what was lost");
            }
        }
    }
}
