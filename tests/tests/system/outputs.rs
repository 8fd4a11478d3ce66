//! Jobs of several outputs: optional and required ones, retries and additions by output, names of files,
//! and both recipe formats.

use std::path::{Path, PathBuf};

use segue_tests::{Fixture, FolderBackend, Sandbox, assert_same_media, failure_of, fixture, sha256};
use serde_json::{Value, json};

/// A recipe of format 2 with segments of 2 s.
fn recipe(sandbox: &Sandbox, outputs: &str) -> String {
    let text = format!("version = 2\nname = \"mine\"\nsegment_duration = \"2s\"\n{outputs}");
    sandbox.file("recipe.toml", text).display().to_string()
}

/// An output `mapped`, a video whose map command runs `body` and then copies.
fn mapped(sandbox: &Sandbox, body: &str, required: bool) -> String {
    let script = sandbox.script("map", &format!("{body}\ncp \"$1\" \"$2\""));
    format!(
        "[outputs.mapped]\nkind = \"video\"\nrequired = {required}\n\
         map = {{ command = '''{} {{input}} {{output}}''', attempts = 1 }}\n",
        script.display()
    )
}

const VIDEO: &str = "[outputs.video]\nkind = \"video\"\n";
const THUMBNAIL: &str = "[outputs.thumbnail]\nkind = \"thumbnail\"\n";

/// Fails for segment 3 unless the file exists.
fn fails_without(file: &Path) -> String {
    format!("[ $SEGUE_INDEX != 3 ] || [ -e {} ] || {{ echo no luck >&2; exit 7; }}", file.display())
}

