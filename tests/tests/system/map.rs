//! Map commands: the user's own program on every segment.

use std::path::Path;

use segue_tests::{Fixture, Sandbox, fixture, marked};

const PARTS: [&str; 4] = ["--recipe", "rejoin", "--segment-duration", "2s"];

/// A copy recipe with a map command, and further lines in its `[map]`.
fn recipe(sandbox: &Sandbox, command: &str, more: &str) -> String {
    let text = format!(
        "version = 1\nname = \"mine\"\nsegment_duration = \"2s\"\n[video]\nmode = \"copy\"\n\
         [map]\ncommand = '''{command}'''\n{more}\n"
    );
    sandbox.file("recipe.toml", text).display().to_string()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn placeholders_and_environment_say_the_same() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let log = sandbox.path("log");
    let body = format!(
        "echo \"$3 $4 $5 $6 $7\" >> {log}.args\n\
         echo \"$SEGUE_INDEX $SEGUE_TOTAL $SEGUE_START $SEGUE_END $SEGUE_JOB\" >> {log}.env\n\
         [ \"$1\" = \"$SEGUE_INPUT\" ] && [ \"$2\" = \"$SEGUE_OUTPUT\" ] || exit 9\ncp \"$1\" \"$2\"",
        log = log.display()
    );
    let script = sandbox.script("say", &body);
    let map =
        format!("{} {{input}} {{output}} {{index}} {{total}} {{start}} {{end}} {{job}}", script.display());
    sandbox.done(&source, &[&PARTS[..], &["--map", &map]].concat());
    let (mut args, mut env) = (lines(&sandbox.path("log.args")), lines(&sandbox.path("log.env")));
    args.sort();
    env.sort();
    assert_eq!(args, env);
    assert_eq!(args.len(), 8);
    let job = sandbox.document("manifest.json")["job"].as_str().unwrap().to_owned();
    for (index, line) in args.iter().enumerate() {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[..2], [index.to_string(), "8".to_owned()], "{line}");
        let seconds = |text: &str| text.parse::<f64>().unwrap();
        assert!((seconds(words[2]) - 2.0 * index as f64).abs() < 0.1, "{line}");
        assert!((seconds(words[3]) - 2.0 * (index + 1) as f64).abs() < 0.1, "{line}");
        assert_eq!(words[4], job, "{line}");
    }
}

#[test]
fn a_failing_part_is_tried_again_and_no_other() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let log = sandbox.path("log");
    let body = format!(
        "echo $SEGUE_INDEX >> {log}\n\
         [ $SEGUE_INDEX = 3 ] && [ $(grep -c '^3$' {log}) -lt 3 ] && {{ echo not yet >&2; exit 7; }}\ncp \"$1\" \"$2\"",
        log = log.display()
    );
    let script = sandbox.script("sometimes", &body);
    sandbox.done(
        &source,
        &[
            "--recipe",
            &recipe(&sandbox, &format!("{} {{input}} {{output}}", script.display()), "attempts = 3"),
        ],
    );
    let mut runs = lines(&log);
    runs.sort();
    assert_eq!(runs, ["0", "1", "2", "3", "3", "3", "4", "5", "6", "7"]);
}

#[test]
fn a_part_that_keeps_failing_fails_the_job_by_name() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let log = sandbox.path("log");
    let body = format!(
        "echo $SEGUE_INDEX >> {log}\n[ $SEGUE_INDEX = 3 ] && {{ for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; exit 7; }}\ncp \"$1\" \"$2\"",
        log = log.display()
    );
    let script = sandbox.script("never", &body);
    let recipe = recipe(&sandbox, &format!("{} {{input}} {{output}}", script.display()), "attempts = 2");
    let ended = sandbox.end(&mut sandbox.run(&source, &["--recipe", &recipe]));
    assert!(matches!(ended.code, Some(2..=4)), "an internal error for a failing map command: {ended:#?}");
    ended.assert_one_line(&["map", "segment 3"]);
    sandbox.assert_nothing_published();
    sandbox.assert_nothing_left();
    assert_eq!(lines(&log).iter().filter(|line| *line == "3").count(), 2);
    let status = sandbox.end(sandbox.segue(["status", "--json"]).arg(sandbox.out()));
    let job: serde_json::Value =
        serde_json::from_str(&status.stdout).unwrap_or_else(|e| panic!("{e}: {status:#?}"));
    let tail = segue_tests::failure_of(&job["record"])["stderr_tail"]
        .as_array()
        .expect("the last lines are kept")
        .clone();
    assert_eq!(tail.len(), 10, "{tail:?}");
    assert_eq!(tail[9], "line 12");
}

