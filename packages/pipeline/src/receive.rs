//! The loop of a role: receive, heartbeat, handle, settle.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::{DomainError, Message};
use segue_ports::{Delivery, Lane, PortError, Receipt, WorkQueue};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Deps, RoleConfig};

/// Outcome of a handled message.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is durable, or there is nothing to do: remove it.
    Done,
    /// Redeliver it after this delay.
    Later(Duration),
    /// Dead-letter it with this reason.
    Poison(String),
}

impl Outcome {
    /// The outcome of a message for several outputs: it is redelivered while one of them must be
    /// retried, after the longest of their delays.
    pub(crate) fn worst(outcomes: Vec<Outcome>) -> Outcome {
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Done => (0, Duration::ZERO),
            Outcome::Poison(_) => (1, Duration::ZERO),
            Outcome::Later(wait) => (2, *wait),
        };
        outcomes.into_iter().max_by_key(rank).unwrap_or(Outcome::Done)
    }
}

/// Handles messages of `lane`, one at a time, until `shutdown`.
///
/// A message is removed only after `handle` returned; if the handler fails, it is
/// redelivered. A body that cannot be parsed is dead-lettered.
pub async fn serve<H, F>(deps: &Deps, config: &RoleConfig, lane: Lane, shutdown: CancellationToken, handle: H)
where
    H: Fn(Message) -> F,
    F: Future<Output = anyhow::Result<Outcome>>,
{
    let foreign = |_, error: DomainError| async move { Ok(Outcome::Poison(error.to_string())) };
    serve_all(deps, config, lane, shutdown, handle, foreign).await;
}

/// The same for a lane on which other systems write as well: a body that cannot be parsed is passed to
/// `foreign`, with the parse error.
pub async fn serve_all<H, F, G, A>(
    deps: &Deps,
    config: &RoleConfig,
    lane: Lane,
    shutdown: CancellationToken,
    handle: H,
    foreign: G,
) where
    H: Fn(Message) -> F,
    F: Future<Output = anyhow::Result<Outcome>>,
    G: Fn(String, DomainError) -> A,
    A: Future<Output = anyhow::Result<Outcome>>,
{
    let mut errors = 0u32;
    while !shutdown.is_cancelled() {
        let given_up = async {
            shutdown.cancelled().await;
            if !config.poll_grace.is_zero() {
                tokio::time::sleep(config.poll_grace).await;
            }
        };
        let received = tokio::select! {
            biased;
            () = given_up => return,
            received = deps.queue.receive(lane, 1, config.visibility, config.poll_wait) => received,
        };
        match received {
            Ok(deliveries) if shutdown.is_cancelled() => {
                for delivery in deliveries {
                    if let Err(error) =
                        settle(deps, lane, &delivery.receipt, &Outcome::Later(Duration::ZERO)).await
                    {
                        tracing::warn!(queue = %lane, %error, "message not returned, it will be redelivered");
                    }
                }
                return;
            }
            Ok(deliveries) => {
                errors = 0;
                for delivery in deliveries {
                    attend(deps, config, lane, delivery, &handle, &foreign).await;
                }
            }
            Err(error) => {
                errors = errors.saturating_add(1);
                tracing::warn!(queue = %lane, %error, "queue cannot be read");
                let wait = config.backoff_after(errors, lane.as_str());
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

async fn attend<H, F, G, A>(
    deps: &Deps,
    config: &RoleConfig,
    lane: Lane,
    delivery: Delivery,
    handle: &H,
    foreign: &G,
) where
    H: Fn(Message) -> F,
    F: Future<Output = anyhow::Result<Outcome>>,
    G: Fn(String, DomainError) -> A,
    A: Future<Output = anyhow::Result<Outcome>>,
{
    let hidden = Hidden::keep(&deps.queue, lane, &delivery.receipt, config.visibility);
    let handled = match Message::decode(&delivery.body) {
        Ok(message) => handle(message).await,
        // for a worker of a newer build
        Err(DomainError::Version { .. }) => Ok(Outcome::Later(config.visibility)),
        Err(error) => foreign(delivery.body.clone(), error).await,
    };
    let outcome = handled.unwrap_or_else(|error| {
        tracing::warn!(queue = %lane, error = format!("{error:#}"), "message not handled, it will be redelivered");
        Outcome::Later(config.backoff_after(delivery.deliveries, &delivery.body))
    });
    drop(hidden);
    if let Err(error) = settle(deps, lane, &delivery.receipt, &outcome).await {
        tracing::warn!(queue = %lane, %error, ?outcome, "message not settled, it will be redelivered");
    }
}

async fn settle(deps: &Deps, lane: Lane, receipt: &Receipt, outcome: &Outcome) -> Result<(), PortError> {
    match outcome {
        Outcome::Done => deps.queue.ack(lane, receipt).await?,
        Outcome::Later(delay) => deps.queue.extend(lane, receipt, *delay).await?,
        Outcome::Poison(reason) => deps.queue.dead_letter(lane, receipt, reason).await?,
    };
    Ok(())
}

/// Renews the visibility of a message until it is dropped.
struct Hidden {
    heartbeat: JoinHandle<()>,
}

impl Hidden {
    fn keep(queue: &Arc<dyn WorkQueue>, name: Lane, receipt: &Receipt, visibility: Duration) -> Hidden {
        let (queue, receipt) = (Arc::clone(queue), receipt.clone());
        let heartbeat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(visibility / 3).await;
                match queue.extend(name, &receipt, visibility).await {
                    Ok(true) => {}
                    // delivered to another receiver: the lease decides which one continues
                    Ok(false) => return,
                    Err(error) => tracing::warn!(queue = %name, %error, "message not kept hidden"),
                }
            }
        });
        Hidden { heartbeat }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
