//! The texts, as snapshots.

use segue_domain::playlist::{playlists, vod_playlists};

use crate::common::{recorded, stream};

/// The text of a file of the complete stream.
fn text(name: &str) -> String {
    let all = playlists(&stream(), &recorded()).unwrap().unwrap();
    all.files.into_iter().find(|f| f.name == name).unwrap().text
}

#[test]
fn the_master_playlist() {
    insta::assert_snapshot!(text("master.m3u8"));
}

#[test]
fn the_media_playlist_of_pictures() {
    insta::assert_snapshot!(text("720p.m3u8"));
}

#[test]
fn the_playlist_of_keyframes() {
    insta::assert_snapshot!(text("720p-iframes.m3u8"));
}

#[test]
fn the_playlist_of_subtitles() {
    insta::assert_snapshot!(text("text-en.m3u8"));
}

#[test]
fn the_dash_manifest() {
    insta::assert_snapshot!(text("manifest.mpd"));
}

#[test]
fn sound_alone_has_a_variant_for_its_default() {
    let mut stream = stream();
    stream.renditions.retain(|r| r.is_sound());
    let all = playlists(&stream, &recorded()).unwrap().unwrap();
    let master = all.files.into_iter().find(|f| f.name == "master.m3u8").unwrap().text;
    insta::assert_snapshot!(master);
}

#[test]
fn a_playlist_that_is_offered_once_is_vod() {
    let ended = text("720p.m3u8");
    let vod = vod_playlists(&stream(), &recorded()).unwrap().unwrap();
    let vod = vod.files.into_iter().find(|f| f.name == "720p.m3u8").unwrap().text;
    assert_eq!(vod, ended.replace("TYPE:EVENT", "TYPE:VOD"));
    let mut missing = recorded();
    missing.get_mut("720p").unwrap().remove(&2);
    assert_eq!(vod_playlists(&stream(), &missing).unwrap(), None);
}

#[test]
fn files_that_are_referred_to_come_first() {
    let all = playlists(&stream(), &recorded()).unwrap().unwrap();
    let names: Vec<&str> = all.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "720p.m3u8",
            "720p-iframes.m3u8",
            "360p.m3u8",
            "360p-iframes.m3u8",
            "audio-en.m3u8",
            "audio-zh.m3u8",
            "text-en.m3u8",
            "master.m3u8",
            "manifest.mpd"
        ]
    );
}
