//! The ledger in DynamoDB: every promise is one conditional write or one transaction.
//!
//! ```text
//! jobs         job_id                  the row of a job, with `version`, `epoch`, `retries`
//!              index by-state: state, state_since_ms (keys only)
//! completions  job  = JOB#EPOCH        item = done#TASK          a completion
//!                                      item = fail#RETRIES#TASK  failures of this try
//! leases       job  = JOB or #sweep    lease = its name          term, holder, until_ms
//! ```
//! * **Changes of a job** put the whole row where its `version` is still the one that was
//!   read, together with a check of the lease: what is returned is what stands.
//! * **A completion** is put, counted in the job's row and fenced by a check of the lease
//!   in one transaction, with a client token: a repeat by the SDK does nothing.
//! * **A deleted job** is gone with its row: what hangs on it is named by its `epoch`, which
//!   a later job of that id does not share. The leases are ended first and stay, for their
//!   terms. A retry raises `retries`, and so forgets the failures, in the row itself.
//! * **Terms** are raised by the same update that looks whether the lease is free.
//! * **Size**: a row holds the recipe and a failure, an item of completions one task; plans
//!   and large facts are files in the store. What is near 400 KB is refused by name.
//! * **Listing** asks the index, which may be a moment old, and then the rows themselves;
//!   nothing scans. The index moves with the state and not with the count, so that a
//!   completion costs no write to it.
//! * **Expiry**: DynamoDB removes ended jobs and old items by `expires_at_s`. Leases stay for
//!   ever, some 150 bytes each: a term that began again would be no fence.
//!
//! A job's count is one row, which DynamoDB writes some hundred times a second when all its
//! workers finish at once; the losers of a conflict try again after a wait with jitter.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem};
use segue_domain::{Epoch, JobId, TaskId};
use segue_ports::{Lease, LeaseName, PortError};
use tokio::sync::OnceCell;

use crate::clock::LedgerClock;
use crate::error;

mod completions;
mod delete;
mod item;
mod jobs;
mod leases;
mod listing;
mod row;
mod transaction;

use item::{Item, n, s};

/// The index of the jobs table by state.
pub const INDEX_BY_STATE: &str = "by-state";

/// How often a write is tried that others got in the way of.
const TRIES: u32 = 14;

/// Most bytes of a document that goes into an item: DynamoDB takes 400 KB with all names.
const DOCUMENT_MAX: usize = 360_000;

/// Names of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Jobs.
    pub jobs: String,
    /// Completions, and counts of failures.
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
    /// Set when the service was asked for its time.
    asked: Arc<OnceCell<()>>,
    keep_ended: Duration,
}

impl DynamoLedger {
    pub(crate) fn new(
        client: Client,
        tables: Tables,
        clock: Arc<LedgerClock>,
        keep_ended: Duration,
    ) -> DynamoLedger {
        DynamoLedger { client, tables, clock, asked: Arc::default(), keep_ended }
    }

    /// The ledger's clock, milliseconds since 1970. The first call of a process asks the
    /// service for its time.
    async fn now_ms(&self) -> Result<i64, PortError> {
        let ask = || async { self.lease_row(&LeaseName::sweep()).await.map(drop) };
        self.asked.get_or_try_init(ask).await?;
        Ok(self.clock.now_ms())
    }

    async fn get(&self, table: &str, key: Item) -> Result<Option<Item>, PortError> {
        let answer =
            self.client.get_item().table_name(table).set_key(Some(key)).consistent_read(true).send().await;
        let answer = answer.map_err(|e| error::sdk(format_args!("cannot read table {table}"), e))?;
        Ok(answer.item)
    }

    /// A member of a transaction that holds it up unless the lease still has its term.
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
    // '#' is in no id: no job is taken for the sweeper
    let job = name.job().map_or_else(|| format!("#{}", name.as_str()), str::to_owned);
    Item::from([("job".to_owned(), s(job)), ("lease".to_owned(), s(name.as_str()))])
}

fn job_key(id: &JobId) -> Item {
    Item::from([("job_id".to_owned(), s(id.as_str()))])
}

/// What hangs on one life of a job; `epoch` is of its row.
fn part_key(id: &JobId, epoch: &Epoch, item: String) -> Item {
    Item::from([("job".to_owned(), part_hash(id, epoch)), ("item".to_owned(), AttributeValue::S(item))])
}

fn part_hash(id: &JobId, epoch: &Epoch) -> AttributeValue {
    s(format!("{id}#{epoch}"))
}

fn done_item(task: &TaskId) -> String {
    format!("done#{task}")
}

/// A duration in milliseconds; what is too long is for ever.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}
