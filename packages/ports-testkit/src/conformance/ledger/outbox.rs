//! The outbox: notices that are durable with a change.

use segue_domain::OutboxEntry;

use super::{Port, create, failure, held, index, must_change, seal, video};
use crate::conformance::{Capabilities, fresh, fresh_job};
use segue_ports::ledger::{JobChange, LeaseName, OutputChange};

/// More entries than any other clause leaves in a shared table.
const ALL: usize = 100_000;

fn notice() -> OutboxEntry {
    let body = "{\"text\":\"naïve \u{1f3ac} ' \\\" \"}".to_owned();
    OutboxEntry { id: fresh("notice"), kind: "output-changed".to_owned(), body }
}

fn with_notices(change: OutputChange, outbox: &[OutboxEntry]) -> JobChange {
    JobChange::Output { output: video(), change, outbox: outbox.to_vec() }
}

/// The entries with that id.
async fn found(ledger: &Port, notice: &OutboxEntry) -> Vec<OutboxEntry> {
    let mut all = ledger.outbox(ALL).await.unwrap();
    all.retain(|entry| entry.id == notice.id);
    all
}

/// With any change of an output; several with one change.
pub async fn a_notice_is_durable_with_its_change(ledger: Port, _caps: &Capabilities) {
    let id = fresh_job();
    create(&ledger, &id).await;
    must_change(&ledger, &id, seal(&video(), 0)).await;
    for change in [
        OutputChange::Fail(failure()),
        OutputChange::Retry,
        OutputChange::Cancel,
        OutputChange::Retry,
        OutputChange::Assemble,
        OutputChange::Commit(index()),
        OutputChange::Complete,
    ] {
        let notices = [notice(), notice()];
        must_change(&ledger, &id, with_notices(change.clone(), &notices)).await;
        for notice in &notices {
            assert_eq!(
                found(&ledger, notice).await,
                std::slice::from_ref(notice),
                "the notice of {change:?}"
            );
        }
    }
    assert_eq!(ledger.outbox(3).await.unwrap().len(), 3, "at most as many as were asked for");
    assert_eq!(ledger.outbox(0).await.unwrap(), []);
}

/// Refused by the state, by the fence, or because the job does not exist.
pub async fn a_refused_change_leaves_no_notice(ledger: Port, caps: &Capabilities) {
    let id = fresh_job();
    let (early, fenced, unknown) = (notice(), notice(), notice());
    let nothing = with_notices(OutputChange::Cancel, std::slice::from_ref(&unknown));
    assert_eq!(ledger.change(&id, nothing, None).await.unwrap(), None);
    create(&ledger, &id).await;
    let too_early = with_notices(OutputChange::Complete, std::slice::from_ref(&early));
    assert_eq!(ledger.change(&id, too_early, None).await.unwrap(), None);
    let lease = held(&ledger, &LeaseName::assemble(&id, &video()), "a", caps.long()).await;
    ledger.release(&lease).await.unwrap();
    let stale = with_notices(OutputChange::Cancel, std::slice::from_ref(&fenced));
    assert_eq!(ledger.change(&id, stale, Some(&lease)).await.unwrap(), None);
    for refused in [early, fenced, unknown] {
        assert_eq!(found(&ledger, &refused).await, [], "a refused change left a notice");
    }
}

/// The caller chooses the id: the same id twice is the same notice.
pub async fn a_repeated_notice_is_one_entry(ledger: Port, _caps: &Capabilities) {
    let (id, notice) = (fresh_job(), notice());
    create(&ledger, &id).await;
    for change in [OutputChange::Cancel, OutputChange::Retry, OutputChange::Fail(failure())] {
        let twice = [notice.clone(), notice.clone()];
        must_change(&ledger, &id, with_notices(change, &twice)).await;
        assert_eq!(found(&ledger, &notice).await, std::slice::from_ref(&notice), "one entry for one id");
    }
}

/// Removal is idempotent and affects one notice.
pub async fn a_removed_notice_does_not_return(ledger: Port, _caps: &Capabilities) {
    let (id, first, second) = (fresh_job(), notice(), notice());
    create(&ledger, &id).await;
    must_change(&ledger, &id, with_notices(OutputChange::Cancel, &[first.clone(), second.clone()])).await;
    for _ in 0..2 {
        ledger.remove_from_outbox(&first.id).await.unwrap();
        assert_eq!(found(&ledger, &first).await, [], "a removed notice is listed");
        assert_eq!(
            found(&ledger, &second).await,
            std::slice::from_ref(&second),
            "another notice was removed"
        );
    }
    ledger.remove_from_outbox(&fresh("unknown")).await.unwrap();
    ledger.remove_from_outbox(&second.id).await.unwrap();
}
