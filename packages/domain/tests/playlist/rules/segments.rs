//! Sections 3, 4.3.2 and 4.3.3: segments and media playlists.

use super::{KEYS, MASTER, MASTER_TAGS, MEDIA, MEDIA_TAGS, Rule, SEGMENT_TAGS, rule};
use crate::document::{Found, Set, attribute, ensure, has, segments, values};

pub fn entries() -> Vec<Rule> {
    vec![
        rule("4.3.2", "tags of a segment are followed by its URI", (MEDIA, "720p-2.m4s\n", ""), |s| {
            s.each_media(|t| {
                ensure(values(t, "#EXTINF").len() == segments(t).len(), "an entry without a URI")
            })
        }),
        rule("4.3.2.1", "every segment has a duration", (MEDIA, "#EXTINF:4.004000,\n", ""), |s| {
            s.each_media(|t| segments(t).iter().try_for_each(|x| ensure(x.us.is_some(), x.uri.as_str())))
        }),
        rule("4.3.2.1", "a duration is followed by a comma", (MEDIA, "4.004000,", "4.004000"), |s| {
            s.each_media(|t| values(t, "#EXTINF").iter().try_for_each(|v| ensure(v.contains(','), *v)))
        }),
        rule("4.3.2.2", "a range without an offset continues one of the same file", (MEDIA, "@0", ""), |s| {
            s.each_media(|t| {
                let all = segments(t);
                all.iter().enumerate().filter(|(_, x)| matches!(x.range, Some((_, None)))).try_for_each(
                    |(i, x)| {
                        let before = i.checked_sub(1).map(|i| &all[i]);
                        ensure(before.is_some_and(|b| b.uri == x.uri && b.range.is_some()), x.uri.as_str())
                    },
                )
            })
        }),
        rule("4.3.2.2", "a range lies within its file", (MEDIA, "600000@0", "600001@0"), |s| {
            s.each_media(|t| {
                segments(t).iter().filter_map(|x| Some((x, x.range?))).try_for_each(
                    |(x, (length, offset))| {
                        let size = s.sizes.get(&x.uri).copied().unwrap_or(0);
                        ensure(length > 0 && offset.unwrap_or(0) + length <= size, x.uri.as_str())
                    },
                )
            })
        }),
        rule(
            "3",
            "segments of one file do not overlap and leave no bytes out",
            (MEDIA, "1000000@1200000", "1000000@1199999"),
            |s| {
                s.each_media(|t| {
                    if has(t, "#EXT-X-I-FRAMES-ONLY") {
                        return Ok(());
                    }
                    let all = segments(t);
                    all.windows(2).filter(|w| w[0].uri == w[1].uri).try_for_each(|w| {
                        let end = w[0].range.map(|(length, offset)| offset.unwrap_or(0) + length);
                        ensure(end.is_some() && end == w[1].range.and_then(|r| r.1), w[1].uri.as_str())
                    })
                })
            },
        ),
    ]
}

pub fn ranges() -> Vec<Rule> {
    vec![
        rule(
            "3.3",
            "every fMP4 segment has an EXT-X-MAP",
            (MEDIA, "#EXT-X-MAP:URI=\"720p-init.mp4\"\n", ""),
            |s| {
                s.each_media(|t| {
                    let mp4 = segments(t).into_iter().filter(|x| x.uri.ends_with(".m4s"));
                    mp4.into_iter().try_for_each(|x| ensure(x.map.is_some(), x.uri))
                })
            },
        ),
        rule(
            "4.3.2.5",
            "EXT-X-MAP has a URI",
            (MEDIA, "URI=\"720p-init.mp4\"", "URL=\"720p-init.mp4\""),
            |s| {
                s.each_media(|t| {
                    values(t, "#EXT-X-MAP").iter().try_for_each(|v| ensure(attribute(v, "URI").is_some(), *v))
                })
            },
        ),
    ]
}

