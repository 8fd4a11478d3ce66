//! The row of a job.

use std::time::Duration;

use segue_domain::{JobId, JobRecord, JobState};
use segue_ports::PortError;
use serde_json::{from_str, to_string};

use super::item::{Item, check_size, must, n, number, s, text};
use super::{DynamoLedger, job_key};
use crate::error::odd;

/// A job with what only the ledger needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub record: JobRecord,
    /// Grows with every write of the row.
    pub version: u64,
    /// How often it was driven on by hand; failures are counted for each time anew.
    pub retries: u64,
    /// When it came into its state, milliseconds since 1970.
    pub state_since_ms: i64,
}

impl Row {
    /// The row of a job that is created now.
    pub fn new(record: JobRecord) -> Row {
        let state_since_ms = record.created_at_ms;
        Row { record, version: 1, retries: 0, state_since_ms }
    }

    /// The row after `record` has become of it.
    pub fn followed_by(&self, record: JobRecord) -> Row {
        let state_since_ms = record.updated_at_ms.max(self.state_since_ms);
        Row { record, version: self.version + 1, state_since_ms, ..self.clone() }
    }

    /// The item; an ended job has an end in the table, `keep` after now.
    pub fn to_item(&self, keep: Duration) -> Result<Item, PortError> {
        let job = &self.record;
        let mut item = job_key(&job.id);
        let mut put = |name: &str, value| item.insert(name.to_owned(), value);
        put("state", s(job.state.as_str()));
        put("state_since_ms", n(self.state_since_ms));
        put("source_key", s(&job.source_key));
        put("recipe", s(&job.recipe));
        put("completed_tasks", n(job.completed_tasks));
        put("created_at_ms", n(job.created_at_ms));
        put("updated_at_ms", n(job.updated_at_ms));
        put("epoch", s(job.epoch.as_str()));
        put("version", n(self.version));
        put("retries", n(self.retries));
        let mut bytes = job.recipe.len() + job.source_key.len();
        if let Some(plan) = &job.plan {
            put("plan", s(to_string(plan).map_err(|e| odd("a plan", e))?));
        }
        if let Some(failure) = &job.failure {
            let failure = to_string(failure).map_err(|e| odd("a failure", e))?;
            bytes += failure.len();
            put("failure", s(failure));
        }
        if let Some(key) = &job.manifest_key {
            put("manifest_key", s(key));
        }
        if job.state.is_terminal() {
            let keep_s = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX / 2);
            put("expires_at_s", n((self.state_since_ms / 1000).saturating_add(keep_s)));
        }
        check_size("a job with its recipe", bytes)?;
        Ok(item)
    }

    pub fn of_item(item: &Item) -> Result<Row, PortError> {
        let state = must(text(item, "state")?, "state")?;
        let state =
            JobState::parse(&state).ok_or_else(|| odd("a job state", format_args!("{state:?} is none")))?;
        let plan = text(item, "plan")?.map(|plan| from_str(&plan)).transpose();
        let failure = text(item, "failure")?.map(|failure| from_str(&failure)).transpose();
        let id = must(text(item, "job_id")?, "job_id")?;
        let record = JobRecord {
            id: id.parse().map_err(|e| odd("a job id", e))?,
            epoch: must(text(item, "epoch")?, "epoch")?.parse().map_err(|e| odd("an epoch", e))?,
            state,
            source_key: must(text(item, "source_key")?, "source_key")?,
            recipe: must(text(item, "recipe")?, "recipe")?,
            plan: plan.map_err(|e| odd("a plan", e))?,
            completed_tasks: must(number(item, "completed_tasks")?, "completed_tasks")?,
            manifest_key: text(item, "manifest_key")?,
            failure: failure.map_err(|e| odd("a failure", e))?,
            created_at_ms: must(number(item, "created_at_ms")?, "created_at_ms")?,
            updated_at_ms: must(number(item, "updated_at_ms")?, "updated_at_ms")?,
        };
        Ok(Row {
            record,
            version: must(number(item, "version")?, "version")?,
            retries: must(number(item, "retries")?, "retries")?,
            state_since_ms: must(number(item, "state_since_ms")?, "state_since_ms")?,
        })
    }
}

impl DynamoLedger {
    /// The row as it stands, read consistently.
    pub(super) async fn row(&self, id: &JobId) -> Result<Option<Row>, PortError> {
        self.get(&self.tables.jobs, job_key(id)).await?.as_ref().map(Row::of_item).transpose()
    }
}

#[cfg(test)]
mod tests {
    use segue_domain::{Failure, FaultKind, PlanHash, SealedPlan};

    use super::*;

    fn row() -> Row {
        Row::new(JobRecord {
            id: "j".parse().unwrap(),
            epoch: "e".parse().unwrap(),
            state: JobState::Failed,
            source_key: "input/j/source.mp4".into(),
            recipe: "{}".into(),
            plan: Some(SealedPlan {
                hash: PlanHash("h".into()),
                key: "segments/j/1/plan.json".into(),
                tasks: 7,
            }),
            completed_tasks: 3,
            manifest_key: Some("work/j/reassemble/1/manifest.json".into()),
            failure: Some(Failure {
                kind: FaultKind::Source,
                cause: "no index".into(),
                task: None,
                stderr_tail: vec!["naïve 🎬".into()],
            }),
            created_at_ms: 1_700_000_000_000,
            updated_at_ms: 1_700_000_000_001,
        })
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        let keep = Duration::from_secs(100);
        let row = row();
        let mut item = row.to_item(keep).unwrap();
        assert_eq!(Row::of_item(&item).unwrap(), row);
        assert_eq!(number::<i64>(&item, "expires_at_s").unwrap(), Some(1_700_000_100));
        item.remove("epoch");
        assert!(Row::of_item(&item).is_err(), "a row of somebody else");
    }

    #[test]
    fn only_ended_jobs_expire_and_nothing_outgrows_a_row() {
        let mut row = row();
        row.record.state = JobState::Mapping;
        assert!(!row.to_item(Duration::MAX).unwrap().contains_key("expires_at_s"));
        row.record.state = JobState::Failed;
        row.to_item(Duration::MAX).unwrap();
        row.record.recipe = "x".repeat(500_000);
        assert!(row.to_item(Duration::ZERO).is_err());
    }
}
