//! Sections 4, 4.1, 4.2 and 7: lines, attribute lists and versions.

use super::{KEYS, MASTER, MASTER_TAGS, MEDIA, MEDIA_TAGS, Rule, SEGMENT_TAGS, TEXT, each_list, rule};
use crate::document::{ensure, has, micros, tags, values};

pub fn lines() -> Vec<Rule> {
    vec![
        rule("4", "no byte order mark", (MEDIA, "#EXTM3U", "\u{feff}#EXTM3U"), |s| {
            s.each(|t| ensure(!t.contains('\u{feff}'), "byte order mark"))
        }),
        rule("4", "no control characters but CR and LF", (MASTER, "English", "Eng\u{7}lish"), |s| {
            s.each(|t| {
                ensure(!t.chars().any(|c| c.is_control() && c != '\n' && c != '\r'), "control character")
            })
        }),
        rule("4.1", "no white space but where it is allowed", (MEDIA, "#EXT-X-MAP", " #EXT-X-MAP"), |s| {
            s.each(|t| t.lines().try_for_each(|l| ensure(l == l.trim(), l)))
        }),
        rule(
            "4.1",
            "a line is empty, a tag, a comment or a URI without spaces",
            (MEDIA, "720p-0.m4s", "720p 0.m4s"),
            |s| s.each(|t| t.lines().try_for_each(|l| ensure(l.starts_with('#') || !l.contains(' '), l))),
        ),
        rule(
            "4.1",
            "either a media or a master playlist",
            (MASTER, "720p.m3u8\n", "720p.m3u8\n#EXTINF:4,\nx\n"),
            |s| {
                s.each(|t| {
                    let of = |list: &[&str]| tags(t).any(|(tag, _)| list.contains(&tag));
                    let media = of(&MEDIA_TAGS) || of(&SEGMENT_TAGS);
                    ensure(media != of(&MASTER_TAGS), "tags of both kinds, or of none")
                })
            },
        ),
    ]
}

pub fn lists() -> Vec<Rule> {
    vec![
        rule("4.2", "attribute names and values are well formed", (MASTER, ",NAME=", ", NAME="), |s| {
            each_list(s, |_| Ok(()))
        }),
        rule(
            "4.2",
            "a quoted string has no quotation mark",
            (MASTER, "NAME=\"English\"", "NAME=\"Eng\"lish\""),
            |s| each_list(s, |_| Ok(())),
        ),
        rule(
            "4.2",
            "no attribute twice in a list",
            (MASTER, ",AUTOSELECT=YES", ",AUTOSELECT=YES,AUTOSELECT=YES"),
            |s| {
                each_list(s, |list| {
                    let twice = (1..list.len()).any(|i| list[..i].iter().any(|a| a.0 == list[i].0));
                    ensure(!twice, "an attribute twice")
                })
            },
        ),
        rule("4.2", "a decimal integer has 1 to 20 digits", (MASTER, "BANDWIDTH=", "BANDWIDTH=-"), |s| {
            each_list(s, |list| {
                list.iter().filter(|(n, _)| n.ends_with("BANDWIDTH")).try_for_each(|(n, v)| {
                    let digits = (1..=20).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_digit());
                    ensure(digits && v.parse::<u64>().is_ok(), *n)
                })
            })
        }),
    ]
}

pub fn numbers() -> Vec<Rule> {
    vec![
        rule("4.2", "a resolution is two integers and an x", (MASTER, "1280x720", "1280*720"), |s| {
            each_list(s, |list| {
                list.iter().filter(|(n, _)| *n == "RESOLUTION").try_for_each(|(_, v)| {
                    let sides = v.split_once('x').map(|(w, h)| (w.parse::<u32>(), h.parse::<u32>()));
                    ensure(matches!(sides, Some((Ok(_), Ok(_)))), *v)
                })
            })
        }),
        rule(
            "4.2",
            "a decimal number has digits and a point",
            (MASTER, "FRAME-RATE=29.970", "FRAME-RATE=29,970"),
            |s| {
                each_list(s, |list| {
                    list.iter()
                        .filter(|(n, _)| *n == "FRAME-RATE")
                        .try_for_each(|(_, v)| ensure(v.contains('.') && micros(v).is_some(), *v))
                })
            },
        ),
        rule("4.3.1.1", "EXTM3U is the first line", (TEXT, "#EXTM3U\n", "\n#EXTM3U\n"), |s| {
            s.each(|t| ensure(t.starts_with("#EXTM3U\n") || t.starts_with("#EXTM3U\r\n"), "EXTM3U"))
        }),
    ]
}

fn version(text: &str) -> u32 {
    values(text, "#EXT-X-VERSION").first().and_then(|v| v.parse().ok()).unwrap_or(1)
}

pub fn versions() -> Vec<Rule> {
    vec![
        rule(
            "4.3.1.2",
            "not more than one version",
            (MASTER, "#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6"),
            |s| s.each(|t| ensure(values(t, "#EXT-X-VERSION").len() <= 1, "two versions")),
        ),
        rule("7", "version 3 for decimal durations", (TEXT, "#EXT-X-VERSION:3", "#EXT-X-VERSION:2"), |s| {
            s.each(|t| {
                let decimal = values(t, "#EXTINF").iter().any(|v| v.contains('.'));
                ensure(!decimal || version(t) >= 3, "decimal durations")
            })
        }),
        rule("7", "version 4 for byte ranges", (MEDIA, "#EXT-X-VERSION:6", "#EXT-X-VERSION:3"), |s| {
            s.each(|t| ensure(!has(t, "#EXT-X-BYTERANGE") || version(t) >= 4, "byte ranges"))
        }),
        rule("7", "version 4 for keyframes only", (KEYS, "#EXT-X-VERSION:6", "#EXT-X-VERSION:3"), |s| {
            s.each(|t| ensure(!has(t, "#EXT-X-I-FRAMES-ONLY") || version(t) >= 4, "keyframes only"))
        }),
        rule("7", "version 5 for EXT-X-MAP", (KEYS, "#EXT-X-VERSION:6", "#EXT-X-VERSION:4"), |s| {
            s.each(|t| ensure(!has(t, "#EXT-X-MAP") || version(t) >= 5, "EXT-X-MAP"))
        }),
        rule(
            "7",
            "version 6 for EXT-X-MAP that is not of keyframes only",
            (MEDIA, "#EXT-X-VERSION:6", "#EXT-X-VERSION:5"),
            |s| {
                s.each(|t| {
                    let needs = has(t, "#EXT-X-MAP") && !has(t, "#EXT-X-I-FRAMES-ONLY");
                    ensure(!needs || version(t) >= 6, "EXT-X-MAP")
                })
            },
        ),
        rule(
            "4.3.5",
            "no tag of both kinds twice",
            (
                MASTER,
                "#EXT-X-INDEPENDENT-SEGMENTS",
                "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-INDEPENDENT-SEGMENTS",
            ),
            |s| s.each(|t| ensure(values(t, "#EXT-X-INDEPENDENT-SEGMENTS").len() <= 1, "twice")),
        ),
    ]
}