pub fn media_tags() -> Vec<Rule> {
    vec![
        rule(
            "4.3.3",
            "no tag of a media playlist twice",
            (MEDIA, "#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:4\n#EXT-X-TARGETDURATION:4"),
            |s| {
                s.each_media(|t| {
                    MEDIA_TAGS.iter().try_for_each(|tag| ensure(values(t, tag).len() <= 1, *tag))
                })
            },
        ),
        rule(
            "4.3.3",
            "no tag of a media playlist in a master playlist",
            (MASTER, "#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4"),
            |s| MEDIA_TAGS.iter().try_for_each(|tag| ensure(!has(s.master(), tag), *tag)),
        ),
        rule(
            "4.3.2",
            "no tag of a segment in a master playlist",
            (MASTER, "#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-MAP:URI=\"a\""),
            |s| SEGMENT_TAGS.iter().try_for_each(|tag| ensure(!has(s.master(), tag), *tag)),
        ),
        rule(
            "4.3.4",
            "no tag of a master playlist in a media playlist",
            (MEDIA, "#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=1"),
            |s| s.each_media(|t| MASTER_TAGS.iter().try_for_each(|tag| ensure(!has(t, tag), *tag))),
        ),
        rule(
            "4.3.3.1",
            "a media playlist has a target duration",
            (MEDIA, "#EXT-X-TARGETDURATION:4\n", ""),
            |s| {
                s.each_media(|t| {
                    let target =
                        values(t, "#EXT-X-TARGETDURATION").first().and_then(|v| v.parse::<u64>().ok());
                    ensure(target.is_some(), "no target duration")
                })
            },
        ),
        rule(
            "4.3.3.1",
            "no rounded duration exceeds the target duration",
            (MEDIA, "4.004000", "4.500000"),
            |s| {
                s.each_media(|t| {
                    let target = values(t, "#EXT-X-TARGETDURATION")
                        .first()
                        .and_then(|v| v.parse().ok())
                        .unwrap_or(u64::MAX);
                    let long =
                        segments(t).into_iter().find(|x| (x.us.unwrap_or(0) + 500_000) / 1_000_000 > target);
                    ensure(long.is_none(), format!("{long:?}"))
                })
            },
        ),
    ]
}

pub fn media_values() -> Vec<Rule> {
    vec![
        rule(
            "4.3.3.2",
            "the media sequence is before the first segment",
            (MEDIA, "#EXT-X-ENDLIST", "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-ENDLIST"),
            |s| before_segments(s, "#EXT-X-MEDIA-SEQUENCE"),
        ),
        rule(
            "4.3.3.3",
            "the discontinuity sequence is before the first segment",
            (MEDIA, "#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-ENDLIST"),
            |s| before_segments(s, "#EXT-X-DISCONTINUITY-SEQUENCE"),
        ),
        rule("4.3.3.5", "the type is EVENT or VOD", (MEDIA, "TYPE:EVENT", "TYPE:LIVE"), |s| {
            s.each_media(|t| {
                values(t, "#EXT-X-PLAYLIST-TYPE")
                    .iter()
                    .try_for_each(|v| ensure(matches!(*v, "EVENT" | "VOD"), *v))
            })
        }),
        rule(
            "4.3.3.5",
            "nothing is removed from an EVENT playlist",
            (MEDIA, "#EXTINF:4.004000,\n#EXT-X-BYTERANGE:1200000@0\n720p-0.m4s\n", ""),
            |s| {
                s.before.iter().filter(|(name, _)| *name != MASTER).try_for_each(|(name, before)| {
                    let (before, now) = (segments(before), segments(&s.files[name]));
                    ensure(now.starts_with(&before), name.as_str())
                })
            },
        ),
        rule(
            "4.3.3.6",
            "keyframes have a header by EXT-X-MAP",
            (KEYS, "#EXT-X-MAP:URI=\"720p-init.mp4\"\n", ""),
            |s| {
                s.each_media(|t| {
                    ensure(!has(t, "#EXT-X-I-FRAMES-ONLY") || has(t, "#EXT-X-MAP"), "no EXT-X-MAP")
                })
            },
        ),
    ]
}

fn before_segments(set: &Set, tag: &str) -> Found {
    set.each_media(|t| {
        let first = t.find("#EXTINF").unwrap_or(t.len());
        ensure(!has(&t[first..], tag), tag)
    })
}
