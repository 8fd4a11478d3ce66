//! Dead letters of a folder backend: list, redrive and purge.

use segue_tests::{Ended, Fixture, FolderBackend, fixture};
use serde_json::{Value, json};

/// The lanes of a folder backend.
const LANES: [&str; 8] =
    ["plan", "task-cpu", "task-gpu", "task-net", "assemble", "ingest", "notify", "study"];

/// A folder backend, and a map step whose segment 3 fails until the file `fixed` exists.
struct Place {
    backend: FolderBackend,
    recipe: String,
}

impl Place {
    fn new() -> Place {
        let backend = FolderBackend::new();
        let sandbox = &backend.sandbox;
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
        Place { backend, recipe }
    }

    fn segue(&self, args: &[&str]) -> Ended {
        self.backend.segue(args)
    }

    fn dlq(&self, args: &[&str]) -> Value {
        self.backend.json(&[&["dlq"], args].concat())
    }

    fn submit(&self, job: &str) {
        let source = fixture(Fixture::Long).display().to_string();
        let ended = self.segue(&["submit", &source, "--recipe", &self.recipe, "--job", job]);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}

fn counts(list: &Value) -> [usize; 3] {
    assert_eq!(list.as_object().map(serde_json::Map::len), Some(LANES.len()), "{list}");
    ["plan", "task-cpu", "assemble"].map(|lane| list[lane].as_array().expect("a list").len())
}

/// So many messages of the lane of tasks, and none of any other.
fn of_tasks(count: usize) -> Value {
    LANES.iter().map(|lane| (*lane, if *lane == "task-cpu" { count } else { 0 })).collect()
}

#[test]
fn a_worker_runs_no_program_that_its_operator_did_not_allow() {
    let place = Place::new();
    let source = fixture(Fixture::Long).display().to_string();
    let submit = ["submit", &source, "--recipe", &place.recipe, "--job", "mine", "--backend", "jobs"];
    let refused = place.backend.sandbox.end(&mut place.backend.sandbox.segue(submit));
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("SEGUE_ALLOW_MAP"), "{refused:#?}");
    place.submit("mine");
    let none = [("SEGUE_ALLOW_MAP", "none")];
    assert_eq!(place.backend.work_with("mine", &none), Some(2), "the job fails, and no command ran");
    let status = place.segue(&["status", "mine"]);
    assert!(status.stdout.contains("SEGUE_ALLOW_MAP here is none"), "{status:#?}");
}

#[test]
fn what_was_put_aside_is_told_sent_again_and_removed() {
    let place = Place::new();
    place.submit("mine");
    assert_eq!(counts(&place.dlq(&["list"])), [0, 0, 0]);
    assert!(place.backend.work("mine").is_some_and(|code| code != 0), "segment 3 fails");
    let listed = place.dlq(&["list"]);
    assert_eq!(counts(&listed), [0, 1, 0], "{listed}");
    let letter = &listed["task-cpu"][0];
    assert!(letter["body"].as_str().unwrap().contains("mine"), "{letter}");
    assert!(!letter["reason"].as_str().unwrap().is_empty(), "{letter}");
    let plain = place.segue(&["dlq", "list"]);
    assert!(plain.stdout.starts_with("task-cpu  ") && plain.stdout.lines().count() == 1, "{plain:#?}");

    // redrive: only the named queue, and only once
    assert_eq!(place.dlq(&["redrive", "--queue", "plan"]), json!({ "plan": 0 }));
    assert_eq!(place.dlq(&["redrive", "--max", "0"]), of_tasks(0));
    assert_eq!(counts(&place.dlq(&["list"])), [0, 1, 0]);
    assert_eq!(place.dlq(&["redrive"]), of_tasks(1));
    assert_eq!(place.dlq(&["redrive"]), of_tasks(0));

    // with the cause fixed the job completes, without new dead letters
    place.backend.sandbox.file("fixed", "");
    assert_eq!(place.segue(&["retry", "mine"]).code, Some(0));
    assert_eq!(place.backend.work("mine"), Some(0));
    assert_eq!(counts(&place.dlq(&["list"])), [0, 0, 0]);

    // purge: no longer listed or redriven
    std::fs::remove_file(place.backend.sandbox.path("fixed")).unwrap();
    place.submit("other");
    assert!(place.backend.work("other").is_some_and(|code| code != 0), "segment 3 fails again");
    assert_eq!(place.dlq(&["purge", "--queue", "assemble"]), json!({ "assemble": 0 }));
    assert_eq!(place.dlq(&["purge"]), of_tasks(1));
    assert_eq!(counts(&place.dlq(&["list"])), [0, 0, 0]);
    assert_eq!(place.dlq(&["redrive"]), of_tasks(0));

    let unknown = place.segue(&["dlq", "list", "--queue", "attic"]);
    unknown.assert_one_line(&["attic", &LANES.join(", ")]);
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
}
