use std::collections::BTreeMap;

use super::*;
use segue_domain::job::JOB_VERSION;
use segue_domain::manifest::{MANIFEST_VERSION, ManifestOutput, PublishedFile};
use segue_domain::{FaultKind, FileKind, NewOutput, OutputRecord, OutputState, PlanHash};

fn job(id: &str) -> JobId {
    id.parse().unwrap()
}

fn open(path: &Path) -> Result<OutDir, Failure> {
    OutDir::open(path, &Recipe::built_in("standard").unwrap())
}

fn marker(id: &str, dir: &Path) -> Marker {
    Marker::new(&job(id), Path::new("/talk.mp4"), "standard", &dir.join(STATE))
}

fn failed(id: &str, tail: &[&str]) -> JobRecord {
    let failure = Failure {
        kind: FaultKind::Source,
        cause: "bad".into(),
        task: None,
        stderr_tail: tail.iter().map(|line| (*line).to_owned()).collect(),
    };
    let asked = NewOutput {
        id: "video".parse().unwrap(),
        kind: "video".into(),
        needs: vec![],
        required: true,
        priority: 0,
        spec: "s".into(),
    };
    let video =
        OutputRecord { state: OutputState::Failed, failure: Some(failure), ..OutputRecord::new(asked, 0) };
    JobRecord {
        version: JOB_VERSION,
        id: job(id),
        epoch: "e".parse().unwrap(),
        revision: 2,
        asset: "talk".parse().unwrap(),
        source_key: "input/talk/source.mp4".into(),
        recipe: "{}".into(),
        awaiting_until_ms: None,
        deleting: false,
        outputs: vec![video],
        created_at_ms: 0,
        updated_at_ms: 0,
        completed_at_ms: None,
    }
}

fn publish(dir: &Path, id: &str) {
    std::fs::write(dir.join("final.mp4"), "abc").unwrap();
    let output = ManifestOutput {
        kind: "video".into(),
        index: "outputs/video.json".into(),
        index_hash: "h".into(),
        plan: PlanHash("h".into()),
        segments: 1,
        tools: BTreeMap::new(),
        notes: Vec::new(),
        reason: None,
        files: vec![PublishedFile {
            name: "final.mp4".into(),
            kind: FileKind::Media,
            media_type: "video/mp4".into(),
            bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            made: "joined".into(),
            work_key: "work/j/video/assemble/1/final.mp4".into(),
        }],
    };
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        job: job(id),
        epoch: "e".parse().unwrap(),
        recipe: "rejoin".into(),
        source_bytes: 3,
        duration_ms: None,
        outputs: BTreeMap::from([("video".parse().unwrap(), output)]),
    };
    std::fs::write(dir.join(MANIFEST), manifest.encode()).unwrap();
}

#[test]
fn only_one_process_works_in_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    let first = open(&dir).unwrap();
    let second = open(&dir).unwrap_err();
    assert_eq!(second.kind, FaultKind::Usage);
    assert!(second.cause.contains("another segue process works"), "{}", second.cause);
    first.leave();
    assert!(!root.path().join("a").exists(), "folders that were made for nothing are still there");
}

#[test]
fn a_folder_is_found_again_by_its_job_and_refused_to_others() {
    let root = tempfile::tempdir().unwrap();
    let mut out = open(root.path()).unwrap();
    assert_eq!(out.find(&job("a")).unwrap(), Found::Nothing);
    out.claim(marker("a", root.path())).unwrap();
    assert_eq!(out.find(&job("a")).unwrap(), Found::Unfinished);
    let cause = out.find(&job("b")).unwrap_err().cause;
    assert!(cause.contains("unfinished job") && cause.contains("/talk.mp4"), "{cause}");
    out.abandon(marker("a", root.path()), Some(failed("a", &["line"]))).unwrap();

    let left = read_marker(root.path()).unwrap();
    assert_eq!(left.record.unwrap().failure().unwrap().stderr_tail, ["line"]);
    for id in ["a", "b"] {
        let mut out = open(root.path()).unwrap();
        assert_eq!(out.find(&job(id)).unwrap(), Found::Nothing, "a failed job is in the way of {id}");
    }
}

