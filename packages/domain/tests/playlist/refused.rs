//! What does not form a stream.

use segue_domain::playlist::{Part, PlaylistError, Recorded, Stream, playlists};

use crate::common::{recorded, stream};

fn error(change: impl FnOnce(&mut Stream, &mut Recorded)) -> PlaylistError {
    let (mut stream, mut recorded) = (stream(), recorded());
    change(&mut stream, &mut recorded);
    playlists(&stream, &recorded).unwrap_err()
}

fn part_error(index: u32, change: impl FnOnce(&mut Part)) -> String {
    let found = error(|_, all| change(all.get_mut("360p").unwrap().get_mut(&index).unwrap()));
    assert!(
        matches!(&found, PlaylistError::Part { rendition, part, .. } if rendition == "360p" && *part == index)
    );
    found.to_string()
}

#[test]
fn a_part_continues_the_one_before_it() {
    let text = part_error(1, |p| p.start += 1);
    assert_eq!(text, "part 1 of 360p: it starts at 240241, the part before ends at 240240");
    assert!(part_error(2, |p| p.init_hash = "other".into()).contains("initialisation segment differs"));
    assert!(part_error(0, |p| p.fragments.clear()).contains("no fragments"));
}

#[test]
fn a_fragment_is_within_the_target_duration_and_in_its_place() {
    // 4.5 s would be rounded to 5
    assert!(part_error(2, |p| p.fragments[0].ticks = 135_000).contains("target duration is 4 s"));
    assert!(part_error(0, |p| p.fragments[0].ticks = 0).contains("target duration"));
    assert!(part_error(0, |p| p.fragments[1].offset -= 1).contains("overlaps"));
    assert!(part_error(0, |p| p.fragments[1].bytes = 0).contains("empty"));
    assert!(part_error(0, |p| p.fragments[1].offset = u64::MAX).contains("overlaps"));
    assert!(part_error(0, |p| p.fragments[0].keyframe_bytes = 0).contains("keyframe"));
}

#[test]
fn names_and_uris_fit_into_a_playlist() {
    let refused = |change: fn(&mut Stream, &mut Recorded)| matches!(error(change), PlaylistError::Text(_));
    assert!(refused(|s, _| s.renditions[0].id = "../x".into()));
    assert!(refused(|s, _| s.renditions[0].id = String::new()));
    assert!(refused(|s, _| s.renditions[2].name = "a\"b".into()));
    assert!(refused(|s, _| s.renditions[2].language = Some("e\nn".into())));
    let uri = |text: &'static str| {
        matches!(
            error(|_, all| all.get_mut("720p").unwrap().get_mut(&0).unwrap().uri = text.into()),
            PlaylistError::Text(_)
        )
    };
    assert!(uri("#x") && uri("") && uri("a\nb"));
}

#[test]
fn renditions_form_a_stream() {
    let refused =
        |change: fn(&mut Stream)| matches!(error(|stream, _| change(stream)), PlaylistError::Renditions(_));
    assert!(refused(|s| s.renditions.retain(|r| r.is_subtitles())));
    assert!(refused(|s| s.renditions[1].id = "720p".into()));
    assert!(refused(|s| s.renditions[3].name = "English".into()));
    assert!(refused(|s| s.renditions[3].default = true));
    assert!(refused(|s| s.renditions[0].parts = 0));
    assert!(refused(|s| s.renditions[0].timescale = 0));
    assert!(refused(|s| s.target_s = 0));
}
