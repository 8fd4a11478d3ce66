//! Each check is violated deliberately; the run must fail and name the violation.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `SEGUE_BIN`, else the program in the same target folder.
fn segue() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_segue-torture")).with_file_name("segue");
    let segue = std::env::var_os("SEGUE_BIN").map_or(beside, PathBuf::from);
    assert!(segue.is_file(), "no program {}: build segue-cli or set SEGUE_BIN", segue.display());
    segue
}

fn torture(args: &[&str]) -> Output {
    let work = tempfile::tempdir().unwrap();
    let mut torture = Command::new(env!("CARGO_BIN_EXE_segue-torture"));
    torture.arg("--segue").arg(segue()).arg("--work").arg(work.path()).args(args);
    torture.env_remove("SEGUE_BIN").output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn fails_with(backend: &str, sabotage: &str, broken: &str) {
    let output = torture(&["--backend", backend, "--sabotage", sabotage]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!(" 0: {broken}: ")) || text.contains(&format!("seed 1: {broken}: ")),
        "{text}"
    );
    assert!(text.contains("RED") && text.contains("replay with: "), "{text}");
}

#[test]
fn a_run_without_sabotage_is_clean() {
    for backend in ["embedded", "fleet"] {
        let output = torture(&["--backend", backend, "--sabotage", "nothing", "--seconds", "10"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(text(&output).contains("clean"), "{}", text(&output));
    }
}

macro_rules! red {
    ($($name:ident: $sabotage:literal => $broken:literal;)*) => {
        $(#[test] fn $name() { fails_with("embedded", $sabotage, $broken) })*
    };
}

red! {
    a_tampered_final: "tampered-final" => "partial";
    an_orphan_process: "orphan-process" => "orphans";
    a_lost_completion: "lost-completion" => "lost";
}

#[test]
fn a_fleet_that_leaves_a_process_and_a_file() {
    fails_with("fleet", "orphan-process", "orphans");
    fails_with("fleet", "temporary-file", "orphans");
}

/// The other violations, each of which takes a run of its own: `scripts/test --long`.
mod long {
    use super::fails_with;

    red! {
        another_final: "other-final" => "uncertified";
        another_manifest: "other-manifest" => "different";
        a_missing_final: "missing-final" => "lost";
        a_missing_manifest: "missing-manifest" => "lost";
        a_second_manifest: "second-manifest" => "doubled";
        a_failed_certificate: "failed-certificate" => "uncertified";
        a_missing_certificate: "missing-certificate" => "uncertified";
        a_temporary_file: "temporary-file" => "orphans";
        a_left_state: "left-state" => "orphans";
        a_partial_file: "partial-file" => "partial";
        a_lost_state: "lost-state" => "lost";
        another_completion: "other-completion" => "doubled";
        a_task_done_again: "task-done-again" => "doubled";
        a_wrong_count: "wrong-count" => "bad state";
        a_damaged_database: "damaged-database" => "bad state";
        too_many_attempts: "too-many-attempts" => "unbounded";
        too_many_messages: "too-many-messages" => "unbounded";
        an_unknown_exit: "unknown-exit" => "bad end";
        a_wrong_blame: "wrong-blame" => "bad end";
        an_end_without_work: "nothing-done" => "lost";
    }

    #[test]
    fn a_fleet_with_a_tampered_final() {
        fails_with("fleet", "tampered-final", "partial");
    }
}
