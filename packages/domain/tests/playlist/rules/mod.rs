//! The rules: section, text, check, and a change of the playlists that breaks it.

mod changes;
mod master;
mod measured;
mod segments;
mod syntax;

use crate::document::{Found, Set, attribute, attributes, tags, values};

pub struct Rule {
    pub section: &'static str,
    pub text: &'static str,
    pub check: fn(&Set) -> Found,
    pub file: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    /// Whether it holds for complete streams only.
    pub when_complete: bool,
}

pub const MASTER: &str = "master.m3u8";
pub const MEDIA: &str = "720p.m3u8";
pub const KEYS: &str = "720p-iframes.m3u8";
pub const TEXT: &str = "text-en.m3u8";

pub const MEDIA_TAGS: [&str; 6] = [
    "#EXT-X-TARGETDURATION",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-ENDLIST",
    "#EXT-X-PLAYLIST-TYPE",
    "#EXT-X-I-FRAMES-ONLY",
];
pub const SEGMENT_TAGS: [&str; 7] = [
    "#EXTINF",
    "#EXT-X-BYTERANGE",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-KEY",
    "#EXT-X-MAP",
    "#EXT-X-PROGRAM-DATE-TIME",
    "#EXT-X-DATERANGE",
];
pub const MASTER_TAGS: [&str; 5] = [
    "#EXT-X-MEDIA",
    "#EXT-X-STREAM-INF",
    "#EXT-X-I-FRAME-STREAM-INF",
    "#EXT-X-SESSION-DATA",
    "#EXT-X-SESSION-KEY",
];
pub const LISTS: [&str; 4] = ["#EXT-X-MEDIA", "#EXT-X-STREAM-INF", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-MAP"];

pub fn rules() -> Vec<Rule> {
    let all = [
        syntax::lines(),
        syntax::lists(),
        syntax::numbers(),
        syntax::versions(),
        segments::entries(),
        segments::ranges(),
        segments::media_tags(),
        segments::media_values(),
        master::members_of_groups(),
        master::attributes_of_members(),
        master::names_in_groups(),
        master::variants(),
        master::groups_of_variants(),
        master::keyframes(),
        changes::growth(),
        changes::matching(),
    ];
    all.into_iter().flatten().collect()
}

pub fn rule(
    section: &'static str,
    text: &'static str,
    (file, from, to): (&'static str, &'static str, &'static str),
    check: fn(&Set) -> Found,
) -> Rule {
    Rule { section, text, check, file, from, to, when_complete: false }
}

pub fn each_list(set: &Set, check: impl Fn(&[(&str, &str)]) -> Found) -> Found {
    set.each(|t| tags(t).filter(|(tag, _)| LISTS.contains(tag)).try_for_each(|(_, v)| check(&attributes(v)?)))
}

/// The members of each group: type, group and list.
pub fn members(set: &Set) -> Vec<(&str, &str, &str)> {
    let all = values(set.master(), "#EXT-X-MEDIA").into_iter();
    all.map(|v| (attribute(v, "TYPE").unwrap_or(""), attribute(v, "GROUP-ID").unwrap_or(""), v)).collect()
}
