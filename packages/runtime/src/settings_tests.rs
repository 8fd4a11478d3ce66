use super::*;
use segue_domain::FaultKind;

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Sources {
    Sources {
        file: (!file.is_empty()).then(|| ("segue.toml".to_owned(), file.to_owned())),
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
        ("SEGUE_ROLES", "worker=2"),
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
    let settings = VARIABLES.iter().filter_map(Variable::key).count();
    assert_eq!(all.len(), settings, "a setting of the table is not in this test");
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
        roles: Some("worker=2".into()),
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
        children: segue_process::Policy {
            mode: segue_process::SandboxMode::Require,
            map: segue_process::MapAccess::Restricted { network: true },
            map_env: vec!["TOKEN".into(), "LEVEL".into()],
            read: vec!["/opt/models".into(), "/srv/tool".into()],
            memory: Some(1_000_000_000),
        },
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
    let cases: [(Sources, &[&str]); 12] = [
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
