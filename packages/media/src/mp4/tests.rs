//! Round trips of parser and writer, and robustness of the parser against arbitrary bytes.

use proptest::prelude::*;

use super::*;

const STSD: &[u8] = b"\0\0\0\x18stsd\0\0\0\0\0\0\0\x01\0\0\0\x08avc1";

/// Samples whose offsets and times are made of small random steps.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (0u32..5000, 0u32..300, -500i32..500, 0u64..3, any::<bool>(), 1u16..3);
    proptest::collection::vec(one, 1..120).prop_map(|rows| {
        let (mut offset, mut dts) = (0, 0);
        rows.into_iter()
            .map(|(size, length, composition, gap, keyframe, description)| {
                offset += gap * 7;
                let s = Sample { offset, dts, size, composition, description, keyframe, hidden: false };
                offset += u64::from(size);
                dts += i64::from(length);
                s
            })
            .collect()
    })
}

fn header(samples: &[Sample], edits: &[Edit], body_len: u64) -> Vec<u8> {
    let mut matrix = [0; 36];
    matrix[3] = 9;
    let track = HeaderTrack {
        brand: Brand::Mp4,
        kind: TrackKind::Picture,
        timescale: 30_000,
        language: 0x15c7,
        matrix,
        width: 320 << 16,
        height: 180 << 16,
        stsd: STSD,
        edits,
        samples,
        last_duration: 1001,
        body_len,
    };
    write_header(&track).unwrap().bytes
}

