//! The encode recipe: the same frames at the same times for any number of segments.

use segue_tests::{Digest, Fixture, Sandbox, fixture};

#[test]
fn frames_and_times_do_not_depend_on_the_number_of_parts() {
    for which in [Fixture::H264Open, Fixture::Vfr, Fixture::LateSound, Fixture::OneFrameTail] {
        let source = fixture(which);
        let before = Digest::decode(&source);
        let mut starts = Vec::new();
        for duration in ["1s", "1000h"] {
            let sandbox = Sandbox::new();
            sandbox.done(&source, &["--recipe", "mp4", "--segment-duration", duration]);
            assert_eq!(sandbox.joined().extension().unwrap(), "mp4");
            let after = Digest::decode(&sandbox.joined());
            let (a, b) = (&before.video[0].times, &after.video[0].times);
            assert_eq!(a.len(), b.len(), "{which:?} {duration}: frames");
            let off = a.iter().zip(b).map(|(x, y)| ((y - b[0]) - (x - a[0])).abs()).fold(0.0, f64::max);
            assert!(off <= 1.0, "{which:?} {duration}: a frame is {off:.3} ms off");
            assert_eq!(after.audio.len(), before.audio.len(), "{which:?} {duration}: sounds");
            let gap = after.audio[0].times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
            assert!(gap < 30.0, "{which:?} {duration}: {gap:.1} ms without sound");
            let begins = after.audio[0].times[0] - after.video[0].times[0];
            let began = before.audio[0].times[0] - before.video[0].times[0];
            // the encoder's priming samples are trimmed, also where the sound starts late
            assert!(
                (begins - began).abs() <= 1.0,
                "{which:?} {duration}: sound begins {begins:.3}, was {began:.3}"
            );
            starts.push(after.samples);
        }
        assert_eq!(starts[0], starts[1], "{which:?}: the sound is encoded once, for any number of segments");
    }
}
