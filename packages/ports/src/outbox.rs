//! The notices of a change, from the job before and after it.

use segue_domain::outbox::OUTBOX_VERSION;
use segue_domain::{JobRecord, JobState, OutboxEntry, OutputRecord, OutputState};

/// The notices of a committed change: one for each output that ended, and one for the job when its state
/// became an end state or its deletion began. A ledger calls this on the two documents of its own atomic step,
/// so that the notices are those of the change that was committed.
///
/// An id is `EPOCH/REVISION/SUBJECT`: one committed change has one revision.
pub fn notices(before: &JobRecord, after: &JobRecord) -> Vec<OutboxEntry> {
    let mut all: Vec<OutboxEntry> = Vec::new();
    for output in after.outputs.iter().filter(|output| output.state.is_terminal()) {
        if before.output(output.id()).is_none_or(|before| before.state != output.state) {
            all.push(of_output(after, output));
        }
    }
    let (was, is) = (before.state(), after.state());
    let ended = is.is_terminal() || is == JobState::Deleting;
    // a completed job that fails no more and no less stays completed when outputs are added
    if ended && was != is {
        let body = serde_json::json!({
            "job": after.id, "epoch": after.epoch, "state": is, "at_ms": after.updated_at_ms,
        });
        all.push(entry(after, "job", format!("job-{}", is.as_str()), &body));
    }
    all
}

fn of_output(job: &JobRecord, output: &OutputRecord) -> OutboxEntry {
    let cause = output.failure.as_ref().filter(|_| output.state == OutputState::Failed);
    let body = serde_json::json!({
        "job": job.id, "epoch": job.epoch, "output": output.id(), "state": output.state,
        "cause": cause.map(|failure| &failure.cause), "at_ms": output.updated_at_ms,
    });
    let subject = format!("output/{}", output.id());
    entry(job, &subject, format!("output-{}", output.state.as_str()), &body)
}

fn entry(job: &JobRecord, subject: &str, kind: String, body: &serde_json::Value) -> OutboxEntry {
    // fixed width: ids sort by the order of the changes
    let id = format!("{}/{:012}/{subject}", job.epoch, job.revision);
    OutboxEntry { version: OUTBOX_VERSION, id, kind, body: body.to_string() }
}
