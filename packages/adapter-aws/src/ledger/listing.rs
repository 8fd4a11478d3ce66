//! Listings: the index says which jobs, the rows say what is true of them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use segue_domain::{JobId, JobState};
use segue_ports::{JobFilter, JobPage, PortError, PortErrorKind};

use super::item::{Item, must, n, number, s, text};
use super::row::Row;
use super::{DynamoLedger, INDEX_BY_STATE, TRIES, job_key};
use crate::error::{self, back_off, say};

/// Rows that DynamoDB gives in one batch.
const BATCH: usize = 100;

/// Where a page begins: in this state, after this job.
struct Place {
    state: JobState,
    after: Option<(i64, JobId)>,
}

impl Place {
    fn to_text(state: JobState, since_ms: i64, id: &str) -> String {
        format!("{state}/{since_ms}/{id}")
    }

    fn parse(text: &str) -> Result<Place, PortError> {
        let read = || {
            let mut parts = text.splitn(3, '/');
            let state = JobState::parse(parts.next()?)?;
            let since_ms = parts.next()?.parse().ok()?;
            let id = parts.next()?.parse().ok()?;
            Some(Place { state, after: Some((since_ms, id)) })
        };
        read().ok_or_else(|| say(PortErrorKind::Misuse, format_args!("{text:?} is no page of this listing")))
    }

    fn start_key(&self) -> Option<Item> {
        let (since_ms, id) = self.after.as_ref()?;
        let mut key = job_key(id);
        key.insert("state".to_owned(), s(self.state.as_str()));
        key.insert("state_since_ms".to_owned(), n(since_ms));
        Some(key)
    }
}

/// The states that a filter lets through, those before `from` left out.
fn states(filter: &JobFilter, from: Option<JobState>) -> Vec<JobState> {
    let all = JobState::ALL.into_iter();
    all.filter(|state| filter.state.is_none_or(|wanted| wanted == *state))
        .skip_while(|state| from.is_some_and(|from| from != *state))
        .collect()
}

impl DynamoLedger {
    /// A page: by state, then by when a job came into it. A job that changes its state
    /// meanwhile may stand on two pages or on none, and is found the next time.
    pub(super) async fn list(
        &self,
        filter: JobFilter,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        let from = from.map(Place::parse).transpose()?;
        let mut page = JobPage::default();
        let mut start = from.as_ref().and_then(Place::start_key);
        for state in states(&filter, from.map(|place| place.state)) {
            loop {
                let left = max - page.jobs.len();
                if left == 0 {
                    return Ok(page);
                }
                let (keys, next) = self.keys(state, &filter, start.take(), left.min(BATCH)).await?;
                if let Some(last) = keys.last() {
                    let since_ms: i64 = must(number(last, "state_since_ms")?, "state_since_ms")?;
                    let id = must(text(last, "job_id")?, "job_id")?;
                    page.next = Some(Place::to_text(state, since_ms, &id));
                }
                let before = filter.updated_before_ms.unwrap_or(i64::MAX);
                let rows = self.rows(&keys).await?.into_iter().map(|row| row.record);
                page.jobs.extend(rows.filter(|job| job.state == state && job.updated_at_ms < before));
                match next {
                    Some(key) => start = Some(key),
                    None => break,
                }
            }
        }
        page.next = None;
        Ok(page)
    }

    /// Keys of jobs that are or were in that state. Nothing that changed before a time came
    /// into its state after it, so the index leaves out only what the filter leaves out.
    async fn keys(
        &self,
        state: JobState,
        filter: &JobFilter,
        start: Option<Item>,
        max: usize,
    ) -> Result<(Vec<Item>, Option<Item>), PortError> {
        let before = filter.updated_before_ms.unwrap_or(i64::MAX);
        let page = self
            .client
            .query()
            .table_name(&self.tables.jobs)
            .index_name(INDEX_BY_STATE)
            .key_condition_expression("#state = :state AND state_since_ms < :before")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", s(state.as_str()))
            .expression_attribute_values(":before", n(before))
            .limit(i32::try_from(max).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|e| error::sdk("cannot list the jobs", e))?;
        Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
    }

    /// The rows themselves, in the order of the keys.
    async fn rows(&self, keys: &[Item]) -> Result<Vec<Row>, PortError> {
        let mut order = Vec::new();
        for key in keys {
            order.push(must(text(key, "job_id")?, "job_id")?);
        }
        let mut found: HashMap<String, Row> = HashMap::new();
        let mut wanted: Vec<Item> =
            order.iter().map(|id| Item::from([("job_id".to_owned(), s(id))])).collect();
        let mut tried = 0;
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(BATCH));
            let request = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let request = request.map_err(|e| error::odd("a list of keys", e))?;
            let batch = self.client.batch_get_item().request_items(&self.tables.jobs, request).send().await;
            let mut batch = batch.map_err(|e| error::sdk("cannot read the jobs", e))?;
            for item in batch.responses.iter().flat_map(|r| r.values()).flatten() {
                let row = Row::of_item(item)?;
                found.insert(row.record.id.to_string(), row);
            }
            let unread = batch.unprocessed_keys.as_mut().and_then(|all| all.remove(&self.tables.jobs));
            wanted = unread.map(|unread| unread.keys).unwrap_or_default();
            if !wanted.is_empty() {
                if tried >= TRIES {
                    return Err(say(PortErrorKind::Transient, "the jobs table is busy, try again"));
                }
                back_off(tried).await;
                tried += 1;
            }
            wanted.extend(rest);
        }
        Ok(order.iter().filter_map(|id| found.remove(id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is_one() {
        let place = Place::parse(&Place::to_text(JobState::Mapping, 17, "a-b_c")).unwrap();
        assert_eq!(place.state, JobState::Mapping);
        assert_eq!(place.after, Some((17, "a-b_c".parse().unwrap())));
        for foreign in ["", "x", "mapping", "mapping/1", "mapping/x/j", "mapping/1/../j", "nowhere/1/j"] {
            assert_eq!(Place::parse(foreign).err().map(|e| e.kind), Some(PortErrorKind::Misuse), "{foreign}");
        }
    }

    #[test]
    fn a_later_page_leaves_earlier_states_out() {
        let all = JobFilter::default();
        assert_eq!(states(&all, None).len(), JobState::ALL.len());
        assert_eq!(states(&all, Some(JobState::Failed)), [JobState::Failed, JobState::Cancelled]);
        let one = JobFilter { state: Some(JobState::Mapping), ..all };
        assert_eq!(states(&one, Some(JobState::Mapping)), [JobState::Mapping]);
    }
}
