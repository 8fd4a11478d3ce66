//! Listings: an index lists job ids, and their rows are read consistently.

use std::collections::HashMap;

use segue_domain::{JobId, JobRecord, JobState};
use segue_ports::{JobFilter, JobPage, PortError, PortErrorKind, TombstonePage};

use super::item::{Item, must, n, number, s, text};
use super::row::{DELETED, Found, Row, SHARDS};
use super::{DynamoLedger, INDEX_BY_OPEN, INDEX_BY_STATE, job_key};
use crate::batch::{BATCH, read_items};
use crate::error::{self, say};

/// An index of the jobs table and the names of its two keys.
struct Index {
    name: &'static str,
    hash: &'static str,
    range: &'static str,
}

const BY_STATE: Index = Index { name: INDEX_BY_STATE, hash: "state", range: "state_since_ms" };
const BY_OPEN: Index = Index { name: INDEX_BY_OPEN, hash: "open", range: "open_since_ms" };

/// Cursor of a page: after this job, in this partition of the index.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    hash: String,
    since_ms: i64,
    id: JobId,
}

impl Place {
    fn to_text(&self) -> String {
        format!("{}/{}/{}", self.hash, self.since_ms, self.id)
    }

    /// Parses a cursor of one of those partitions.
    fn parse(text: &str, partitions: &[&str]) -> Result<Place, PortError> {
        let read = || {
            let mut parts = text.splitn(3, '/');
            let hash = parts.next().filter(|hash| partitions.contains(hash))?.to_owned();
            let since_ms = parts.next()?.parse().ok()?;
            let id = parts.next()?.parse().ok()?;
            Some(Place { hash, since_ms, id })
        };
        read()
            .ok_or_else(|| say(PortErrorKind::Misuse, format_args!("{text:?} is not a page of this listing")))
    }

    fn of_key(index: &Index, key: &Item) -> Result<Place, PortError> {
        let id = must(text(key, "job_id")?, "job_id")?;
        Ok(Place {
            hash: must(text(key, index.hash)?, index.hash)?,
            since_ms: must(number(key, index.range)?, index.range)?,
            id: id.parse().map_err(|e| error::odd("a job id", e))?,
        })
    }

    fn start_key(&self, index: &Index) -> Item {
        let mut key = job_key(&self.id);
        key.insert(index.hash.to_owned(), s(&self.hash));
        key.insert(index.range.to_owned(), n(self.since_ms));
        key
    }
}

impl DynamoLedger {
    /// A page: by state, then by the time of entering it. A job that changes its state
    /// meanwhile may be on two pages or on none, and is listed the next time.
    pub(super) async fn list_by_state(
        &self,
        filter: &JobFilter,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        let states =
            JobState::ALL.into_iter().filter(|state| filter.state.is_none_or(|wanted| wanted == *state));
        let states: Vec<&str> = states.map(JobState::as_str).collect();
        let before_ms = filter.updated_before_ms.unwrap_or(i64::MAX);
        // the index may lag behind: a job is listed only in its current state
        let wanted = |job: &JobRecord, state: &str| job.state().as_str() == state;
        self.list(&BY_STATE, &states, before_ms, from, max, wanted).await
    }

    /// A page of open jobs: by shard, then by when they became open.
    pub(super) async fn list_open(
        &self,
        before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        self.list(&BY_OPEN, &SHARDS, before_ms, from, max, |job, _| job.is_open_job()).await
    }

    /// A page of tombstones, by the time of the deletion.
    pub(super) async fn list_tombstones(
        &self,
        from: Option<&str>,
        max: usize,
    ) -> Result<TombstonePage, PortError> {
        let from = from.map(|from| Place::parse(from, &[DELETED])).transpose()?;
        let start = from.map(|place| place.start_key(&BY_STATE));
        let (keys, next) = self.keys(&BY_STATE, DELETED, i64::MAX, start, max.min(BATCH)).await?;
        let next = match (keys.last(), next) {
            (Some(last), Some(_)) => Some(Place::of_key(&BY_STATE, last)?.to_text()),
            _ => None,
        };
        let mut tombstones = Vec::new();
        for found in self.read(&keys).await? {
            if let Found::Tombstone(tombstone) = found {
                tombstones.push(tombstone);
            }
        }
        Ok(TombstonePage { tombstones, next })
    }

