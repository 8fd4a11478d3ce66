//! Leases: one holder at a time, and a term that only increases.

use std::sync::Arc;

use segue_domain::{JobId, OutputId, TaskId, Term};

use super::{Port, begin_deletion, create, held, task, transcript, video};
use crate::conformance::{Capabilities, all_at_once, fresh, fresh_job, holder};
use segue_ports::ledger::{Acquired, LeaseName};

/// Of concurrent callers one acquires it; the others get the remaining time.
pub async fn one_of_many_acquires(ledger: Port, caps: &Capabilities) {
    let name = LeaseName::plan(&fresh_job());
    let calls = (0..caps.callers).map(|n| {
        let (ledger, name, ttl) = (Arc::clone(&ledger), name.clone(), caps.long());
        async move { ledger.acquire(&name, &holder(&format!("h{n}")), ttl).await.unwrap() }
    });
    let results = all_at_once(calls).await;
    let held = results.iter().filter(|r| matches!(r, Acquired::Held(_))).count();
    assert_eq!(held, 1, "one of many holds it");
    for result in results {
        if let Acquired::Busy(left) = result {
            assert!(!left.is_zero() && left <= caps.long() + caps.settle, "busy for {left:?}");
        }
    }
}

/// Two tasks of one process are two attempts.
pub async fn a_holder_does_not_acquire_twice(ledger: Port, caps: &Capabilities) {
    let name = LeaseName::plan(&fresh_job());
    let lease = held(&ledger, &name, "a", caps.long()).await;
    let again = ledger.acquire(&name, &lease.holder, caps.long()).await.unwrap();
    assert!(matches!(again, Acquired::Busy(_)), "{again:?}");
    assert!(ledger.renew(&lease, caps.long()).await.unwrap(), "the attempt ended the lease");
}

/// Terms increase over release, expiry, renewal, change of holder and deletion of the job.
pub async fn the_term_grows_for_ever(ledger: Port, caps: &Capabilities) {
    let job = fresh_job();
    let name = LeaseName::task(&job, &video(), &task(0));
    let mut last = Term(0);
    for (by, way) in [("a", 0), ("a", 1), ("b", 2), ("b", 0), ("c", 1), ("a", 2), ("a", 0)] {
        let lease = held(&ledger, &name, by, caps.short).await;
        assert_eq!(lease.term.0, last.0 + 1, "term after {last}");
        assert_eq!((&lease.name, &lease.holder), (&name, &holder(by)));
        last = lease.term;
        match way {
            0 => ledger.release(&lease).await.unwrap(),
            1 => caps.outlast_short().await,
            _ => {
                let read = create(&ledger, &job).await;
                begin_deletion(&ledger, &job).await;
                assert!(ledger.delete_job(&read).await.unwrap());
            }
        }
    }
}

/// A renewal extends from the time of the call.
pub async fn a_renewed_lease_is_held(ledger: Port, caps: &Capabilities) {
    let name = LeaseName::plan(&fresh_job());
    let lease = held(&ledger, &name, "a", caps.short).await;
    assert!(ledger.renew(&lease, caps.long()).await.unwrap());
    caps.outlast_short().await;
    let other = ledger.acquire(&name, &holder("b"), caps.short).await.unwrap();
    assert!(matches!(other, Acquired::Busy(left) if left > caps.short), "{other:?}");
    assert!(ledger.renew(&lease, caps.short).await.unwrap(), "a renewal may also shorten");
    caps.outlast_short().await;
    held(&ledger, &name, "b", caps.short).await;
}

/// A renewal of a lease that was taken over or released returns false.
pub async fn a_lost_lease_is_not_renewed(ledger: Port, caps: &Capabilities) {
    let name = LeaseName::plan(&fresh_job());
    let old = held(&ledger, &name, "a", caps.short).await;
    caps.outlast_short().await;
    // the same holder in a later term is another attempt
    let new = held(&ledger, &name, "a", caps.short).await;
    assert!(!ledger.renew(&old, caps.long()).await.unwrap(), "a heartbeat names its term");
    ledger.release(&new).await.unwrap();
    assert!(!ledger.renew(&new, caps.long()).await.unwrap(), "released");
    let third = held(&ledger, &name, "b", caps.long()).await;
    assert!(third.term > new.term, "the refused renewals changed nothing");
}

/// An expired lease that was not taken over can be renewed.
pub async fn an_expired_lease_is_renewed(ledger: Port, caps: &Capabilities) {
    let name = LeaseName::plan(&fresh_job());
    let lease = held(&ledger, &name, "a", caps.short).await;
    caps.outlast_short().await;
    assert!(ledger.renew(&lease, caps.long()).await.unwrap());
    let other = ledger.acquire(&name, &holder("b"), caps.short).await.unwrap();
    assert!(matches!(other, Acquired::Busy(_)), "a renewed lease was taken: {other:?}");
}

