//! How long the source is, overheard from the plan: for the last line that a user reads.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use segue_domain::{JobId, Key, Plan};
use segue_pipeline::Deps;
use segue_ports::{EngineError, PlanRequest, Planned, Planner};

/// Largest plan that is read, bytes.
const PLAN_LIMIT: u64 = 256 << 20;

/// A planner that remembers how long the source was.
pub struct Overheard {
    planner: Arc<dyn Planner>,
    media_ms: OnceLock<u64>,
}

impl Overheard {
    /// Listens to `planner`.
    pub fn new(planner: Arc<dyn Planner>) -> Arc<Overheard> {
        Arc::new(Overheard { planner, media_ms: OnceLock::new() })
    }

    /// Reads the plan of a job that was sealed by an earlier process.
    pub async fn read(&self, deps: &Deps, job: &JobId) {
        if let Some(plan) = sealed_plan(deps, job).await {
            self.note(&plan);
        }
    }

    /// Length of the source in milliseconds, where it is known.
    pub fn media_ms(&self) -> Option<u64> {
        self.media_ms.get().copied()
    }

    fn note(&self, plan: &Plan) {
        if let (Some(first), Some(last)) = (plan.segments.first(), plan.segments.last()) {
            let micros = plan.timebase.to_micros(last.range.end - first.range.start);
            // a second plan of the same source is as long
            let _ = self.media_ms.set(u64::try_from(micros / 1000).unwrap_or(0));
        }
    }
}

#[async_trait]
impl Planner for Overheard {
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError> {
        let planned = self.planner.plan(request).await?;
        self.note(&planned.plan);
        Ok(planned)
    }
}

async fn sealed_plan(deps: &Deps, job: &JobId) -> Option<Plan> {
    let sealed = deps.ledger.job(job).await.ok()??.plan?;
    let key: Key = sealed.key.parse().ok()?;
    Plan::decode(&deps.store.get_bytes(&key, PLAN_LIMIT).await.ok()?, &sealed.hash).ok()
}
