use segue_domain::FaultKind;

use super::*;

fn text_file(name: &str, text: &str, trusted: bool) -> Vec<SettingsFile> {
    let file = SettingsFile { name: name.to_owned(), text: text.to_owned(), trusted };
    if text.is_empty() { Vec::new() } else { vec![file] }
}

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Sources {
    Sources {
        files: text_file("segue.toml", file, true),
        environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        flags: flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = "workers = 3";
    let environment = [("SEGUE_WORKERS", "5")];
    let cases = [
        (sources("threads = 2", &[], &[]), 2),
        (sources(file, &[], &[]), 3),
        (sources(file, &environment, &[]), 5),
        (sources(file, &environment, &[("workers", "7")]), 7),
    ];
    for (sources, workers) in cases {
        assert_eq!(Settings::load(&sources).unwrap().workers, workers, "{sources:?}");
    }
}

#[test]
fn every_setting_of_the_table_arrives() {
    let all = [
        ("SEGUE_RECIPE", "mp4"),
        ("SEGUE_SEGMENT_DURATION", "1.5s"),
        ("SEGUE_WORKERS", "2"),
        ("SEGUE_THREADS", "3"),
        ("SEGUE_MODEL", "tiny"),
        ("SEGUE_LANGUAGE", "de"),
        ("SEGUE_MODEL_DIR", "/m"),
        ("SEGUE_STATE", "/s"),
        ("SEGUE_FSYNC", "true"),
        ("SEGUE_BACKEND", "aws://"),
        ("SEGUE_LEDGER", "dynamodb://"),
        ("SEGUE_QUEUE", "sqs://"),
        ("SEGUE_STORE", "/srv/media"),
        ("SEGUE_ROLES", "worker=2"),
        ("SEGUE_ALLOW_MAP", "sox, /opt/denoise"),
        ("SEGUE_SCRATCH", "/w"),
        ("SEGUE_SOURCE_CACHE", "1000"),
        ("SEGUE_HEALTH_FILE", "/h"),
        ("SEGUE_LEASE", "5s"),
        ("SEGUE_VISIBILITY", "6s"),
        ("SEGUE_SWEEP_EVERY", "7s"),
        ("SEGUE_LATE", "1.5"),
        ("SEGUE_PROGRESS", "json"),
        ("SEGUE_FFMPEG", "/f"),
        ("SEGUE_FFPROBE", "/p"),
        ("SEGUE_SANDBOX", "require"),
        ("SEGUE_SANDBOX_READ", "/opt/models, /srv/tool"),
        ("SEGUE_MAP_ENV", "TOKEN,LEVEL"),
        ("SEGUE_MAP_NETWORK", "true"),
        ("SEGUE_MEMORY_LIMIT", "1000000000"),
        ("SEGUE_LOG", "debug"),
        ("SEGUE_LOG_FORMAT", "json"),
    ];
    assert_eq!(all.len(), SETTINGS.len(), "a setting of the table is not in this test");
    let expected = Settings {
        recipe: "mp4".into(),
        segment_duration: Some(Span::from_millis(1500)),
        workers: 2,
        threads: 3,
        model: Some("tiny".into()),
        language: Some("de".into()),
        model_dir: "/m".into(),
        state: Some("/s".into()),
        fsync: true,
        backend: Some("aws://".into()),
        ledger: Some("dynamodb://".into()),
        queue: Some("sqs://".into()),
        store: Some("/srv/media".into()),
        roles: Some("worker=2".into()),
        allow_map: Some(AllowMap::Programs(vec!["sox".into(), "/opt/denoise".into()])),
        scratch: Some("/w".into()),
        source_cache: Some(1000),
        health_file: Some("/h".into()),
        lease: Some(Span::from_millis(5000)),
        visibility: Some(Span::from_millis(6000)),
        sweep_every: Some(Span::from_millis(7000)),
        late: Some(Late::Percent(150)),
        progress: ProgressMode::Json,
        ffmpeg: "/f".into(),
        ffprobe: "/p".into(),
        sandbox: segue_process::SandboxMode::Require,
        sandbox_read: Some("/opt/models, /srv/tool".into()),
        map_env: Some("TOKEN,LEVEL".into()),
        map_network: true,
        memory_limit: Some(1_000_000_000),
        log: Some("debug".into()),
        log_format: LogFormat::Json,
    };
    assert_eq!(Settings::load(&sources("", &all, &[])).unwrap(), expected);
}

#[test]
fn rust_log_is_taken_where_segue_log_is_not_set() {
    let with = |pairs: &[(&str, &str)]| Settings::load(&sources("", pairs, &[])).unwrap().log;
    assert_eq!(with(&[]), None);
    assert_eq!(with(&[("RUST_LOG", "warn")]).as_deref(), Some("warn"));
    assert_eq!(with(&[("RUST_LOG", "warn"), ("SEGUE_LOG", "info")]).as_deref(), Some("info"));
}

#[test]
fn a_bad_value_is_named_with_its_origin() {
    let cases: [(Sources, &[&str]); 14] = [
        (sources("", &[("SEGUE_WORKERS", "many")], &[]), &["workers", "SEGUE_WORKERS"]),
        (sources("workers = 0", &[], &[]), &["workers", "between 1 and 256"]),
        (sources("workers = \"x\"", &[], &[]), &["workers", "segue.toml"]),
        (sources("", &[], &[("threads", "-1")]), &["threads", "--threads"]),
        (sources("wrokers = 1", &[], &[]), &["wrokers", "segue.toml", "workers"]),
        (sources("workers = = 1", &[], &[]), &["segue.toml"]),
        (sources("", &[("SEGUE_SEGMENT_DURATION", "0s")], &[]), &["0s", "300s"]),
        (sources("", &[("SEGUE_PROGRESS", "loud")], &[]), &["loud", "plain"]),
        (sources("", &[("SEGUE_SANDBOX", "strict")], &[]), &["strict", "require, best, off"]),
        (sources("", &[("SEGUE_FSYNC", "often")], &[]), &["fsync", "SEGUE_FSYNC"]),
        (sources("", &[("SEGUE_ALLOW_MAP", "any,sox")], &[]), &["any,sox", "comma-separated"]),
        (sources("", &[("SEGUE_ALLOW_MAP", "sox,")], &[]), &["sox,", "comma-separated"]),
        (sources("late = 0.5", &[], &[]), &["late", "0.5", "off"]),
        (sources("", &[("SEGUE_LANGUAGE", "English")], &[]), &["English", "en"]),
    ];
    for (sources, expected) in cases {
        let failure = Settings::load(&sources).unwrap_err();
        assert_eq!(failure.kind, FaultKind::Usage);
        assert!(!failure.cause.contains('\n'), "{:?}", failure.cause);
        for word in expected {
            assert!(failure.cause.contains(word), "{:?} does not say {word:?}", failure.cause);
        }
    }
}

#[test]
fn a_file_that_only_lies_in_the_folder_sets_harmless_keys_only() {
    let load = |text: &str, trusted| {
        Settings::load(&Sources { files: text_file("segue.toml", text, trusted), ..Sources::default() })
    };
    let harmless = "workers = 3\nthreads = 3\nsegment_duration = \"2s\"\nlanguage = \"de\"\n\
                    progress = \"plain\"\nrecipe = \"mp4\"\nmodel = \"tiny\"\n";
    assert_eq!(load(harmless, false).unwrap(), load(harmless, true).unwrap());
    assert_eq!(load(harmless, false).unwrap().workers, 3);
    let dangerous = [
        ("ffmpeg = \"./ffmpeg\"", "segue.toml here names a program; confirm with --config segue.toml"),
        ("ffprobe = \"ffprobe\"", "segue.toml here names a program; confirm with --config segue.toml"),
        ("recipe = \"r.toml\"", "segue.toml here names a recipe file"),
        ("model = \"./weights.bin\"", "segue.toml here names a file of weights"),
        ("model_dir = \"m\"", "confirm with --config segue.toml (key model_dir)"),
        ("backend = \"/b\"", "confirm with --config segue.toml (key backend)"),
        ("store = \"/b\"", "confirm with --config segue.toml (key store)"),
        ("state = \"/s\"", "confirm with --config segue.toml (key state)"),
        ("scratch = \"/s\"", "confirm with --config segue.toml (key scratch)"),
        ("allow_map = \"any\"", "confirm with --config segue.toml (key allow_map)"),
        ("health_file = \"/f\"", "confirm with --config segue.toml (key health_file)"),
    ];
    for (text, said) in dangerous {
        let failure = load(text, false).unwrap_err();
        assert_eq!(failure.kind, FaultKind::Usage);
        assert!(failure.cause.contains(said), "{text}: {}", failure.cause);
        load(text, true).unwrap();
    }
}

#[test]
fn a_later_file_overrides_an_earlier_one() {
    let file = |text: &str, trusted| text_file("segue.toml", text, trusted).remove(0);
    let files = vec![file("workers = 2\nffmpeg = \"/f\"", true), file("workers = 3", false)];
    let settings = Settings::load(&Sources { files, ..Sources::default() }).unwrap();
    assert_eq!((settings.workers, settings.ffmpeg), (3, "/f".into()));
}
