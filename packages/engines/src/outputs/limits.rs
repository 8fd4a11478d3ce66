//! Limits of sources and plans, checked before a task is created.

use segue_domain::FaultKind;
use segue_media::SourceFacts;
use segue_media::bounds::MAX_LENGTH_US;
use segue_ports::EngineError;

/// Maximum number of tasks of an output. Every task costs messages, a lease and a process, however small it is.
pub const MAX_TASKS: usize = 10_000;

/// Checks the duration in the source's header.
///
/// # Errors
/// A source longer than [`MAX_LENGTH_US`].
pub fn check_length(facts: &SourceFacts) -> Result<(), EngineError> {
    let length = facts.duration_us.unwrap_or(0);
    if length <= MAX_LENGTH_US {
        return Ok(());
    }
    let hour = 3_600 * 1_000_000;
    let why = format!(
        "the source says that it is {} hours long; the limit is {} hours: cut it into shorter files first",
        length / hour,
        MAX_LENGTH_US / hour
    );
    Err(EngineError::new(FaultKind::Source, why))
}

/// Checks the number of segments, and of the tasks on them.
///
/// # Errors
/// More than [`MAX_TASKS`].
pub fn check_tasks(every_us: i64, tasks: usize) -> Result<(), EngineError> {
    if tasks <= MAX_TASKS {
        return Ok(());
    }
    let why = format!(
        "segments of {} s make at least {tasks} tasks of this source; the limit is {MAX_TASKS}: use longer segments",
        every_us as f64 / 1e6
    );
    Err(EngineError::new(FaultKind::Source, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::segments_in_time;

    /// Audio of this duration, microseconds, by its header.
    fn sound(length_us: i64) -> SourceFacts {
        serde_json::from_value(serde_json::json!({
            "size_bytes": 1042, "format": "flac", "container": "other", "start_time_us": 0,
            "duration_us": length_us, "streams": [], "chapters": 0, "tags": {}
        }))
        .unwrap()
    }

    #[test]
    fn a_source_of_more_than_two_days_is_refused() {
        check_length(&sound(MAX_LENGTH_US)).unwrap();
        let error = check_length(&sound(MAX_LENGTH_US + 3_600_000_000)).unwrap_err();
        assert_eq!(error.kind, FaultKind::Source);
        assert!(error.to_string().contains("49 hours long; the limit is 48 hours"), "{error}");
    }

    #[test]
    fn more_tasks_than_an_output_may_have_are_refused_before_they_are_created() {
        let every = 30_000_000;
        assert_eq!(segments_in_time(&sound(10_000 * every), every).unwrap().len(), MAX_TASKS);
        for length_us in [10_001 * every, i64::MAX / 2] {
            let error = segments_in_time(&sound(length_us), every).unwrap_err();
            assert_eq!(error.kind, FaultKind::Source);
            assert!(error.to_string().contains("the limit is 10000"), "{error}");
        }
        assert!(check_tasks(every, 10_001).is_err() && check_tasks(every, 10_000).is_ok());
    }
}