#[test]
fn a_job_completes_without_an_optional_output_that_failed_and_reports_it() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let failing = mapped(&sandbox, "exit 7", false);
    let recipe = recipe(&sandbox, &format!("{VIDEO}{failing}"));
    let run = |progress: &str, out: &str| {
        let mut command = sandbox.segue(["run", "--recipe", &recipe, "--progress", progress]);
        sandbox.end(command.arg(&source).arg("--out").arg(sandbox.path(out)))
    };
    let ended = run("json", "out");
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_same_media(&source, &sandbox.joined());
    let manifest = sandbox.document("manifest.json");
    assert_eq!(manifest["outputs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["video"]);
    let finished: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(finished["failed"][0]["output"], "mapped", "{finished:#}");
    let cause = finished["failed"][0]["failure"]["cause"].as_str().unwrap();
    assert!(cause.contains("map command") && cause.contains("segment"), "{cause}");
    assert_eq!(finished["failed"].as_array().unwrap().len(), 1, "{finished:#}");

    let plain = run("plain", "plain");
    assert_eq!(plain.code, Some(0), "{plain:#?}");
    assert!(plain.stdout.contains("optional output mapped failed: "), "{plain:#?}");
    assert!(plain.stdout.contains("the same command tries again what failed"), "{plain:#?}");
}

#[test]
fn the_same_run_tries_again_only_what_failed() {
    for required in [true, false] {
        let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
        let fixed = sandbox.path("fixed");
        let failing = mapped(&sandbox, &fails_without(&fixed), required);
        let recipe = recipe(&sandbox, &format!("{VIDEO}{THUMBNAIL}{failing}"));
        let run = || {
            let mut command = sandbox.segue(["run", "--recipe", &recipe]);
            sandbox.end(command.env("SEGUE_SANDBOX", "off").arg(&source).arg("--out").arg(sandbox.out()))
        };
        let failed = run();
        if required {
            assert!(matches!(failed.code, Some(3..=5)), "{failed:#?}");
            assert!(failed.stderr.contains("output mapped: "), "{failed:#?}");
            assert!(failed.stdout.contains("holds the other outputs (thumbnail, video)"), "{failed:#?}");
        } else {
            assert_eq!(failed.code, Some(0), "{failed:#?}");
        }
        let made = || {
            let outputs = sandbox.document("manifest.json")["outputs"].take();
            outputs.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(made(), ["thumbnail", "video"]);
        assert_same_media(&source, &sandbox.joined());
        let written = || sandbox.joined().metadata().unwrap().modified().unwrap();
        let before = written();

        sandbox.file("fixed", "");
        let again = run();
        assert_eq!(again.code, Some(0), "{again:#?}");
        assert_eq!(made(), ["mapped", "thumbnail", "video"]);
        assert_eq!(written(), before, "the video was delivered again");
        assert_same_media(&source, &sandbox.out().join("mapped/final.mp4"));
        sandbox.assert_published();
    }
}

#[test]
fn an_id_names_one_source_and_one_recipe() {
    let backend = FolderBackend::new();
    let source = fixture(Fixture::Long).display().to_string();
    let other = fixture(Fixture::H264Closed).display().to_string();
    let thumbnail = recipe(&backend.sandbox, THUMBNAIL);
    let submit =
        |source: &str, recipe: &str| backend.segue(&["submit", source, "--recipe", recipe, "--job", "mine"]);
    assert_eq!(submit(&source, &thumbnail).code, Some(0));
    assert_eq!(submit(&source, &thumbnail).code, Some(0), "a repeat is the same job");
    for (source, recipe, what) in
        [(&other, thumbnail.as_str(), "another source"), (&source, "rejoin", "without the output video")]
    {
        let refused = submit(source, recipe);
        assert_eq!(refused.code, Some(2), "{refused:#?}");
        refused.assert_one_line(&["there is a job mine", what]);
    }
    let stored = backend.sandbox.path("jobs/media/input/mine/source.mp4");
    assert_eq!(sha256(&stored), sha256(&fixture(Fixture::Long)), "the source was replaced");

    // the source of a deleted job stays, and is not taken for another one's
    backend.json(&["delete", "mine"]);
    let refused = submit(&other, &thumbnail);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    refused.assert_one_line(&["another source", "segue delete mine --with-source"]);
    let none = backend.segue(&["status", "mine"]);
    assert_eq!(none.code, Some(2), "a refused submission left a job: {none:#?}");
    backend.json(&["delete", "mine", "--with-source"]);
    assert_eq!(submit(&other, &thumbnail).code, Some(0));
}

#[test]
fn an_added_output_can_need_one_that_the_job_has() {
    let backend = FolderBackend::new();
    let source = fixture(Fixture::Long).display().to_string();
    let thumbnail = recipe(&backend.sandbox, THUMBNAIL);
    backend.json(&["submit", &source, "--recipe", &thumbnail, "--job", "mine"]);
    let more = |needs: &str| {
        let text = format!("version = 2\nname = \"more\"\n{VIDEO}needs = [\"{needs}\"]\n");
        backend.sandbox.file("more.toml", text).display().to_string()
    };
    let missing = backend.segue(&["add", "mine", "--recipe", &more("attic")]);
    assert_eq!(missing.code, Some(2), "{missing:#?}");
    missing.assert_one_line(&["attic"]);
    backend.json(&["add", "mine", "--recipe", &more("thumbnail")]);
    assert_eq!(backend.work("mine"), Some(0));
    let done = backend.json(&["status", "mine"]);
    assert_eq!(done["manifest"]["outputs"].as_object().unwrap().len(), 2, "{done:#}");
}

#[test]
fn a_required_output_that_fails_fails_the_job_and_takes_no_other_with_it() {
    let backend = FolderBackend::new();
    let (source, fixed) = (fixture(Fixture::Long), backend.sandbox.path("fixed"));
    let failing = mapped(&backend.sandbox, &fails_without(&fixed), true);
    let recipe = recipe(&backend.sandbox, &format!("{VIDEO}{THUMBNAIL}{failing}"));
    backend.json(&["submit", source.to_str().unwrap(), "--recipe", &recipe, "--job", "mine"]);
    assert!(matches!(backend.work("mine"), Some(2..=4)), "the map command fails");

    let failed = backend.json(&["status", "mine"]);
    assert_eq!(failed["state"], "failed", "{failed:#}");
    assert!(failure_of(&failed["job"])["cause"].as_str().unwrap().contains("segment 3"), "{failed:#}");
    let published = failed["manifest"]["outputs"].as_object().unwrap();
    assert_eq!(published.keys().collect::<Vec<_>>(), ["thumbnail", "video"], "{failed:#}");
    let video = backend.published("mine", "final.mp4");
    assert_same_media(&source, &video);
    let before = (sha256(&video), video.metadata().unwrap().modified().unwrap());
    let lines = backend.segue(&["status", "mine"]).stdout;
    for (output, state) in [("mapped", "failed"), ("video", "completed"), ("thumbnail", "completed")] {
        let line = lines.lines().find(|line| line.split_whitespace().next() == Some(output));
        assert_eq!(line.and_then(|line| line.split_whitespace().nth(1)), Some(state), "{lines}");
    }

    let refused = backend.segue(&["retry", "mine", "--output", "video"]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    refused.assert_one_line(&["output video", "retried"]);
    let unknown = backend.segue(&["retry", "mine", "--output", "attic"]);
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
    unknown.assert_one_line(&["attic", "mapped"]);

    backend.sandbox.file("fixed", "");
    backend.json(&["retry", "mine", "--output", "mapped"]);
    assert_eq!(backend.work("mine"), Some(0));
    let done = backend.json(&["status", "mine"]);
    assert_eq!(done["state"], "completed", "{done:#}");
    for output in ["thumbnail", "video"] {
        assert_eq!(done["manifest"]["outputs"][output], published[output], "{output} was made again");
    }
    assert_eq!((sha256(&video), video.metadata().unwrap().modified().unwrap()), before);
    assert_same_media(&source, &backend.published("mine", "mapped/final.mp4"));
    assert_eq!(done["completed_tasks"], planned(&done), "every task once");
}

/// The number of tasks of each output.
fn planned(status: &Value) -> Value {
    status["job"]["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|output| output["plan"]["tasks"].clone())
        .collect()
}

/// Wrappers of ffmpeg and ffprobe that log each start.
struct Programs {
    log: PathBuf,
}

impl Programs {
    fn of(backend: &mut FolderBackend) -> Programs {
        let log = backend.sandbox.path("programs");
        for (variable, program) in [("SEGUE_FFMPEG", "ffmpeg"), ("SEGUE_FFPROBE", "ffprobe")] {
            let body = format!("echo \"{program} $*\" >> {}\nexec {program} \"$@\"", log.display());
            let path = backend.sandbox.script(program, &body).display().to_string();
            backend.environment.push((variable, path));
        }
        // the wrappers write a file that is none of a task's
        backend.environment.push(("SEGUE_SANDBOX", "off".to_owned()));
        Programs { log }
    }

    /// The starts since the last call, without questions for versions and encoders.
    fn started(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        std::fs::write(&self.log, "").unwrap();
        let asks = |line: &&str| ["-version", "-encoders", "-muxers", "-h "].iter().any(|q| line.contains(q));
        text.lines().filter(|line| !asks(line)).map(str::to_owned).collect()
    }
}

#[test]
fn an_added_output_starts_no_program_for_the_others() {
    let mut backend = FolderBackend::new();
    let programs = Programs::of(&mut backend);
    let source = fixture(Fixture::Long).display().to_string();
    let thumbnail = recipe(&backend.sandbox, THUMBNAIL);
    backend.json(&["submit", &source, "--recipe", &thumbnail, "--job", "alone"]);
    assert_eq!(backend.work("alone"), Some(0));
    let alone = programs.started();
    assert!(!alone.is_empty(), "the wrappers are not used");

    let encode = ["--recipe", "mp4", "--segment-duration", "2s"];
    backend.json(&[&["submit", &source, "--job", "mine"], &encode[..]].concat());
    assert_eq!(backend.work("mine"), Some(0));
    let before = backend.json(&["status", "mine"]);
    let video = backend.published("mine", "final.mp4");
    let written = video.metadata().unwrap().modified().unwrap();
    assert!(programs.started().len() > alone.len(), "a video takes more than a thumbnail");

    let added = backend.json(&["add", "mine", "--recipe", &thumbnail]);
    assert_eq!(added["outputs"].as_array().unwrap().len(), 2, "{added:#}");
    assert_eq!(backend.work("mine"), Some(0));
    let started = programs.started();
    assert_eq!(started.len(), alone.len(), "added: {started:#?}\nalone: {alone:#?}");
    let probes = |all: &[String]| all.iter().filter(|line| line.starts_with("ffprobe ")).count();
    assert_eq!(probes(&started), probes(&alone), "the source is probed once for the plan: {started:#?}");

    let after = backend.json(&["status", "mine"]);
    assert_eq!(after["state"], "completed", "{after:#}");
    assert_eq!(after["manifest"]["outputs"]["video"], before["manifest"]["outputs"]["video"]);
    assert_eq!(video.metadata().unwrap().modified().unwrap(), written, "the video was published again");
    assert!(backend.published("mine", "thumbnail.jpg").is_file());
    assert_eq!(after["completed_tasks"], planned(&after), "every task once");

    // the same again changes nothing, and other settings under the same name are refused
    assert_eq!(backend.json(&["add", "mine", "--recipe", &thumbnail])["outputs"], after["job"]["outputs"]);
    let other = recipe(&backend.sandbox, &format!("{THUMBNAIL}width = 64\n"));
    let refused = backend.segue(&["add", "mine", "--recipe", &other]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    refused.assert_one_line(&["output thumbnail", "other settings"]);
}

#[test]
fn an_output_can_be_cancelled_by_its_name() {
    let backend = FolderBackend::new();
    let source = fixture(Fixture::Long).display().to_string();
    let recipe = recipe(&backend.sandbox, &format!("{VIDEO}{THUMBNAIL}required = false\n"));
    backend.json(&["submit", &source, "--recipe", &recipe, "--job", "mine"]);
    backend.json(&["cancel", "mine", "--output", "thumbnail"]);
    assert_eq!(backend.work("mine"), Some(0));
    let done = backend.json(&["status", "mine"]);
    assert_eq!(done["state"], "completed", "{done:#}");
    assert_eq!(done["manifest"]["outputs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["video"]);
    assert!(!backend.published("mine", "thumbnail.jpg").exists());

    let kept = backend.sandbox.path("jobs/media/input/mine/source.mp4");
    assert_eq!(backend.json(&["delete", "mine"]), json!({ "deleted": "mine" }));
    assert!(!backend.published("mine", "").exists() && kept.exists(), "the source is to be kept");
    // what the first call left is found without the job's record
    assert_eq!(backend.json(&["delete", "mine", "--with-source"]), json!({ "deleted": "mine" }));
    assert!(!kept.exists());
    let missing = backend.segue(&["delete", "mine"]);
    assert_eq!(missing.code, Some(2), "{missing:#?}");
    missing.assert_one_line(&["there is no job mine"]);
}

/// Name, size and hash of each file but the certificates, which name the plan and so the job.
fn results(sandbox: &Sandbox) -> Vec<Value> {
    let manifest = sandbox.document("manifest.json");
    let outputs = manifest["outputs"].as_object().unwrap().values();
    let files = outputs.flat_map(|output| output["files"].as_array().unwrap());
    let made = files.filter(|file| file["kind"] != "certificate");
    made.map(|file| json!([file["name"], file["bytes"], file["sha256"], file["made"]])).collect()
}

#[test]
fn a_recipe_of_format_1_makes_what_it_makes_in_format_2() {
    let one = "version = 1\nname = \"mine\"\nsegment_duration = \"2s\"\n\
               [video]\nmode = \"encode\"\nencode = { preset = \"ultrafast\" }\n[thumbnail]\nwidth = 64\n";
    let two = "version = 2\nname = \"mine\"\nsegment_duration = \"2s\"\n\
               [outputs.video]\nkind = \"video\"\nmode = \"encode\"\nencode = { preset = \"ultrafast\" }\n\
               [outputs.thumbnail]\nkind = \"thumbnail\"\nwidth = 64\n";
    let source = fixture(Fixture::H264Closed);
    let [first, second] = [one, two].map(|text| {
        let sandbox = Sandbox::new();
        let recipe = sandbox.file("recipe.toml", text).display().to_string();
        // with more threads x264 does not always write the same bytes
        sandbox.done(&source, &["--recipe", &recipe, "--threads", "1"]);
        sandbox
    });
    assert_eq!(results(&first), results(&second));
    assert_eq!(results(&first).len(), 2, "a video and a thumbnail");

    // the same job: in the folder of the one the other has nothing to do
    let two = first.file("two.toml", two).display().to_string();
    let mut command = first.segue(["run", "--recipe", &two, "--progress", "json"]);
    let again = first.end(command.arg(&source).arg("--out").arg(first.out()));
    let finished: Value = serde_json::from_str(again.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((again.code, &finished["already"]), (Some(0), &json!(true)), "{again:#?}");
}

#[test]
fn files_of_an_output_with_a_name_of_its_own_are_in_a_folder_of_that_name() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let small = "[outputs.small]\nkind = \"video\"\nmode = \"encode\"\n\
                 encode = { preset = \"ultrafast\", max_height = 64 }\n";
    let picture = "[outputs.picture]\nkind = \"thumbnail\"\n";
    sandbox.done(&source, &["--recipe", &recipe(&sandbox, &format!("{VIDEO}{small}{picture}"))]);
    let named = |output: &str| -> Vec<String> {
        let files = sandbox.output(output)["files"].take();
        let mut names: Vec<String> =
            files.as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(named("video"), ["final.mp4", "video.certificate.json"]);
    assert_eq!(named("small"), ["small.certificate.json", "small/final.mp4"]);
    assert_eq!(named("picture"), ["picture.certificate.json", "picture/thumbnail.jpg"]);
    assert_same_media(&source, &sandbox.joined());
    let small = segue_tests::streams(&sandbox.out().join("small/final.mp4"));
    assert_eq!(small[0]["height"], 64, "{small:#?}");
}