    /// A page over the partitions of an index, of jobs that last changed before a time and match.
    async fn list(
        &self,
        index: &Index,
        partitions: &[&str],
        before_ms: i64,
        from: Option<&str>,
        max: usize,
        wanted: impl Fn(&JobRecord, &str) -> bool + Send,
    ) -> Result<JobPage, PortError> {
        let from = from.map(|from| Place::parse(from, partitions)).transpose()?;
        let first = from.as_ref().map_or(partitions.first().copied(), |place| Some(&place.hash));
        let mut start = from.as_ref().map(|place| place.start_key(index));
        let mut page = JobPage::default();
        for partition in partitions.iter().skip_while(|partition| Some(**partition) != first) {
            loop {
                let left = max - page.jobs.len();
                if left == 0 {
                    return Ok(page);
                }
                let (keys, next) =
                    self.keys(index, partition, before_ms, start.take(), left.min(BATCH)).await?;
                if let Some(last) = keys.last() {
                    page.next = Some(Place::of_key(index, last)?.to_text());
                }
                let jobs = self.rows(&keys).await?.into_iter().map(|row| row.record);
                page.jobs.extend(jobs.filter(|job| job.updated_at_ms < before_ms && wanted(job, partition)));
                match next {
                    Some(key) => start = Some(key),
                    None => break,
                }
            }
        }
        page.next = None;
        Ok(page)
    }

    /// Keys of jobs that are or were in that partition. A job does not enter a partition later than it
    /// last changed, so the index omits only jobs that the filter omits.
    async fn keys(
        &self,
        index: &Index,
        partition: &str,
        before_ms: i64,
        start: Option<Item>,
        max: usize,
    ) -> Result<(Vec<Item>, Option<Item>), PortError> {
        let page = self
            .client
            .query()
            .table_name(&self.tables.jobs)
            .index_name(index.name)
            .key_condition_expression("#hash = :hash AND #range < :before")
            .expression_attribute_names("#hash", index.hash)
            .expression_attribute_names("#range", index.range)
            .expression_attribute_values(":hash", s(partition))
            .expression_attribute_values(":before", n(before_ms))
            .limit(i32::try_from(max).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| error::sdk("cannot list the jobs", e))?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    /// The jobs, in the order of the keys.
    async fn rows(&self, keys: &[Item]) -> Result<Vec<Row>, PortError> {
        // an index that lags behind can list a job that was deleted since
        Ok(self.read(keys).await?.into_iter().filter_map(Found::job).collect())
    }

    /// The rows, in the order of the keys; those of a newer build and damaged ones are left out.
    async fn read(&self, keys: &[Item]) -> Result<Vec<Found>, PortError> {
        let mut order = Vec::new();
        for key in keys {
            order.push(must(text(key, "job_id")?, "job_id")?);
        }
        let mut found: HashMap<String, Found> = HashMap::new();
        let wanted = order.iter().map(|id| Item::from([("job_id".to_owned(), s(id))])).collect();
        for item in read_items(&self.client, &self.tables.jobs, wanted).await? {
            let id = must(text(&item, "job_id")?, "job_id")?;
            match Found::of_item(&item) {
                Ok(row) => drop(found.insert(id, row)),
                Err(error) if error.kind == PortErrorKind::Newer => {
                    tracing::warn!(%error, "a job is left to a newer build");
                }
                // one row that cannot be decoded does not hide the others
                Err(error) => tracing::error!(%error, "a row is left out of a listing"),
            }
        }
        Ok(order.iter().filter_map(|id| found.remove(id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_no_other_text_is_one() {
        let place = Place { hash: "mapping".into(), since_ms: 17, id: "a-b_c".parse().unwrap() };
        assert_eq!(Place::parse(&place.to_text(), &["created", "mapping"]).unwrap(), place);
        for foreign in
            ["", "x", "mapping", "mapping/1", "mapping/x/j", "mapping/1/../j", "0/1/j", "failed/1/j"]
        {
            let refused = Place::parse(foreign, &["created", "mapping"]).unwrap_err();
            assert_eq!(refused.kind, PortErrorKind::Misuse, "{foreign}");
        }
    }
}