#[test]
fn wrong_output_is_refused_with_its_segment() {
    let encode = "ffmpeg -v error -i \"$1\" -c:v libx264 -preset ultrafast";
    let cases = [
        ("writes nothing", "true".to_owned(), "output"),
        ("writes an empty file", ": > \"$2\"".to_owned(), "empty"),
        ("writes text", "echo hello > \"$2\"".to_owned(), ""),
        ("loses a frame", format!("{encode} -frames:v 59 \"$2\""), "frame"),
        ("adds frames", format!("{encode} -vf tpad=stop=3:stop_mode=clone \"$2\""), "frame"),
    ];
    for (what, body, word) in cases {
        let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
        let body = format!("if [ $SEGUE_INDEX = 5 ]; then {body}; else cp \"$1\" \"$2\"; fi");
        let script = sandbox.script("wrong", &body);
        let recipe = recipe(&sandbox, &format!("{} {{input}} {{output}}", script.display()), "attempts = 1");
        let ended = sandbox.end(&mut sandbox.run(&source, &["--recipe", &recipe]));
        assert!(matches!(ended.code, Some(2..=4)), "{what}: {ended:#?}");
        ended.assert_one_line(&[word]);
        let named = ["segment 5", "part 5"].iter().any(|name| ended.stderr.contains(name));
        assert!(named, "{what}: no segment is named: {ended:#?}");
        sandbox.assert_nothing_published();
        sandbox.assert_nothing_left();
    }
}

#[test]
fn a_map_that_makes_other_pictures_is_joined_and_certified() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let map = "ffmpeg -v error -i {input} -vf negate -c:v libx264 -preset ultrafast {output}";
    sandbox.done(&source, &[&PARTS[..], &["--map", map]].concat());
    let (before, after) =
        (segue_tests::Digest::decode(&source), segue_tests::Digest::decode(&sandbox.joined()));
    assert_eq!(before.video[0].times.len(), after.video[0].times.len());
    assert_eq!(before.samples, after.samples, "the sound is not mapped");
    assert!(before.video[0].hashes.iter().zip(&after.video[0].hashes).all(|(a, b)| a != b));
}

#[test]
fn the_time_limit_ends_the_whole_tree() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let script = sandbox
        .script("hang", "trap '' INT TERM\nsleep 300 &\n(trap '' INT TERM; sleep 300) &\nwait; sleep 300");
    let recipe = recipe(
        &sandbox,
        &format!("{} {{input}} {{output}}", script.display()),
        "attempts = 1\ntimeout = \"1s\"",
    );
    let ended = sandbox.end(&mut sandbox.run(&source, &["--recipe", &recipe]));
    assert!(matches!(ended.code, Some(2..=4)), "{ended:#?}");
    ended.assert_one_line(&["segment", "1"]);
    assert!(ended.took.as_secs() < 30, "{:?}", ended.took);
    assert!(marked(&sandbox.mark).is_empty(), "{:?}", marked(&sandbox.mark));
    sandbox.assert_nothing_published();
    sandbox.assert_nothing_left();
}

#[test]
fn commands_that_make_no_sense_are_usage_errors() {
    let source = fixture(Fixture::H264Closed);
    for (map, word) in [
        ("cp {input}", "{output}"),
        ("cp {output}", "{input}"),
        ("", "map"),
        ("cp '{input} {output}", "quote"),
    ] {
        let sandbox = Sandbox::new();
        let ended = sandbox.end(&mut sandbox.run(&source, &[&PARTS[..], &["--map", map]].concat()));
        sandbox.assert_refused(&ended, 2, &[word]);
    }
    let sandbox = Sandbox::new();
    let ended = sandbox.end(
        &mut sandbox.run(&source, &[&PARTS[..], &["--map", "/nonexistent/tool {input} {output}"]].concat()),
    );
    assert!(matches!(ended.code, Some(2 | 4)), "{ended:#?}");
    ended.assert_one_line(&["/nonexistent/tool"]);
}

#[test]
fn a_map_may_write_another_container() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Vfr));
    let command = "ffmpeg -v error -i {input} -c copy {output}";
    sandbox.done(&source, &["--recipe", &recipe(&sandbox, command, "extension = \"mkv\"")]);
    segue_tests::assert_same_media(&source, &sandbox.joined());
}

#[test]
fn the_sound_is_mapped_whole() {
    for which in [Fixture::H264Open, Fixture::LateSound] {
        let (sandbox, source) = (Sandbox::new(), fixture(which));
        let log = sandbox.path("log");
        let body =
            format!("echo run >> {}\nffmpeg -v error -i \"$1\" -af volume=-20dB \"$2\"", log.display());
        let script = sandbox.script("quieter", &body);
        let map = format!("{} {{input}} {{output}}", script.display());
        sandbox.done(&source, &[&PARTS[..], &["--map-sound", &map]].concat());
        assert_eq!(lines(&log), ["run"], "once for the whole sound, for any number of segments");
        let (before, after) =
            (segue_tests::Digest::decode(&source), segue_tests::Digest::decode(&sandbox.joined()));
        assert_eq!(before.video[0].hashes, after.video[0].hashes, "{which:?}: the picture is not mapped");
        let quieter = segue_tests::level_db(&source) - segue_tests::level_db(&sandbox.joined());
        assert!((quieter - 20.0).abs() < 1.0, "{which:?}: {quieter:.1} dB quieter");
    }
}

#[test]
fn a_map_of_sound_keeps_its_length() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Long));
    let map = "ffmpeg -v error -i {input} -af atempo=1.1 {output}";
    let ended = sandbox.end(&mut sandbox.run(&source, &[&PARTS[..], &["--map-sound", map]].concat()));
    sandbox.assert_refused(&ended, 3, &["sound stream 1", "length"]);
}
