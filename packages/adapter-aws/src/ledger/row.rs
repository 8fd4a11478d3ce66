//! The row of a job: its document, and attributes for conditions, indexes and other programs.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use segue_domain::{JobId, JobRecord, JobState, Tombstone};
use segue_ports::PortError;

use super::item::{Item, check_size, must, n, number, s, text};
use super::{DynamoLedger, job_key};
use crate::error::odd;

/// Shards of the index of open jobs.
pub const SHARDS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

/// The state of the row of a tombstone; no state of a job.
pub const DELETED: &str = "deleted";

/// A row: a job, or the tombstone in its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Job(Row),
    Tombstone(Tombstone),
}

impl Found {
    /// Parses a row.
    ///
    /// # Errors
    /// As [`Row::of_item`].
    pub fn of_item(item: &Item) -> Result<Found, PortError> {
        if text(item, "state")?.as_deref() != Some(DELETED) {
            return Row::of_item(item).map(Found::Job);
        }
        let document = must(text(item, "document")?, "document")?;
        let tombstone = Tombstone::decode(&document);
        tombstone.map(Found::Tombstone).map_err(|e| PortError::document("a tombstone", e))
    }

    pub fn job(self) -> Option<Row> {
        match self {
            Found::Job(row) => Some(row),
            Found::Tombstone(_) => None,
        }
    }
}

/// The row of a tombstone. It has no attribute `open` and so is in no index of the sweeper's.
pub fn tombstone_item(tombstone: &Tombstone) -> Item {
    let mut item = job_key(&tombstone.job);
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put("document", s(tombstone.encode()));
    put("epoch", s(tombstone.epoch.as_str()));
    put("state", s(DELETED));
    put("state_since_ms", n(tombstone.deleted_at_ms));
    put("status", s(DELETED));
    item
}

/// A job with the ledger's additional fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub record: JobRecord,
    /// When its state last changed, milliseconds since 1970.
    pub state_since_ms: i64,
    /// When it last became open, likewise; undefined while it is not open.
    pub open_since_ms: i64,
}

/// The shard of a job; the same in every process.
fn shard(id: &JobId) -> &'static str {
    SHARDS[crc32fast::hash(id.as_str().as_bytes()) as usize % SHARDS.len()]
}

/// The state in the vocabulary of the media worker whose environment contract this backend keeps.
fn status(state: JobState) -> &'static str {
    match state {
        JobState::Created => "chunking_in_progress",
        JobState::Mapping | JobState::Assembling | JobState::Publishing => "chunking_complete",
        ended => ended.as_str(),
    }
}

/// Number of tasks of the output `video`, or of the first output if none has that name;
/// absent until its plan is sealed.
fn total_segments(job: &JobRecord) -> Option<u64> {
    let video = job.outputs.iter().find(|output| output.id().as_str() == "video");
    video.or(job.outputs.first())?.plan.as_ref().map(|plan| plan.tasks)
}

impl Row {
    /// The row of a job that is created now.
    pub fn new(record: JobRecord) -> Row {
        let since_ms = record.created_at_ms;
        Row { record, state_since_ms: since_ms, open_since_ms: since_ms }
    }

    /// The row after its document has become `record`. Indexed attributes change only with the state, and when
    /// the job opens.
    pub fn followed_by(&self, record: JobRecord) -> Row {
        let now_ms = record.updated_at_ms;
        let same_state = record.state() == self.record.state();
        let state_since_ms = if same_state { self.state_since_ms } else { now_ms };
        let open_since_ms = if self.record.is_open_job() { self.open_since_ms } else { now_ms };
        Row { record, state_since_ms, open_since_ms }
    }

    pub fn to_item(&self) -> Result<Item, PortError> {
        let job = &self.record;
        let document = job.encode();
        check_size(&format!("job {} with its recipe", job.id), document.len())?;
        let mut item = job_key(&job.id);
        let mut put = |name: &str, value| item.insert(name.to_owned(), value);
        put("document", s(document));
        put("revision", n(job.revision));
        put("epoch", s(job.epoch.as_str()));
        put("state", s(job.state().as_str()));
        put("state_since_ms", n(self.state_since_ms));
        if job.is_open_job() {
            put("open", s(shard(&job.id)));
            put("open_since_ms", n(self.open_since_ms));
        }
        put("status", s(status(job.state())));
        if let Some(tasks) = total_segments(job) {
            put("total_segments", n(tasks));
        }
        if let Some(at_ms) = job.completed_at_ms {
            let at = DateTime::from_millis(at_ms).fmt(Format::DateTime);
            put("completed_at", s(at.map_err(|e| odd("the time of a completion", e))?));
        }
        Ok(item)
    }

    /// Parses a row.
    ///
    /// # Errors
    /// `Newer` for a document of a newer build, `Corrupt` for a row that no build writes.
    pub fn of_item(item: &Item) -> Result<Row, PortError> {
        let id = must(text(item, "job_id")?, "job_id")?;
        let document = must(text(item, "document")?, "document")?;
        let record = JobRecord::decode(&document);
        let record = record.map_err(|e| PortError::document(format_args!("job {id}"), e))?;
        let state_since_ms = must(number(item, "state_since_ms")?, "state_since_ms")?;
        let open_since_ms = number(item, "open_since_ms")?.unwrap_or(record.updated_at_ms);
        Ok(Row { record, state_since_ms, open_since_ms })
    }
}

impl DynamoLedger {
    /// The current row, read consistently.
    pub(super) async fn row(&self, id: &JobId) -> Result<Option<Row>, PortError> {
        Ok(self.found(id).await?.and_then(Found::job))
    }