#[test]
fn a_failure_that_one_line_says_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made");
    let out = open(&dir).unwrap();
    out.claim(marker("a", &dir)).unwrap();
    std::fs::create_dir(dir.join(STATE).join("media")).unwrap();
    out.abandon(marker("a", &dir), Some(failed("a", &[]))).unwrap();
    assert!(!dir.exists());

    std::fs::create_dir(&dir).unwrap();
    open(&dir).unwrap().abandon(marker("a", &dir), None).unwrap();
    assert!(dir.exists(), "a folder that was there before is gone");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn a_folder_made_by_an_interrupted_process_still_counts_as_made() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made");
    let out = open(&dir).unwrap();
    out.claim(marker("a", &dir)).unwrap();
    drop(out);
    let mut again = open(&dir).unwrap();
    again.find(&job("a")).unwrap();
    again.abandon(marker("a", &dir), None).unwrap();
    assert!(!dir.exists());
}

#[test]
fn only_the_folder_and_those_above_it_are_removed_whatever_its_document_says() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let (dir, other) = (root.join("made"), root.join("other"));
    std::fs::create_dir(&dir).unwrap();
    std::fs::create_dir(&other).unwrap();
    let out = open(&dir).unwrap();
    out.write_marker(&Marker { made: vec![other.clone(), dir.clone()], ..marker("a", &dir) }).unwrap();
    drop(out);
    let mut again = open(&dir).unwrap();
    again.find(&job("a")).unwrap();
    again.abandon(marker("a", &dir), None).unwrap();
    assert!(other.exists(), "a folder elsewhere was removed");
    assert!(!dir.exists());
}

#[test]
fn links_in_an_output_folder_lead_nowhere() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let root = tempfile::tempdir().unwrap();
    let victim = root.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("lock"), "precious").unwrap();
    let linked = |name: &str, target: &Path| {
        let dir = root.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        symlink(target, dir.join(STATE)).unwrap();
        open(&dir).unwrap_err()
    };
    linked("folder", &victim);
    let dir = root.path().join("lock");
    std::fs::create_dir_all(dir.join(STATE)).unwrap();
    symlink(victim.join("lock"), dir.join(STATE).join("lock")).unwrap();
    open(&dir).unwrap_err();
    assert_eq!(std::fs::read_to_string(victim.join("lock")).unwrap(), "precious");

    let out = open(&root.path().join("private")).unwrap();
    let mode = out.state().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "what is in the state folder is for its owner alone");
}

#[test]
fn published_results_are_recognised_and_kept_from_others() {
    let root = tempfile::tempdir().unwrap();
    publish(root.path(), "a");
    let find = |id: &str| open(root.path()).unwrap().find(&job(id));
    assert!(matches!(find("a").unwrap(), Found::Published(_)));
    assert!(find("b").unwrap_err().cause.contains("another job"));

    std::fs::write(root.path().join("final.mp4"), "abd").unwrap();
    assert!(find("a").unwrap_err().cause.contains("final.mp4 is not what was written"));
    std::fs::remove_file(root.path().join("final.mp4")).unwrap();
    assert_eq!(find("a").unwrap(), Found::Nothing);
    std::fs::write(root.path().join(MANIFEST), "{}").unwrap();
    assert!(find("a").unwrap_err().cause.contains("segue did not write"));
}

#[test]
fn files_of_nobody_are_not_overwritten() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("notes.txt"), "mine").unwrap();
    assert_eq!(open(root.path()).unwrap().find(&job("a")).unwrap(), Found::Nothing);
    std::fs::write(root.path().join("final.mp4"), "mine").unwrap();
    let cause = open(root.path()).unwrap().find(&job("a")).unwrap_err().cause;
    assert!(cause.contains("final.mp4"), "{cause}");

    let file = root.path().join("notes.txt");
    let failure = open(&file).unwrap_err();
    assert_eq!(failure.kind, FaultKind::Usage);
}

#[test]
fn who_leaves_a_folder_and_who_comes_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let come_and_go = |id: &str| {
        let mut worked = 0;
        while worked < 50 {
            // or another process has locked it
            let Ok(mut out) = open(dir.path()) else { continue };
            assert_eq!(out.find(&job(id)).unwrap(), Found::Nothing, "something of another's");
            out.claim(marker(id, dir.path())).unwrap();
            out.finish().unwrap();
            worked += 1;
        }
    };
    std::thread::scope(|scope| {
        let all = ["one", "two", "three"].map(|id| scope.spawn(move || come_and_go(id)));
        all.into_iter().for_each(|one| one.join().unwrap());
    });
    assert!(!dir.path().join(STATE).exists());
}
