//! The map task that encodes the sound, once, for the whole length.

use segue_domain::TaskKind;
use segue_media::AudioInput;
use segue_ports::{EngineError, Part};
use serde::{Deserialize, Serialize};

use super::notes::internal;

/// One encoded stream, as it stands in a completion's facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EncodedSound {
    /// Name of the file.
    name: String,
    /// Add to its times to get the source's, microseconds.
    offset_us: i64,
    /// Index of the source's stream that it stands for.
    stands_for: u32,
}

/// The encoded sound of a job, as inputs of its join.
pub fn inputs(parts: &[Part]) -> Result<Vec<AudioInput>, EngineError> {
    let Some(part) = parts.iter().find(|part| part.task.kind == TaskKind::Sound) else { return Ok(Vec::new()) };
    let sounds: Vec<EncodedSound> = serde_json::from_value(part.facts.clone())
        .map_err(|e| internal(format!("what the sound came to cannot be read: {e}")))?;
    let input = |sound: EncodedSound| {
        let path = part.files.get(&sound.name).cloned();
        let path = path.ok_or_else(|| internal(format!("{} left no {}", part.task.id, sound.name)))?;
        Ok(AudioInput { path, offset_us: sound.offset_us, stands_for: sound.stands_for })
    };
    sounds.into_iter().map(input).collect()
}
