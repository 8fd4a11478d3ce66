//! Sections 6.2.1 and 6.2.4: how playlists change, and how variants match.

use super::{MASTER, MEDIA, Rule, TEXT, rule};
use crate::document::{attribute, ensure, segments, values};

pub fn growth() -> Vec<Rule> {
    vec![
        rule(
            "6.2.1",
            "a playlist changes at its end only",
            (MEDIA, "#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-MEDIA-SEQUENCE:1"),
            |s| {
                let growing = s.before.iter().filter(|(name, _)| *name != MASTER);
                growing.into_iter().try_for_each(|(name, text)| {
                    ensure(s.files[name].starts_with(text.as_str()), name.as_str())
                })
            },
        ),
        rule(
            "6.2.1",
            "the target duration does not change",
            (TEXT, "#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:5"),
            |s| {
                s.before.iter().try_for_each(|(name, text)| {
                    let target = |t: &str| values(t, "#EXT-X-TARGETDURATION").join(",");
                    ensure(target(text) == target(&s.files[name]), name.as_str())
                })
            },
        ),
        rule(
            "6.2.4",
            "all variants have the same target duration",
            ("360p.m3u8", "#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:6"),
            |s| {
                let mut all: Vec<&str> =
                    s.media().flat_map(|(_, t)| values(t, "#EXT-X-TARGETDURATION")).collect();
                all.dedup();
                ensure(all.len() == 1, format!("{all:?}"))
            },
        ),
        rule("6.2.4", "all playlists have the same type", ("360p.m3u8", "TYPE:EVENT", "TYPE:VOD"), |s| {
            let mut all: Vec<&str> = s.media().flat_map(|(_, t)| values(t, "#EXT-X-PLAYLIST-TYPE")).collect();
            all.dedup();
            ensure(all.len() == 1, format!("{all:?}"))
        }),
        rule(
            "6.2.4",
            "content that one lacks is shorter than a target duration",
            (
                "360p.m3u8",
                "#EXTINF:4.004000,\n#EXT-X-BYTERANGE:250000@300000\n360p-0.m4s\n#EXTINF:4.004000,\n#EXT-X-BYTERANGE:310001@0\n360p-1.m4s\n",
                "",
            ),
            |s| {
                let lengths: Vec<u64> =
                    s.media().map(|(_, t)| segments(t).iter().filter_map(|x| x.us).sum()).collect();
                let (least, most) = (lengths.iter().min().copied(), lengths.iter().max().copied());
                ensure(most.unwrap_or(0) - least.unwrap_or(0) <= 4_000_000, format!("{lengths:?}"))
            },
        ),
    ]
}

pub fn matching() -> Vec<Rule> {
    vec![
        rule(
            "6.2.4",
            "matching content has the same start in all variants",
            ("360p.m3u8", "#EXTINF:4.004000", "#EXTINF:3.004000"),
            |s| {
                let starts = |name: &str| -> Vec<u64> {
                    segments(&s.files[name]).iter().filter_map(|x| x.us).collect()
                };
                ensure(starts("360p.m3u8") == starts(MEDIA), "other boundaries")
            },
        ),
        Rule {
            when_complete: true,
            ..rule("4.3.3.4", "a stream that is complete has an end", (MEDIA, "#EXT-X-ENDLIST\n", ""), |s| {
                s.each_media(|t| ensure(t.ends_with("#EXT-X-ENDLIST\n"), "no end"))
            })
        },
        rule(
            "6.2.1",
            "every URI of a playlist exists",
            (MASTER, "URI=\"audio-zh.m3u8\"", "URI=\"audio-fr.m3u8\""),
            |s| {
                let tags = ["#EXT-X-MEDIA", "#EXT-X-I-FRAME-STREAM-INF"];
                tags.iter().try_for_each(|tag| {
                    s.each_tag(tag, |v| {
                        let uri = attribute(v, "URI").unwrap_or("");
                        ensure(s.files.contains_key(uri), uri)
                    })
                })
            },
        ),
    ]
}
