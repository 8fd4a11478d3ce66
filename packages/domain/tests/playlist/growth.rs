//! Growth: an entry never changes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use segue_domain::playlist::{
    FIRST_OFFER, FrameRate, Playlists, Prefix, Recorded, RenditionKind, Stream, available, playlists,
};

use crate::common::{fragments, part, recorded, rendition, stream};

#[test]
fn only_what_all_renditions_have_is_listed() {
    let (stream, all) = (stream(), recorded());
    let mut some = Recorded::new();
    let prefix = |some: &Recorded| available(&stream, some).unwrap();
    let add = |some: &mut Recorded, id: &str, index: u32| {
        some.entry(id.to_owned()).or_default().insert(index, all[id][&index].clone());
        let now = prefix(some);
        let offered = playlists(&stream, some).unwrap();
        assert_eq!(offered.is_some(), now.is_playable());
        (now.fragments, now.complete)
    };
    for id in ["audio-en", "audio-zh"] {
        assert_eq!(add(&mut some, id, 0), (0, false));
    }
    for index in 0..5 {
        assert_eq!(add(&mut some, "text-en", index), (0, false));
    }
    assert_eq!(add(&mut some, "720p", 0), (0, false));
    assert_eq!(add(&mut some, "360p", 2), (0, false));
    assert_eq!(add(&mut some, "360p", 0), (2, false));
    assert_eq!(add(&mut some, "720p", 2), (2, false));
    assert_eq!(add(&mut some, "720p", 1), (2, false));
    assert_eq!(add(&mut some, "360p", 1), (5, true));
}

#[test]
fn a_stream_shorter_than_the_first_offer_is_offered_when_it_is_complete() {
    assert!(!Prefix { fragments: FIRST_OFFER - 1, complete: false }.is_playable());
    assert!(Prefix { fragments: 1, complete: true }.is_playable());
}

#[test]
fn until_the_end_the_peak_is_at_least_the_planned_limit() {
    let (mut stream, all) = (stream(), recorded());
    stream.renditions.retain(|r| r.is_picture());
    let mut early = all.clone();
    early.values_mut().for_each(|parts| drop(parts.remove(&2)));
    let master = |recorded: &Recorded| {
        let written = playlists(&stream, recorded).unwrap().unwrap();
        let master = written.files.into_iter().find(|f| f.name == "master.m3u8").unwrap().text;
        master.lines().find(|l| l.starts_with("#EXT-X-STREAM-INF")).unwrap().to_owned()
    };
    assert!(master(&early).contains("BANDWIDTH=6000000,"), "{}", master(&early));
    assert!(!master(&all).contains("BANDWIDTH=6000000,"));
}

/// A stream of `lengths` fragments a part, with sound in one part that may be shorter.
fn planned(lengths: &[usize], renditions: usize, sound: usize) -> (Stream, Recorded) {
    let mut all = Recorded::new();
    let mut list = Vec::new();
    for r in 0..renditions {
        let kind = RenditionKind::Picture { width: 2, height: 2, frame_rate: FrameRate { num: 25, den: 1 } };
        let id = format!("v{r}");
        let mut parts = BTreeMap::new();
        let mut start = 0;
        for (index, length) in lengths.iter().enumerate() {
            let sizes: Vec<u64> = (0..*length as u64).map(|i| 1000 + i * 37 + r as u64).collect();
            let part = part(&id, index, "init", start, fragments(&sizes, 90_090 + r as i64, 10));
            start = part.end();
            parts.insert(index as u32, part);
        }
        list.push(rendition(&id, kind, "avc1.64001f", 90_000, lengths.len() as u32));
        all.insert(id, parts);
    }
    if sound > 0 {
        let kind = RenditionKind::Sound { channels: 2, sample_rate: 48_000 };
        list.push(rendition("sound", kind, "mp4a.40.2", 48_000, 1));
        let only = part("sound", 0, "init", 0, fragments(&vec![500; sound], 48_048, 0));
        all.insert("sound".into(), BTreeMap::from([(0, only)]));
    }
    (Stream { target_s: 1, renditions: list }, all)
}

fn media(written: &Playlists) -> BTreeMap<&str, &str> {
    let files = written.files.iter().filter(|f| f.name.ends_with(".m3u8") && f.name != "master.m3u8");
    files.map(|f| (f.name.as_str(), f.text.as_str())).collect()
}

proptest! {
    #[test]
    fn playlists_only_grow(
        lengths in prop::collection::vec(1usize..5, 1..6),
        renditions in 1usize..4,
        sound in 0usize..20,
        order in any::<u64>(),
    ) {
        let (stream, all) = planned(&lengths, renditions, sound);
        let mut left: Vec<(String, u32)> =
            all.iter().flat_map(|(id, parts)| parts.keys().map(|i| (id.clone(), *i))).collect();
        let (mut seed, mut some, mut before) = (order, Recorded::new(), None::<Playlists>);
        while !left.is_empty() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (id, index) = left.swap_remove((seed >> 33) as usize % left.len());
            let part = all[&id][&index].clone();
            some.entry(id).or_default().insert(index, part);
            let now = playlists(&stream, &some).unwrap();
            prop_assert_eq!(now.as_ref().is_some_and(|n| n.prefix.complete), left.is_empty());
            if let Some(before) = &before {
                let now = now.as_ref().expect("an offer that was withdrawn");
                let (then, now) = (media(before), media(now));
                prop_assert_eq!(then.len(), now.len());
                for (name, text) in then {
                    prop_assert!(now[name].starts_with(text), "{} then {}", text, now[name]);
                }
            }
            if let Some(now) = &now {
                let entries = now.prefix.fragments;
                for (name, text) in media(now) {
                    let own = if name == "sound.m3u8" { sound } else { lengths.iter().sum() };
                    prop_assert_eq!(text.matches("#EXTINF").count(), entries.min(own), "{}", name);
                }
            }
            before = now.or(before);
        }
        prop_assert!(before.is_some());
    }

    /// The durations of a playlist add up to the exact length, to the nearest microsecond.
    #[test]
    fn durations_do_not_drift(ticks in 1i64..400_000, count in 1usize..400) {
        let (mut stream, mut all) = planned(&[count], 1, 0);
        stream.target_s = 5;
        let part = all.get_mut("v0").unwrap().get_mut(&0).unwrap();
        part.fragments.iter_mut().for_each(|f| f.ticks = ticks);
        let written = playlists(&stream, &all).unwrap().unwrap();
        let sum: i64 = media(&written)["v0.m3u8"]
            .lines()
            .filter_map(|l| l.strip_prefix("#EXTINF:"))
            .map(|l| l.trim_end_matches(',').replace('.', "").parse::<i64>().unwrap())
            .sum();
        prop_assert_eq!(sum, stream.renditions[0].timebase().to_micros(ticks * count as i64));
    }
}
