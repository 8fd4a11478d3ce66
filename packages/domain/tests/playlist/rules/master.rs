//! Sections 4.3.4 and 4.3.5: groups and variants.

use super::measured::{average, bandwidth, peak};
use super::{KEYS, MASTER, Rule, members, rule};
use crate::document::{Found, Set, attribute, ensure, has, values};

pub fn members_of_groups() -> Vec<Rule> {
    const MEDIA_TAG: &str = "#EXT-X-MEDIA";
    vec![
        rule("4.3.4.1", "TYPE is required and known", (MASTER, "TYPE=SUBTITLES", "TYPE=TEXT"), |s| {
            s.each_tag(MEDIA_TAG, |v| {
                let kind = attribute(v, "TYPE").unwrap_or("");
                ensure(["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"].contains(&kind), kind)
            })
        }),
        rule("4.3.4.1", "GROUP-ID is required", (MASTER, ",GROUP-ID=\"subtitles\"", ""), |s| {
            s.each_tag(MEDIA_TAG, |v| ensure(attribute(v, "GROUP-ID").is_some(), "GROUP-ID"))
        }),
        rule("4.3.4.1", "NAME is required", (MASTER, ",NAME=\"English\"", ""), |s| {
            s.each_tag(MEDIA_TAG, |v| ensure(attribute(v, "NAME").is_some(), "NAME"))
        }),
        rule(
            "4.3.4.1",
            "DEFAULT and AUTOSELECT are YES or NO",
            (MASTER, "DEFAULT=YES", "DEFAULT=TRUE"),
            |s| {
                s.each_tag(MEDIA_TAG, |v| {
                    let known = |name| attribute(v, name).is_none_or(|v| v == "YES" || v == "NO");
                    ensure(known("DEFAULT") && known("AUTOSELECT"), v)
                })
            },
        ),
        rule(
            "4.3.4.1",
            "AUTOSELECT is YES where DEFAULT is",
            (MASTER, "DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO"),
            |s| {
                s.each_tag(MEDIA_TAG, |v| {
                    let both =
                        attribute(v, "DEFAULT") != Some("YES") || attribute(v, "AUTOSELECT") != Some("NO");
                    ensure(both, v)
                })
            },
        ),
    ]
}

pub fn attributes_of_members() -> Vec<Rule> {
    const MEDIA_TAG: &str = "#EXT-X-MEDIA";
    vec![
        rule(
            "4.3.4.1",
            "FORCED is of subtitles only",
            (MASTER, "DEFAULT=YES", "FORCED=YES,DEFAULT=YES"),
            |s| {
                s.each_tag(MEDIA_TAG, |v| {
                    ensure(attribute(v, "FORCED").is_none() || attribute(v, "TYPE") == Some("SUBTITLES"), v)
                })
            },
        ),
        rule(
            "4.3.4.1",
            "INSTREAM-ID is of closed captions only",
            (MASTER, "DEFAULT=YES", "INSTREAM-ID=\"CC1\",DEFAULT=YES"),
            |s| {
                s.each_tag(MEDIA_TAG, |v| {
                    let captions = attribute(v, "TYPE") == Some("CLOSED-CAPTIONS");
                    ensure(attribute(v, "INSTREAM-ID").is_some() == captions, v)
                })
            },
        ),
        rule(
            "4.3.4.1",
            "CHANNELS is required where their number differs",
            (MASTER, ",CHANNELS=\"6\"", ""),
            |s| {
                s.each_tag(MEDIA_TAG, |v| {
                    ensure(attribute(v, "TYPE") != Some("AUDIO") || attribute(v, "CHANNELS").is_some(), v)
                })
            },
        ),
    ]
}

pub fn names_in_groups() -> Vec<Rule> {
    const MEDIA_TAG: &str = "#EXT-X-MEDIA";
    vec![
        rule("4.3.4.2.1", "subtitles have a URI", (MASTER, ",URI=\"text-en.m3u8\"", ""), |s| {
            s.each_tag(MEDIA_TAG, |v| {
                ensure(attribute(v, "TYPE") != Some("SUBTITLES") || attribute(v, "URI").is_some(), v)
            })
        }),
        rule(
            "4.3.4.1.1",
            "names within a group differ",
            (MASTER, "NAME=\"中文\"", "NAME=\"English\""),
            |s| {
                let all = members(s);
                let name = |i: usize| attribute(all[i].2, "NAME");
                let twice = (1..all.len()).find(|i| {
                    (0..*i).any(|j| (all[j].0, all[j].1) == (all[*i].0, all[*i].1) && name(j) == name(*i))
                });
                ensure(twice.is_none(), "a name twice")
            },
        ),
        rule("4.3.4.1.1", "at most one default in a group", (MASTER, "DEFAULT=NO", "DEFAULT=YES"), |s| {
            let all = members(s);
            let defaults: Vec<_> = all.iter().filter(|m| attribute(m.2, "DEFAULT") == Some("YES")).collect();
            let twice = (1..defaults.len())
                .any(|i| defaults[..i].iter().any(|d| (d.0, d.1) == (defaults[i].0, defaults[i].1)));
            ensure(!twice, "two defaults")
        }),
    ]
}

