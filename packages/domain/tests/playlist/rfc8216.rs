//! Every rule of RFC 8216 that a program can check on the text of playlists: it holds for what is written, and the check
//! fails on an input that breaks the rule.

use std::collections::BTreeMap;

use segue_domain::playlist::{Recorded, playlists};

use crate::common::{recorded, stream};
use crate::document::Set;
use crate::rules::rules;

fn texts(recorded: &Recorded) -> BTreeMap<String, String> {
    let files = playlists(&stream(), recorded).unwrap().unwrap().files;
    files.into_iter().filter(|f| f.name.ends_with(".m3u8")).map(|f| (f.name, f.text)).collect()
}

fn set(recorded: &Recorded) -> Set {
    let mut early = crate::common::recorded();
    for id in ["720p", "360p"] {
        early.get_mut(id).unwrap().remove(&2);
    }
    let parts = recorded.values().flat_map(|parts| parts.values());
    let sizes = parts.map(|p| (p.uri.clone(), p.fragments.iter().map(|f| f.offset + f.bytes).max().unwrap()));
    Set { files: texts(recorded), before: texts(&early), sizes: sizes.collect() }
}

#[test]
fn every_rule_holds_and_every_check_finds_what_breaks_it() {
    let whole = set(&recorded());
    let all = rules();
    assert!(all.len() >= 50, "{}", all.len());
    for rule in &all {
        let name = format!("{} {}", rule.section, rule.text);
        (rule.check)(&whole).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut broken = whole.clone();
        let text = broken.files.get_mut(rule.file).unwrap();
        assert!(text.contains(rule.from), "{name}: {:?} is not in {}:\n{text}", rule.from, rule.file);
        *text = text.replacen(rule.from, rule.to, 1);
        assert!((rule.check)(&broken).is_err(), "{name}: not found in\n{}", broken.files[rule.file]);
    }
}

/// While a stream grows, its playlists keep the rules as well; bit rates are measured at the end.
#[test]
fn every_rule_holds_while_the_stream_grows() {
    let mut early = recorded();
    for id in ["720p", "360p"] {
        early.get_mut(id).unwrap().remove(&2);
    }
    let growing = set(&early);
    for rule in rules().iter().filter(|r| !r.when_complete) {
        (rule.check)(&growing).unwrap_or_else(|e| panic!("{} {}: {e}", rule.section, rule.text));
    }
}
