//! Every target on its corpus, on damaged copies of it, and on random bytes.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use segue_domain::{
    Completion, DomainError, JobRecord, Key, Manifest, Message, OutputIndex, Plan, PlanHash, Recipe,
};
use segue_fuzz::{TARGETS, Target, corpus};

/// Timeout for one small document, without optimisation.
const TIMEOUT: Duration = Duration::from_secs(5);

fn documents(target: &Target) -> Vec<Vec<u8>> {
    let folder = corpus().join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn parse(target: &Target, document: &[u8]) {
    let started = Instant::now();
    (target.parse)(document);
    assert!(started.elapsed() < TIMEOUT, "{} takes {:?}", target.name, started.elapsed());
}

#[test]
fn every_target_has_a_corpus_that_it_takes() {
    for target in TARGETS {
        let kept = documents(target);
        assert!(kept.len() >= 2, "{} has {} documents", target.name, kept.len());
        kept.iter().for_each(|document| parse(target, document));
    }
}

/// A damaged copy of a document that is not accepted reaches little of its parser.
#[test]
fn documents_of_the_present_formats_are_accepted() {
    type Decode = fn(&str) -> Result<(), DomainError>;
    let cases: &[(&str, &[&str], Decode)] = &[
        ("manifest", &["none", "one-output", "two-outputs"], |text| {
            Manifest::decode(text.as_bytes()).map(drop)
        }),
        ("manifest", &["index"], |text| OutputIndex::decode(text.as_bytes()).map(drop)),
        ("message", &["plan", "task", "spare", "assemble"], |text| Message::decode(text).map(drop)),
        ("plan", &["two-segments", "float-edges", "reason"], |text| {
            Plan::decode(text.as_bytes(), &PlanHash::of(text.as_bytes())).map(drop)
        }),
        ("records", &["job", "failed", "awaiting"], |text| JobRecord::decode(text).map(drop)),
        ("records", &["completion"], |text| Completion::decode(text).map(drop)),
        ("key", &["source", "segment", "work", "spare", "index", "hls"], |text| {
            text.parse::<Key>().map(drop)
        }),
        ("recipe_toml", &["smallest", "outputs", "format-1"], |text| Recipe::from_toml(text).map(drop)),
        ("recipe_yaml", &["smallest", "json"], |text| Recipe::from_yaml(text).map(drop)),
    ];
    for (target, names, decode) in cases {
        for name in *names {
            let text = std::fs::read_to_string(corpus().join(target).join(name)).unwrap();
            decode(&text).unwrap_or_else(|error| panic!("{target}/{name}: {error}"));
        }
    }
}

#[test]
fn every_target_is_a_target_of_cargo_fuzz() {
    for target in TARGETS {
        let path = corpus().join(format!("../fuzz_targets/{}.rs", target.name));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(text.contains("fuzz_target!"), "{}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_breaks_a_parser(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        TARGETS.iter().for_each(|target| parse(target, &bytes));
    }

    #[test]
    fn nothing_that_looks_right_breaks_a_parser(
        which in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
    ) {
        for target in TARGETS {
            let kept = documents(target);
            let mut document = which.get(&kept).clone();
            for (at, byte, how) in &cuts {
                if document.is_empty() {
                    break;
                }
                let at = at.index(document.len());
                match how {
                    0 => document[at] = *byte,
                    1 => document.insert(at, *byte),
                    2 => drop(document.remove(at)),
                    _ => document.truncate(at),
                }
            }
            parse(target, &document);
        }
    }
}