fn body_len(samples: &[Sample]) -> u64 {
    samples.iter().map(|s| s.offset + u64::from(s.size)).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(samples in samples()) {
        let body = body_len(&samples);
        let mut file = header(&samples, &[], body);
        let base = file.len() as u64;
        file.resize(file.len() + body as usize, 0);
        let index = read_index(&file.as_slice(), TrackChoice::FirstVideo).unwrap();
        let moved: Vec<Sample> = samples.iter().map(|s| Sample { offset: s.offset + base, ..*s }).collect();
        prop_assert_eq!(&index.track.samples, &moved);
        prop_assert_eq!(index.track.timescale, 30_000);
        prop_assert_eq!(index.track.last_duration, 1001);
        prop_assert_eq!(index.track.stsd.as_slice(), STSD);
        prop_assert_eq!(index.track.matrix[3], 9);
        prop_assert_eq!(index.lost, None);
    }

    #[test]
    fn flipped_bytes_are_an_error_or_an_index_and_never_a_panic(
        samples in samples(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = header(&samples, &[], body_len(&samples));
        for (at, value) in flips {
            let at = at.index(file.len());
            file[at] = value;
        }
        let whole = file.len();
        let _ = read_index(&file.as_slice(), TrackChoice::FirstVideo);
        file.truncate(cut.index(whole));
        let _ = read_index(&file.as_slice(), TrackChoice::FirstVideo);
        let _ = short_by(&file.as_slice());
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_index(&bytes.as_slice(), TrackChoice::Id(1));
        let _ = looks_like_mov(&bytes.as_slice());
    }
}

fn steady(n: i64) -> Vec<Sample> {
    (0..n)
        .map(|i| Sample {
            offset: i as u64 * 10,
            dts: i * 1001,
            size: 10,
            composition: 0,
            description: 1,
            keyframe: i == 0,
            hidden: false,
        })
        .collect()
}

#[test]
fn a_truncated_file_keeps_what_is_whole_and_counts_the_rest() {
    let mut file = header(&steady(10), &[], 100);
    file.resize(file.len() + 55, 0);
    let index = read_index(&file.as_slice(), TrackChoice::FirstVideo).unwrap();
    assert_eq!(index.track.samples.len(), 5);
    let lost = index.lost.unwrap();
    assert_eq!((lost.samples, lost.bytes, lost.ticks, lost.file_bytes), (5, 50, 5 * 1001, 45));
}

#[test]
fn a_count_that_does_not_fit_is_refused_before_memory_is_taken() {
    let file = header(&steady(10), &[], 100);
    for (kind, count_at) in [(b"stsz", 12), (b"stts", 8), (b"co64", 8), (b"stsc", 8)] {
        let mut hostile = file.clone();
        let at = hostile.windows(4).position(|w| w == kind).unwrap();
        hostile[at + count_at..at + count_at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        let error = read_index(&hostile.as_slice(), TrackChoice::FirstVideo).unwrap_err();
        assert!(matches!(error, IndexError::Broken(_)), "{kind:?}: {error}");
    }
}

#[test]
fn a_constant_size_cannot_claim_more_samples_than_we_take() {
    let mut file = header(&steady(10), &[], 100);
    let at = file.windows(4).position(|w| w == b"stsz").unwrap();
    file[at + 8..at + 12].copy_from_slice(&1u32.to_be_bytes());
    file[at + 12..at + 16].copy_from_slice(&u32::MAX.to_be_bytes());
    let error = read_index(&file.as_slice(), TrackChoice::FirstVideo).unwrap_err();
    assert!(error.to_string().contains("samples"), "{error}");
}

#[test]
fn no_movie_box_is_a_missing_index() {
    let media = b"\0\0\0\x08free\0\0\0\x10mdat01234567";
    let error = read_index(&media.as_slice(), TrackChoice::FirstVideo).unwrap_err();
    assert!(matches!(&error, IndexError::Missing(why) if why.contains("media")), "{error}");
    let whole = header(&steady(10), &[], 100);
    let error = read_index(&&whole[..60], TrackChoice::FirstVideo).unwrap_err();
    assert!(matches!(error, IndexError::Missing(_)), "{error}");
}

#[test]
fn an_edit_hides_what_it_does_not_show() {
    let shown = |edits: &[Edit]| {
        let mut file = header(&steady(10), edits, 100);
        file.resize(file.len() + 100, 0);
        let mut index = read_index(&file.as_slice(), TrackChoice::FirstVideo).unwrap();
        index.settle_edits().then(|| index.track.samples.iter().map(|s| !s.hidden).collect::<Vec<_>>())
    };
    let edit = |duration, media_time| Edit { duration, media_time, rate: 1 << 16 };
    assert_eq!(shown(&[]), Some(vec![true; 10]));
    assert_eq!(shown(&[edit(10_010, 0)]), Some(vec![true; 10]));
    assert_eq!(shown(&[edit(500, -1), edit(10_010, 0)]), Some(vec![true; 10]));
    let hidden_head: Vec<bool> = (0..10).map(|i| i >= 3).collect();
    assert_eq!(shown(&[edit(10_010, 3003)]), Some(hidden_head));
    assert_eq!(shown(&[edit(4004, 0)]), Some(vec![true; 4]));
    assert_eq!(shown(&[edit(1001, 0), edit(1001, 5005)]), None);
    assert_eq!(shown(&[Edit { rate: 2 << 16, ..edit(1001, 0) }]), None);
}

#[test]
fn the_matrix_is_put_right_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mov");
    std::fs::write(&path, header(&steady(3), &[], 0)).unwrap();
    let mut turned = [0; 36];
    turned[35] = 77;
    stamp_matrix(&path, &turned).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let index = read_index(&bytes.as_slice(), TrackChoice::FirstVideo).unwrap();
    assert_eq!(index.track.matrix, turned);
}

/// The bytes of a rewrite of `file`.
fn rewritten(file: &[u8]) -> Vec<u8> {
    let plan = plan_rewrite(&file).unwrap();
    let mut out = plan.head.clone();
    for run in &plan.runs {
        out.extend_from_slice(&file[run.from as usize..(run.from + run.len) as usize]);
    }
    assert_eq!(out.len() as u64, plan.len);
    out
}

proptest! {
    #[test]
    fn a_rewrite_keeps_every_packet_and_time(samples in samples()) {
        let body = body_len(&samples);
        let mut file = header(&samples, &[], body);
        file.extend((0..body).map(|i| (i * 31 % 253) as u8));
        let out = rewritten(&file);
        let (a, b) = (
            read_index(&file.as_slice(), TrackChoice::FirstVideo).unwrap(),
            read_index(&out.as_slice(), TrackChoice::FirstVideo).unwrap(),
        );
        prop_assert_eq!(a.track.samples.len(), b.track.samples.len());
        for (x, y) in a.track.samples.iter().zip(&b.track.samples) {
            let bytes = |file: &[u8], s: &Sample| file[s.offset as usize..s.offset as usize + s.size as usize].to_vec();
            prop_assert_eq!(bytes(&file, x), bytes(&out, y));
            prop_assert_eq!(Sample { offset: 0, ..*x }, Sample { offset: 0, ..*y });
        }
        prop_assert_eq!(a.track.stsd, b.track.stsd);
    }

    #[test]
    fn a_rewrite_of_damaged_tables_is_refused_or_done_and_never_a_panic(
        samples in samples(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut file = header(&samples, &[], body_len(&samples));
        for (at, value) in flips {
            let at = at.index(file.len());
            file[at] = value;
        }
        let _ = plan_rewrite(&file.as_slice());
    }
}

#[test]
fn media_in_another_file_and_fragments_are_left_to_the_muxer() {
    let mut file = header(&steady(10), &[], 100);
    file.resize(file.len() + 100, 0);
    assert!(plan_rewrite(&file.as_slice()).is_ok());
    let mut elsewhere = file.clone();
    let at = elsewhere.windows(4).position(|w| w == b"url ").unwrap();
    elsewhere[at + 7] = 0;
    assert!(plan_rewrite(&elsewhere.as_slice()).is_err());
    let mut fragments = file.clone();
    fragments.extend_from_slice(b"\0\0\0\x08moof");
    assert!(plan_rewrite(&fragments.as_slice()).is_err());
    file.truncate(file.len() - 1);
    assert!(plan_rewrite(&file.as_slice()).is_err());
}

proptest! {
    #[test]
    fn a_slim_header_names_the_first_packets_where_they_are(samples in samples(), most in 1usize..80) {
        let body = body_len(&samples);
        let mut file = header(&samples, &[], body);
        file.resize(file.len() + body as usize, 0);
        let whole = read_index(&file.as_slice(), TrackChoice::FirstVideo).unwrap().track;
        let Some(mut slim) = slim_header(&file.as_slice(), most, None).unwrap() else {
            prop_assert!(samples.len() <= most);
            return Ok(());
        };
        prop_assert!(slim_header(&file.as_slice(), most, Some(whole.id)).unwrap().is_none());
        let base = slim.len() as u64;
        slim.extend_from_slice(&file);
        let track = read_index(&slim.as_slice(), TrackChoice::FirstVideo).unwrap().track;
        prop_assert!(samples.len() > most && track.samples.len() >= most);
        for (a, b) in whole.samples.iter().zip(&track.samples) {
            prop_assert_eq!(Sample { offset: a.offset + base, ..*a }, *b);
        }
    }

    #[test]
    fn damaged_tables_are_refused_or_cut_and_never_a_panic(
        samples in samples(),
        most in 1usize..20,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut file = header(&samples, &[], body_len(&samples));
        for (at, value) in flips {
            let at = at.index(file.len());
            file[at] = value;
        }
        let _ = slim_header(&file.as_slice(), most, None);
        let all = Filling { track: 0, timescale: 30_000, samples, last_duration: 1001 };
        let _ = fill(&file.as_slice(), vec![all]);
    }

    #[test]
    fn a_filled_movie_is_what_would_have_been_written_at_once(samples in samples(), first in 1usize..60) {
        let samples: Vec<Sample> = samples.into_iter().map(|s| Sample { description: 1, ..s }).collect();
        let body = body_len(&samples);
        let edit = |samples: &[Sample]| {
            let last = samples.last().unwrap().dts + 1001;
            [Edit { duration: last as u64, media_time: 0, rate: 1 << 16 }]
        };
        let part = &samples[..first.min(samples.len())];
        let mut skeleton = header(part, &edit(part), body);
        skeleton.resize(skeleton.len() + body as usize, 0);
        let filling = Filling { track: 0, timescale: 30_000, samples: samples.clone(), last_duration: 1001 };
        let filled = fill(&skeleton.as_slice(), vec![filling]).unwrap();
        let bytes: Vec<u8> = (0..body).map(|i| (i * 31 % 253) as u8).collect();
        let mut out = filled.head.clone();
        for run in &filled.runs {
            prop_assert_eq!(run.filling, Some(0));
            out.extend_from_slice(&bytes[run.from as usize..(run.from + run.len) as usize]);
        }
        let mut at_once = header(&samples, &edit(&samples), body);
        let base = at_once.len();
        at_once.extend_from_slice(&bytes);
        let read = |file: &[u8]| read_index(&file, TrackChoice::FirstVideo).unwrap();
        let (a, b) = (read(&at_once), read(&out));
        prop_assert_eq!(&a.track.edits, &b.track.edits);
        prop_assert_eq!((a.track.last_duration, a.lost, b.lost), (b.track.last_duration, None, None));
        prop_assert_eq!(a.track.samples.len(), b.track.samples.len());
        for (x, y) in a.track.samples.iter().zip(&b.track.samples) {
            prop_assert_eq!(Sample { offset: 0, ..*x }, Sample { offset: 0, ..*y });
            let (from, to) = (x.offset as usize, y.offset as usize);
            prop_assert_eq!(&at_once[from..from + x.size as usize], &out[to..to + x.size as usize]);
            prop_assert!(from >= base);
        }
    }
}

#[test]
fn a_movie_of_other_packets_is_not_filled() {
    let all = steady(40);
    let mut skeleton = header(&all[..10], &[], 100);
    skeleton.resize(skeleton.len() + 100, 0);
    let with = |change: &dyn Fn(&mut Filling)| {
        let mut filling = Filling { track: 0, timescale: 30_000, samples: all.clone(), last_duration: 1001 };
        change(&mut filling);
        fill(&skeleton.as_slice(), vec![filling]).is_ok()
    };
    assert!(with(&|_| {}));
    assert!(!with(&|f| f.timescale = 25_000));
    assert!(!with(&|f| f.track = 1));
    assert!(!with(&|f| f.samples[3].size += 1));
    assert!(!with(&|f| f.samples[3].dts += 1));
    assert!(!with(&|f| f.samples[3].composition += 1));
    assert!(!with(&|f| f.samples.truncate(9)));
}

/// A movie with one track, and nested boxes of one type inside it.
fn nested(kind: &[u8; 4], levels: usize) -> Vec<u8> {
    let sample =
        Sample { offset: 0, dts: 0, size: 5, composition: 0, description: 1, keyframe: true, hidden: false };
    let mut file = header(&[sample], &[], 5);
    file.extend_from_slice(&[0; 5]);
    let size = |file: &[u8], at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    let moov = size(&file, 0) as usize;
    let trak = file.windows(4).position(|w| w == b"trak").unwrap() - 4;
    let after = trak + size(&file, trak) as usize;
    let mut boxes = Vec::with_capacity(levels * 8);
    for level in (1..=levels).rev() {
        boxes.extend_from_slice(&(8 * level as u32).to_be_bytes());
        boxes.extend_from_slice(kind);
    }
    for at in [moov, trak] {
        let grown = size(&file, at) + boxes.len() as u32;
        file[at..at + 4].copy_from_slice(&grown.to_be_bytes());
    }
    file.splice(after..after, boxes);
    file
}

/// Every recursive parser, on a stack of 256 KiB.
#[test]
fn boxes_inside_one_another_to_a_hundred_thousand_levels_are_an_error() {
    let on_small_stack = |levels| {
        let parse = move || {
            let (tracks, edits) = (nested(b"minf", levels), nested(b"edts", levels));
            [
                slim_header(&tracks.as_slice(), 1, None).err(),
                plan_rewrite(&tracks.as_slice()).err(),
                fill(&edits.as_slice(), Vec::new()).err(),
            ]
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(parse).unwrap().join().unwrap()
    };
    for error in on_small_stack(100_000) {
        assert!(matches!(error, Some(IndexError::TooDeep { .. })), "{error:?}");
    }
    // the movie, its track, and five nested levels
    assert_eq!(on_small_stack(5), [None, None, None]);
    assert!(on_small_stack(6).iter().all(Option::is_some));
}
