//! Runs of speech: thresholding of voice activity.

use super::frames::Frame;
use super::rules::WindowRules;

/// A run of speech frames, half-open, counted from the first of the given frames.
pub(crate) type SpeechRun = std::ops::Range<usize>;

/// The runs of speech in `frames`. A run begins at `speech_from` and ends below `speech_until`;
/// gaps shorter than `shortest_pause` are filled, then runs shorter than `shortest_speech` dropped.
pub(crate) fn speech_runs(frames: &[Frame], rules: &WindowRules) -> Vec<SpeechRun> {
    let mut runs: Vec<SpeechRun> = Vec::new();
    let mut open = None;
    for (i, frame) in frames.iter().enumerate() {
        match open {
            None if frame.speech >= rules.speech_from => open = Some(i),
            Some(start) if frame.speech < rules.speech_until => {
                append(&mut runs, start..i, rules.shortest_pause);
                open = None;
            }
            _ => {}
        }
    }
    if let Some(start) = open {
        append(&mut runs, start..frames.len(), rules.shortest_pause);
    }
    runs.retain(|run| run.len() >= rules.shortest_speech);
    runs
}

fn append(runs: &mut Vec<SpeechRun>, run: SpeechRun, shortest_pause: usize) {
    match runs.last_mut() {
        Some(last) if run.start - last.end < shortest_pause => last.end = run.end,
        _ => runs.push(run),
    }
}