/// A late release does not end another holder's lease.
pub async fn a_stale_release_does_nothing(ledger: Port, caps: &Capabilities) {
    let name = LeaseName::plan(&fresh_job());
    let old = held(&ledger, &name, "a", caps.short).await;
    caps.outlast_short().await;
    let new = held(&ledger, &name, "a", caps.long()).await;
    ledger.release(&old).await.unwrap();
    let other = ledger.acquire(&name, &holder("b"), caps.short).await.unwrap();
    assert!(matches!(other, Acquired::Busy(_)), "a stale release ended a lease");
    ledger.release(&new).await.unwrap();
    ledger.release(&new).await.unwrap();
    held(&ledger, &name, "b", caps.short).await;
}

/// After its ttl it can be acquired.
pub async fn busy_reports_the_time_that_is_left(ledger: Port, caps: &Capabilities) {
    let name = LeaseName::plan(&fresh_job());
    held(&ledger, &name, "a", caps.short).await;
    match ledger.acquire(&name, &holder("b"), caps.short).await.unwrap() {
        Acquired::Held(_) => panic!("two holders at once"),
        Acquired::Busy(left) => tokio::time::sleep(left + caps.settle).await,
    }
    held(&ledger, &name, "b", caps.short).await;
}

/// Names are distinct, also if one is a prefix of another.
pub async fn lease_names_do_not_mix(ledger: Port, caps: &Capabilities) {
    let stem = fresh("n_m");
    let ids = [stem.clone(), format!("{stem}_"), format!("{stem}-x"), stem.replace('_', "x")];
    let jobs: Vec<JobId> = ids.iter().map(|id| id.parse().expect("a plain id")).collect();
    let mut leases = Vec::new();
    for job in &jobs {
        leases.push(held(&ledger, &LeaseName::plan(job), "a", caps.long()).await);
        for output in [video(), transcript()] {
            leases.push(held(&ledger, &LeaseName::assemble(job, &output), "a", caps.long()).await);
            for n in 0..2 {
                leases.push(held(&ledger, &LeaseName::task(job, &output, &task(n)), "a", caps.long()).await);
            }
        }
    }
    let sweep = ledger.acquire(&LeaseName::sweep(), &holder("a"), caps.short).await.unwrap();
    let read = create(&ledger, &jobs[0]).await;
    begin_deletion(&ledger, &jobs[0]).await;
    assert!(ledger.delete_job(&read).await.unwrap());
    for lease in &leases {
        let kept = ledger.renew(lease, caps.long()).await.unwrap();
        assert_eq!(kept, !lease.name.belongs_to(&jobs[0]), "{}", lease.name.as_str());
    }
    if let Acquired::Held(sweep) = sweep {
        assert!(ledger.renew(&sweep, caps.short).await.unwrap(), "the sweeper's lease belongs to no job");
        ledger.release(&sweep).await.unwrap();
    }
}

/// Those that are held now, also by spare attempts, and of this output only.
pub async fn the_leased_tasks_of_an_output_are_listed(ledger: Port, caps: &Capabilities) {
    let job = fresh_job();
    let longer: JobId = format!("{job}x").parse().expect("a plain id");
    let lease = |job: &JobId, output: &OutputId, task: &TaskId| LeaseName::task(job, output, task);
    let spare = task(2).spare().expect("a spare attempt");
    assert_eq!(ledger.leased_tasks(&job, &video()).await.unwrap(), []);
    held(&ledger, &lease(&job, &video(), &task(3)), "a", caps.long()).await;
    held(&ledger, &lease(&job, &video(), &spare), "a", caps.long()).await;
    let released = held(&ledger, &lease(&job, &video(), &task(1)), "b", caps.long()).await;
    for name in [
        LeaseName::plan(&job),
        LeaseName::assemble(&job, &video()),
        lease(&job, &transcript(), &task(5)),
        lease(&longer, &video(), &task(6)),
    ] {
        held(&ledger, &name, "c", caps.long()).await;
    }
    assert_eq!(ledger.leased_tasks(&job, &video()).await.unwrap(), [task(1), task(3), spare.clone()]);
    ledger.release(&released).await.unwrap();
    held(&ledger, &lease(&job, &video(), &task(4)), "d", caps.short).await;
    caps.outlast_short().await;
    assert_eq!(ledger.leased_tasks(&job, &video()).await.unwrap(), [task(3), spare]);
    assert_eq!(ledger.leased_tasks(&job, &transcript()).await.unwrap(), [task(5)]);
}
