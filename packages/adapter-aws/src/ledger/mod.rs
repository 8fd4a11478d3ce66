//! The ledger in DynamoDB: every guarantee is one conditional write or one transaction.
//!
//! ```text
//! jobs         job_id                    `document` (the job, JSON), `revision`, `epoch`
//!              index by-state: state, state_since_ms  (keys only)
//!              index by-open:  open, open_since_ms    (keys only; `open` is absent on a job
//!                                                      that the sweeper need not look at)
//! completions  job = JOB#EPOCH           item = count#OUTPUT               completions of an output
//!                                        item = done#OUTPUT#TASK           a completion
//!                                        item = fail#OUTPUT#RETRIES#TASK   failures since the last retry
//!              job = #outbox             item = ID                         a notice to deliver
//! leases       job = JOB or #sweep       lease = its name                  term, holder, until_ms
//! ```
//! * **A change of a job** replaces the row if its `revision` and `epoch` are still those that were
//!   read. The check of the lease, the counters of outputs that the change adds and its notices are in the
//!   same transaction.
//! * **A completion** is one transaction of three: put it if it is absent, increment the counter of its
//!   output if there is one, check the lease. The transaction has a client token, so that a repeat
//!   by the SDK does nothing. The row of the job is neither read nor written.
//! * **Counters** are created with their output and deleted first when the job is deleted: without a
//!   counter nothing is recorded, so a deletion leaves no completion behind.
//! * **Deletion** ends the leases, then deletes counters, completions and counts of failures, and
//!   replaces the row by a tombstone (`state` is `deleted`) last. An interrupted deletion is repeated, because
//!   the row still says `deleting`. A later job with the same id takes the place of the tombstone and has a
//!   greater `epoch`; the sweeper removes others after a day. Leases keep their items, for their terms.
//! * **Terms** are incremented in the same update that checks whether the lease is free.
//! * **Size**: a row holds the recipe and the failures, an item of completions one task; plans
//!   and large facts are files in the store. A document near 400 KB is refused by name.
//! * **Listings** query an index, which may lag behind, and then read the rows themselves;
//!   nothing scans. An index entry moves when the state changes or the job opens or closes, and not with
//!   a completion. `by-open` has eight shards by the hash of the id.
//! * **Nothing expires**: outputs can be added to a job as long as its asset exists, and a missing
//!   row means that the job was deleted. Leases stay forever, some 150 bytes each: a term that
//!   restarted would not be a fence.
//!
//! The counter of an output is one item, which DynamoDB writes some hundred times a second when all
//! workers finish at once; the losers of a conflict retry with a jittered backoff.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem};
use segue_domain::{Epoch, JobId};
use segue_ports::{Lease, LeaseName, PortError};
use tokio::sync::OnceCell;

use crate::clock::LedgerClock;
use crate::error;

mod completions;
mod counters;
mod delete;
pub(crate) mod item;
mod jobs;
mod leases;
mod listing;
mod outbox;
mod row;
mod transaction;

use item::{Item, n, s};

/// The index of the jobs table by state.
pub const INDEX_BY_STATE: &str = "by-state";

/// The sparse index of the jobs that the sweeper has to inspect.
pub const INDEX_BY_OPEN: &str = "by-open";

/// Maximum number of tries of a conflicting write.
pub(crate) const TRIES: u32 = 14;

/// Maximum size of a document in an item, bytes: DynamoDB allows 400 KB with all names.
const DOCUMENT_MAX: usize = 360_000;

/// Names of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Jobs.
    pub jobs: String,
    /// Completions, their counters, counts of failures, and the outbox.
    pub completions: String,
    /// Leases.
    pub leases: String,
}

/// Jobs, completions and leases in three tables.
#[derive(Debug, Clone)]
pub struct DynamoLedger {
    client: Client,
    tables: Tables,
    clock: Arc<LedgerClock>,
    records_notices: bool,
    /// Set after the first response that contained the service's time.
    asked: Arc<OnceCell<()>>,
}

impl DynamoLedger {
    pub(crate) fn new(client: Client, tables: Tables, clock: Arc<LedgerClock>) -> DynamoLedger {
        DynamoLedger { client, tables, clock, records_notices: false, asked: Arc::default() }
    }

    /// The same ledger, which records the notices of its changes: for a deployment that delivers them.
    #[must_use]
    pub fn recording_notices(&self) -> DynamoLedger {
        DynamoLedger { records_notices: true, ..self.clone() }
    }

    /// The ledger's clock, milliseconds since 1970. The first call of a process requests the
    /// service's time.
    async fn now_ms(&self) -> Result<i64, PortError> {
        // the jobs table, because every program may read it; no id contains '#'
        let key = Item::from([("job_id".to_owned(), s("#time"))]);
        let ask = || async { self.get(&self.tables.jobs, key).await.map(drop) };
        self.asked.get_or_try_init(ask).await?;
        Ok(self.clock.now_ms())
    }

    async fn get(&self, table: &str, key: Item) -> Result<Option<Item>, PortError> {
        let answer =
            self.client.get_item().table_name(table).set_key(Some(key)).consistent_read(true).send().await;
        let answer = answer.map_err(|e| error::sdk(format_args!("cannot read table {table}"), e))?;
        Ok(answer.item)
    }

    /// Transaction item that fails unless the lease still has its term.
    fn fence(&self, lease: &Lease) -> Result<TransactWriteItem, PortError> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.leases)
            .set_key(Some(lease_key(&lease.name)))
            .condition_expression(HAS_ITS_TERM)
            .expression_attribute_values(":term", n(lease.term.0))
            .expression_attribute_values(":holder", s(lease.holder.as_str()))
            .build();
        let check = check.map_err(|e| error::odd("a condition", e))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}

const HAS_ITS_TERM: &str = "term = :term AND holder = :holder";

fn lease_key(name: &LeaseName) -> Item {
    // no id contains '#': a job cannot have the sweeper's key
    let job = name.job().map_or_else(|| format!("#{}", name.as_str()), str::to_owned);
    Item::from([("job".to_owned(), s(job)), ("lease".to_owned(), s(name.as_str()))])
}

fn job_key(id: &JobId) -> Item {
    Item::from([("job_id".to_owned(), s(id.as_str()))])
}

/// Key of an item that belongs to one epoch of a job.
fn part_key(id: &JobId, epoch: &Epoch, item: String) -> Item {
    Item::from([("job".to_owned(), part_hash(id, epoch)), ("item".to_owned(), AttributeValue::S(item))])
}

fn part_hash(id: &JobId, epoch: &Epoch) -> AttributeValue {
    s(format!("{id}#{epoch}"))
}

/// A duration in milliseconds; one that is too long is clamped.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}