    /// The job or the tombstone of the id, read consistently.
    pub(super) async fn found(&self, id: &JobId) -> Result<Option<Found>, PortError> {
        self.get(&self.tables.jobs, job_key(id)).await?.as_ref().map(Found::of_item).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use aws_sdk_dynamodb::types::AttributeValue;
    use segue_domain::{NewOutput, OutputRecord, OutputState, PlanHash, SealedPlan};
    use segue_ports::PortErrorKind;

    use super::*;

    fn output(id: &str, tasks: u64, state: OutputState) -> OutputRecord {
        let asked = NewOutput {
            id: id.parse().unwrap(),
            kind: "video".into(),
            needs: vec![],
            required: true,
            priority: 0,
            spec: "s".into(),
        };
        let plan = SealedPlan { hash: PlanHash("h".into()), key: "segments/j/1/plan.json".into(), tasks };
        OutputRecord { state, plan: Some(plan), ..OutputRecord::new(asked, 0) }
    }

    fn row(outputs: Vec<OutputRecord>) -> Row {
        Row::new(JobRecord {
            version: 1,
            id: "j".parse().unwrap(),
            epoch: "e".parse().unwrap(),
            revision: 3,
            asset: "a".parse().unwrap(),
            source_key: "input/a/source.mp4".into(),
            recipe: "{}".into(),
            awaiting_until_ms: None,
            deleting: false,
            outputs,
            created_at_ms: 1_700_000_000_000,
            updated_at_ms: 1_700_000_000_001,
            completed_at_ms: None,
        })
    }

    fn word(item: &Item, name: &str) -> Option<String> {
        item.get(name).map(|value| match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
            other => panic!("{name} is {other:?}"),
        })
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let row = row(vec![output("video", 7, OutputState::Mapping)]);
        let item = row.to_item().unwrap();
        assert_eq!(Row::of_item(&item).unwrap(), row);
        assert!(!item.contains_key("expires_at_s"), "a row does not expire while its asset lives");
        let changed = |from: &str, to: &str| {
            let document = row.record.encode().replacen(from, to, 1);
            let mut item = item.clone();
            item.insert("document".to_owned(), s(document));
            Row::of_item(&item).unwrap_err().kind
        };
        assert_eq!(changed("\"version\":1", "\"version\":2,\"new\":true"), PortErrorKind::Newer);
        assert_eq!(changed("\"revision\":3", "\"revision\":\"x\""), PortErrorKind::Corrupt);
    }

    #[test]
    fn only_a_job_that_the_sweeper_has_to_look_at_is_in_its_index() {
        let mut row =
            row(vec![output("video", 7, OutputState::Completed), output("quiz", 7, OutputState::Failed)]);
        let shard = |row: &Row| word(&row.to_item().unwrap(), "open");
        assert_eq!((shard(&row), row.to_item().unwrap().contains_key("open_since_ms")), (None, false));
        row.record.deleting = true;
        assert!(SHARDS.contains(&shard(&row).unwrap().as_str()));
        let used: HashSet<&str> =
            (0..100).map(|n| super::shard(&format!("job-{n}").parse().unwrap())).collect();
        assert_eq!(used.len(), SHARDS.len(), "the shards are used alike");
    }

    #[test]
    fn what_is_indexed_moves_with_the_state_and_not_with_each_change() {
        let before =
            row(vec![output("video", 7, OutputState::Mapping), output("audio", 1, OutputState::Mapping)]);
        let mut record = before.record.clone();
        record.updated_at_ms += 50;
        record.outputs[1].state = OutputState::Completed;
        let after = before.followed_by(record.clone());
        assert_eq!(
            (after.state_since_ms, after.open_since_ms),
            (before.state_since_ms, before.open_since_ms)
        );
        record.outputs[0].state = OutputState::Completed;
        let after = before.followed_by(record.clone());
        assert_eq!((after.state_since_ms, after.open_since_ms), (record.updated_at_ms, before.open_since_ms));
        let mut added = record.clone();
        added.updated_at_ms += 50;
        added.outputs.push(output("quiz", 1, OutputState::Created));
        added.outputs[2].asked.required = false;
        let again = after.followed_by(added.clone());
        assert_eq!((again.state_since_ms, again.open_since_ms), (record.updated_at_ms, added.updated_at_ms));
    }

    #[test]
    fn other_programs_read_the_state_in_the_words_of_their_contract() {
        use OutputState::{Completed, Created, Failed, Mapping, Publishing};
        for (state, status) in [
            (Created, "chunking_in_progress"),
            (Mapping, "chunking_complete"),
            (Publishing, "chunking_complete"),
            (Completed, "completed"),
            (Failed, "failed"),
        ] {
            let item =
                row(vec![output("transcript", 3, state), output("video", 7, state)]).to_item().unwrap();
            assert_eq!(word(&item, "status").as_deref(), Some(status));
            assert_eq!(word(&item, "total_segments").as_deref(), Some("7"));
            assert_eq!(word(&item, "completed_at"), None);
        }
        let mut row = row(vec![output("transcript", 3, Completed), output("audio", 1, Completed)]);
        row.record.completed_at_ms = Some(1_700_000_000_123);
        let item = row.to_item().unwrap();
        assert_eq!(word(&item, "total_segments").as_deref(), Some("3"));
        assert_eq!(word(&item, "completed_at").as_deref(), Some("2023-11-14T22:13:20.123Z"));
        row.record.outputs[0].plan = None;
        assert_eq!(word(&row.to_item().unwrap(), "total_segments"), None);
    }

    #[test]
    fn a_document_that_an_item_cannot_hold_is_refused() {
        let mut row = row(vec![output("video", 7, OutputState::Mapping)]);
        row.record.recipe = "x".repeat(500_000);
        let refused = row.to_item().unwrap_err();
        assert_eq!(refused.kind, PortErrorKind::Misuse, "{refused}");
    }
}
