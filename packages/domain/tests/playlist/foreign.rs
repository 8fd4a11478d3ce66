//! The playlists read by two parsers of other projects.

use std::convert::TryFrom;

use segue_domain::playlist::{PlaylistFile, Recorded, playlists};

use crate::common::{recorded, stream};

fn complete() -> Vec<PlaylistFile> {
    playlists(&stream(), &recorded()).unwrap().unwrap().files
}

fn growing() -> Vec<PlaylistFile> {
    let mut early: Recorded = recorded();
    for id in ["720p", "360p"] {
        early.get_mut(id).unwrap().remove(&2);
    }
    playlists(&stream(), &early).unwrap().unwrap().files
}

fn hls(files: &[PlaylistFile], master: bool) -> impl Iterator<Item = &PlaylistFile> {
    files.iter().filter(move |f| f.name.ends_with(".m3u8") && (f.name == "master.m3u8") == master)
}

#[test]
fn m3u8_rs_reads_the_media_playlists() {
    for (files, ended) in [(complete(), true), (growing(), false)] {
        for file in hls(&files, false) {
            let (rest, found) = m3u8_rs::parse_media_playlist(file.text.as_bytes()).unwrap();
            assert!(rest.is_empty(), "{}", file.name);
            assert_eq!(found.end_list, ended);
            assert_eq!((found.target_duration, found.media_sequence), (4, 0));
            assert_eq!(found.playlist_type, Some(m3u8_rs::MediaPlaylistType::Event));
            assert_eq!(found.segments.len(), if ended { 5 } else { 4 }, "{}", file.name);
            assert_eq!(found.i_frames_only, file.name.contains("iframes"));
            assert!(found.segments.iter().all(|s| !s.discontinuity && s.unknown_tags.is_empty()));
            let text = file.name.starts_with("text");
            assert_eq!(found.segments[0].map.is_some(), !text);
            assert!(found.segments.iter().all(|s| s.byte_range.is_some() != text));
            assert!(found.unknown_tags.is_empty(), "{:?}", found.unknown_tags);
        }
        let all =
            m3u8_rs::parse_media_playlist_res(hls(&files, false).next().unwrap().text.as_bytes()).unwrap();
        let range = all.segments[1].byte_range.as_ref().unwrap();
        assert_eq!((range.length, range.offset), (1_000_000, Some(1_200_000)));
    }
}

#[test]
fn m3u8_rs_reads_the_master_playlist() {
    let files = complete();
    let master = hls(&files, true).next().unwrap();
    let found = m3u8_rs::parse_master_playlist_res(master.text.as_bytes()).unwrap();
    assert!(found.independent_segments && found.unknown_tags.is_empty());
    assert_eq!(found.variants.len(), 4);
    let first = &found.variants[0];
    assert_eq!(first.codecs.as_deref(), Some("avc1.64001f,mp4a.40.2"));
    assert_eq!(first.resolution, Some(m3u8_rs::Resolution { width: 1280, height: 720 }));
    assert_eq!(first.frame_rate, Some(29.97));
    assert_eq!((first.audio.as_deref(), first.subtitles.as_deref()), (Some("audio"), Some("subtitles")));
    let iframes: Vec<bool> = found.variants.iter().map(|v| v.is_i_frame).collect();
    assert_eq!(iframes, [false, false, true, true]);
    let names: Vec<&str> = found.alternatives.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["English", "中文", "English"]);
    assert_eq!(found.alternatives[1].channels.as_deref(), Some("6"));
    assert!(found.alternatives[0].default && !found.alternatives[1].default);
}

#[test]
fn hls_m3u8_reads_all_of_them() {
    for files in [complete(), growing()] {
        for file in hls(&files, false) {
            let found = hls_m3u8::MediaPlaylist::try_from(file.text.as_str());
            let found = found.unwrap_or_else(|e| panic!("{}: {e}\n{}", file.name, file.text));
            assert_eq!(found.target_duration.as_secs(), 4, "{}", file.name);
            assert!(found.segments.iter().all(|(_, s)| !s.has_discontinuity));
        }
        let master = hls(&files, true).next().unwrap();
        let found = hls_m3u8::MasterPlaylist::try_from(master.text.as_str()).unwrap();
        assert_eq!((found.variant_streams.len(), found.media.len()), (4, 3));
        assert!(found.has_independent_segments);
    }
}
