//! Messages on queues: small versioned documents that only name the work.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{JobId, OutputId, TaskId};

/// Newest message version that this build reads, and the one it writes. Version 1 was before the
/// first release.
pub const MESSAGE_VERSION: u32 = 2;

/// A message to a role. Every message may be delivered twice, late, or after the work is
/// completed; the ledger is authoritative.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Message {
    /// For a planner: plan the outputs of this job that are ready to be planned.
    Plan {
        /// The job.
        job: JobId,
    },
    /// For a worker: run this task.
    Task {
        /// The job.
        job: JobId,
        /// The output.
        output: OutputId,
        /// The task.
        task: TaskId,
    },
    /// For an assembler: all parts of this output are there.
    Assemble {
        /// The job.
        job: JobId,
        /// The output.
        output: OutputId,
    },
}

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    version: u32,
    message: &'a Message,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeIn {
    #[expect(dead_code, reason = "checked before by check_version")]
    version: u32,
    message: Message,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// Reads only the version of a document, so that a newer one is distinguished from an
/// invalid one.
///
/// # Errors
/// [`DomainError::Version`] when it is newer, [`DomainError::Document`] when it has none.
pub fn check_version(document: &'static str, bytes: &[u8], newest: u32) -> Result<(), DomainError> {
    let found = serde_json::from_slice::<VersionOnly>(bytes)
        .map_err(|e| DomainError::Document { document, why: e.to_string() })?
        .version;
    if found == 0 {
        return Err(DomainError::Document { document, why: "versions begin at 1".into() });
    }
    if found > newest {
        return Err(DomainError::Version { document, found, newest });
    }
    Ok(())
}

impl Message {
    /// The job of the message.
    pub fn job(&self) -> &JobId {
        match self {
            Message::Plan { job } | Message::Task { job, .. } | Message::Assemble { job, .. } => job,
        }
    }

    /// Encodes the message body.
    pub fn encode(&self) -> String {
        let envelope = EnvelopeOut { version: MESSAGE_VERSION, message: self };
        serde_json::to_string(&envelope).expect("a message has no key that is not a string")
    }

    /// Decodes a message body.
    ///
    /// # Errors
    /// [`DomainError::Version`] for a message of a newer build, which must be left on the
    /// queue for a newer worker; [`DomainError::Document`] for anything else.
    pub fn decode(text: &str) -> Result<Message, DomainError> {
        check_version("message", text.as_bytes(), MESSAGE_VERSION)?;
        let envelope: EnvelopeIn = serde_json::from_str(text)
            .map_err(|e| DomainError::Document { document: "message", why: e.to_string() })?;
        Ok(envelope.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_past_version_is_read() {
        // golden texts: never change one, add a version
        let job: JobId = "j-1".parse().unwrap();
        let output: OutputId = "video".parse().unwrap();
        let golden = [
            (r#"{"version":2,"message":{"kind":"plan","job":"j-1"}}"#, Message::Plan { job: job.clone() }),
            (
                r#"{"version":2,"message":{"kind":"task","job":"j-1","output":"video","task":"digest-00000"}}"#,
                Message::Task {
                    job: job.clone(),
                    output: output.clone(),
                    task: "digest-00000".parse().unwrap(),
                },
            ),
            (
                r#"{"version":2,"message":{"kind":"assemble","job":"j-1","output":"video"}}"#,
                Message::Assemble { job, output },
            ),
        ];
        for (text, message) in golden {
            assert_eq!(Message::decode(text).unwrap(), message);
            assert_eq!(message.encode(), text);
        }
    }

    #[test]
    fn a_newer_message_is_distinguished_from_a_broken_one() {
        let newer = Message::decode(r#"{"version":3,"message":{"kind":"dance"}}"#).unwrap_err();
        assert!(matches!(newer, DomainError::Version { found: 3, .. }), "{newer}");
        let nothing = r#"{"version":0,"message":{"kind":"plan","job":"j"}}"#;
        let older = r#"{"version":1,"message":{"kind":"chunk","job":"j"}}"#;
        for broken in
            ["", "{}", "[1]", nothing, older, r#"{"version":2,"message":{"kind":"plan","job":"../x"}}"#]
        {
            assert!(matches!(Message::decode(broken), Err(DomainError::Document { .. })), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics(text in ".*") {
            let _ = Message::decode(&text);
        }
    }
}
