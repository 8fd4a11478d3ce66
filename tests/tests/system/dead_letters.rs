//! Dead letters of a folder backend: list, redrive and purge.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use segue_tests::{Ended, Fixture, Sandbox, fixture};
use serde_json::{Value, json};

/// A folder backend, and a map step whose segment 3 fails until the file `fixed` exists.
struct Place {
    sandbox: Sandbox,
    recipe: String,
}

impl Place {
    fn new() -> Place {
        let sandbox = Sandbox::new();
        let body = format!(
            "[ $SEGUE_INDEX != 3 ] || [ -e {} ] || {{ echo no luck >&2; exit 7; }}\ncp \"$1\" \"$2\"",
            sandbox.path("fixed").display()
        );
        let script = sandbox.script("map", &body);
        let text = format!(
            "version = 1\nname = \"mine\"\nsegment_duration = \"2s\"\n[video]\nmode = \"copy\"\n\
             [map]\ncommand = '''{} {{input}} {{output}}'''\nattempts = 1\n",
            script.display()
        );
        let recipe = sandbox.file("recipe.toml", text).display().to_string();
        Place { sandbox, recipe }
    }

    fn segue(&self, args: &[&str]) -> Ended {
        self.sandbox.end(self.sandbox.segue(args).args(["--backend", "jobs"]).env("SEGUE_ALLOW_MAP", "any"))
    }

    fn dlq(&self, args: &[&str]) -> Value {
        let ended = self.segue(&[&["dlq", "--json"], args].concat());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {ended:#?}"))
    }

    fn submit(&self, job: &str) {
        let source = fixture(Fixture::Long).display().to_string();
        let ended = self.segue(&["submit", &source, "--recipe", &self.recipe, "--job", job]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }

    /// Runs a worker until the job has ended; the exit code of `segue watch`.
    fn work(&self, job: &str) -> Option<i32> {
        self.work_where(job, "any")
    }

    /// The same with another `SEGUE_ALLOW_MAP`.
    fn work_where(&self, job: &str, allow_map: &str) -> Option<i32> {
        let mut worker = self.sandbox.segue(["worker", "--backend", "jobs"]);
        worker.env("SEGUE_ALLOW_MAP", allow_map);
        let worker = worker.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let watched = self.segue(&["watch", job]);
        kill(Pid::from_raw(worker.id() as i32), Signal::SIGTERM).unwrap();
        let ended = self.sandbox.end_of(worker);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        watched.code
    }
}

fn counts(list: &Value) -> [usize; 3] {
    ["chunk", "map", "reassemble"].map(|queue| list[queue].as_array().expect("a list").len())
}

#[test]
fn a_worker_runs_no_program_that_its_operator_did_not_allow() {
    let place = Place::new();
    let source = fixture(Fixture::Long).display().to_string();
    let submit = ["submit", &source, "--recipe", &place.recipe, "--job", "mine", "--backend", "jobs"];
    let refused = place.sandbox.end(&mut place.sandbox.segue(submit));
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("SEGUE_ALLOW_MAP"), "{refused:#?}");
    place.submit("mine");
    assert_eq!(place.work_where("mine", "none"), Some(2), "the job fails, and no command ran");
    let status = place.segue(&["status", "mine"]);
    assert!(status.stdout.contains("SEGUE_ALLOW_MAP here is none"), "{status:#?}");
}

#[test]
fn what_was_put_aside_is_told_sent_again_and_removed() {
    let place = Place::new();
    place.submit("mine");
    assert_eq!(counts(&place.dlq(&["list"])), [0, 0, 0]);
    assert!(place.work("mine").is_some_and(|code| code != 0), "segment 3 fails");
    let listed = place.dlq(&["list"]);
    assert_eq!(counts(&listed), [0, 1, 0], "{listed}");
    let letter = &listed["map"][0];
    assert!(letter["body"].as_str().unwrap().contains("mine"), "{letter}");
    assert!(!letter["reason"].as_str().unwrap().is_empty(), "{letter}");
    let plain = place.segue(&["dlq", "list"]);
    assert!(plain.stdout.starts_with("map  ") && plain.stdout.lines().count() == 1, "{plain:#?}");

    // redrive: only the named queue, and only once
    assert_eq!(place.dlq(&["redrive", "--queue", "chunk"]), json!({ "chunk": 0 }));
    assert_eq!(place.dlq(&["redrive", "--max", "0"]), json!({ "chunk": 0, "map": 0, "reassemble": 0 }));
    assert_eq!(counts(&place.dlq(&["list"])), [0, 1, 0]);
    assert_eq!(place.dlq(&["redrive"]), json!({ "chunk": 0, "map": 1, "reassemble": 0 }));
    assert_eq!(place.dlq(&["redrive"]), json!({ "chunk": 0, "map": 0, "reassemble": 0 }));

    // with the cause fixed the job completes, without new dead letters
    place.sandbox.file("fixed", "");
    assert_eq!(place.segue(&["retry", "mine"]).code, Some(0));
    assert_eq!(place.work("mine"), Some(0));
    assert_eq!(counts(&place.dlq(&["list"])), [0, 0, 0]);

    // purge: no longer listed or redriven
    std::fs::remove_file(place.sandbox.path("fixed")).unwrap();
    place.submit("other");
    assert!(place.work("other").is_some_and(|code| code != 0), "segment 3 fails again");
    assert_eq!(place.dlq(&["purge", "--queue", "reassemble"]), json!({ "reassemble": 0 }));
    assert_eq!(place.dlq(&["purge"]), json!({ "chunk": 0, "map": 1, "reassemble": 0 }));
    assert_eq!(counts(&place.dlq(&["list"])), [0, 0, 0]);
    assert_eq!(place.dlq(&["redrive"]), json!({ "chunk": 0, "map": 0, "reassemble": 0 }));

    let unknown = place.segue(&["dlq", "list", "--queue", "attic"]);
    unknown.assert_one_line(&["attic", "chunk, map, reassemble"]);
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
}