pub fn variants() -> Vec<Rule> {
    const VARIANT: &str = "#EXT-X-STREAM-INF";
    vec![
        rule("4.3.4.2", "a variant is followed by a URI", (MASTER, "\n720p.m3u8", "\n#x"), |s| {
            let lines: Vec<&str> = s.master().lines().collect();
            let is_variant = |l: &str| l.starts_with("#EXT-X-STREAM-INF:");
            let lost = lines.iter().enumerate().filter(|(_, l)| is_variant(l));
            let mut lost =
                lost.filter(|(i, _)| lines.get(i + 1).is_none_or(|l| l.is_empty() || l.starts_with('#')));
            ensure(lost.next().is_none(), "no URI")
        }),
        rule(
            "4.3.4.2",
            "BANDWIDTH is required",
            (MASTER, "#EXT-X-STREAM-INF:BANDWIDTH=", "#EXT-X-STREAM-INF:BITS="),
            |s| s.each_tag(VARIANT, |v| ensure(attribute(v, "BANDWIDTH").is_some(), v)),
        ),
        Rule {
            when_complete: true,
            ..rule(
                "4.3.4.2",
                "BANDWIDTH is the largest sum of peak bit rates",
                (MASTER, "BANDWIDTH=28", "BANDWIDTH=38"),
                |s| bandwidth(s, "BANDWIDTH", peak),
            )
        },
        Rule {
            when_complete: true,
            ..rule(
                "4.3.4.2",
                "AVERAGE-BANDWIDTH is the largest sum of averages",
                (MASTER, "AVERAGE-BANDWIDTH=2", "AVERAGE-BANDWIDTH=3"),
                |s| bandwidth(s, "AVERAGE-BANDWIDTH", average),
            )
        },
        rule("4.3.4.2", "AUDIO is a group of audio", (MASTER, ",AUDIO=\"audio\"", ",AUDIO=\"sound\""), |s| {
            group(s, "AUDIO")
        }),
        rule(
            "4.3.4.2",
            "SUBTITLES is a group of subtitles",
            (MASTER, ",SUBTITLES=\"subtitles\"", ",SUBTITLES=\"audio\""),
            |s| group(s, "SUBTITLES"),
        ),
    ]
}

pub fn groups_of_variants() -> Vec<Rule> {
    const VARIANT: &str = "#EXT-X-STREAM-INF";
    const KEYFRAMES: &str = "#EXT-X-I-FRAME-STREAM-INF";
    vec![
        rule(
            "4.3.4.2",
            "CLOSED-CAPTIONS=NONE is on all variants or on none",
            (MASTER, ",CLOSED-CAPTIONS=NONE", ""),
            |s| {
                let all = values(s.master(), VARIANT);
                let none = all.iter().filter(|v| attribute(v, "CLOSED-CAPTIONS") == Some("NONE")).count();
                ensure(none == 0 || none == all.len(), "on some variants only")
            },
        ),
        rule(
            "4.3.4.2",
            "CODECS names every codec of the variant's groups",
            (MASTER, "avc1.64001f,mp4a.40.2", "avc1.64001f"),
            |s| {
                s.each_tag(VARIANT, |v| {
                    let codecs = attribute(v, "CODECS").unwrap_or("");
                    ensure(attribute(v, "AUDIO").is_none() || codecs.contains("mp4a.40.2"), codecs)
                })
            },
        ),
        rule(
            "4.3.4.3",
            "keyframes have a URI and a BANDWIDTH",
            (MASTER, ",URI=\"720p-iframes.m3u8\"", ""),
            |s| {
                s.each_tag(KEYFRAMES, |v| {
                    ensure(attribute(v, "URI").is_some() && attribute(v, "BANDWIDTH").is_some(), v)
                })
            },
        ),
    ]
}

pub fn keyframes() -> Vec<Rule> {
    const KEYFRAMES: &str = "#EXT-X-I-FRAME-STREAM-INF";
    vec![
        rule(
            "4.3.4.3",
            "keyframes have no frame rate and no groups",
            (MASTER, ",URI=\"720p-iframes", ",AUDIO=\"audio\",URI=\"720p-iframes"),
            |s| {
                s.each_tag(KEYFRAMES, |v| {
                    let mut not = ["FRAME-RATE", "AUDIO", "SUBTITLES", "CLOSED-CAPTIONS"].iter();
                    ensure(not.all(|name| attribute(v, name).is_none()), v)
                })
            },
        ),
        rule(
            "4.3.4.3",
            "the playlist of keyframes has EXT-X-I-FRAMES-ONLY",
            (KEYS, "#EXT-X-I-FRAMES-ONLY\n", ""),
            |s| {
                s.each_tag(KEYFRAMES, |v| {
                    let uri = attribute(v, "URI").unwrap_or("");
                    ensure(s.files.get(uri).is_some_and(|t| has(t, "#EXT-X-I-FRAMES-ONLY")), uri)
                })
            },
        ),
        rule(
            "4.3.5",
            "independent segments in the master playlist hold for all",
            (MASTER, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
            |s| {
                let master = has(s.master(), "#EXT-X-INDEPENDENT-SEGMENTS");
                let plain = |t: &str| !has(t, "#EXT-X-I-FRAMES-ONLY");
                s.each_media(|t| {
                    ensure(!plain(t) || has(t, "#EXT-X-INDEPENDENT-SEGMENTS") == master, "differs")
                })
            },
        ),
    ]
}

fn group(set: &Set, kind: &str) -> Found {
    set.each_tag("#EXT-X-STREAM-INF", |v| match attribute(v, kind) {
        Some(id) => ensure(members(set).iter().any(|m| (m.0, m.1) == (kind, id)), id),
        None => Ok(()),
    })
}
