//! The queue as one process uses it. A process of the newer build writes newer messages and reads
//! both versions.

use std::time::Duration;

use async_trait::async_trait;
use segue_ports::{Delivery, Lane, PortError, QueueDepth, Receipt, WorkQueue};
use tokio::time::Instant;

use crate::fault::FaultKind;
use crate::op::Op;
use crate::port::{Port, injected};
use crate::queue::position;
use crate::rng::Rng;
use crate::world::wait_ms;

const OLD: &str = "{\"version\":2,";
const NEW: &str = "{\"version\":3,";

/// The text with the version that this build writes, as the oracle compares texts.
pub fn as_old(body: &str) -> String {
    body.replacen(NEW, OLD, 1)
}

/// A message without what is the same in all.
pub fn short(body: &str) -> &str {
    body.strip_prefix("{\"version\":2,\"message\":").map_or(body, |rest| rest.trim_end_matches('}'))
}

impl Port {
    /// The caller gives up. What the queue then delivers is not received: it stays hidden for its
    /// visibility, and the delivery counts.
    async fn receive_late(
        &self,
        queue: Lane,
        max: usize,
        visibility: Duration,
        mut rng: Rng,
    ) -> Result<Vec<Delivery>, PortError> {
        let (gives_up, arrives) = (rng.within(100, 5_000), rng.within(100, 100_000));
        self.world.lock().late += 1;
        let port = self.clone();
        tokio::spawn(async move {
            wait_ms(arrives).await;
            let state = &mut *port.world.lock();
            state.late -= 1;
            for delivery in state.lanes.lane(queue).take(max, visibility, &mut rng) {
                let (body, receipt) = (short(&delivery.body), &delivery.receipt.0);
                let who = port.life.holder.as_str();
                state.line(
                    who,
                    format_args!("receive {queue} = {body} as {receipt}, which the caller does not get"),
                );
            }
        });
        wait_ms(gives_up).await;
        self.life.ready().await;
        Err(injected(FaultKind::Late, Op::Receive))
    }
}

#[async_trait]
impl WorkQueue for Port {
    async fn send(&self, queue: Lane, bodies: &[String], delay: Duration) -> Result<(), PortError> {
        let delay = self.true_time(delay);
        let newer = self.process().version > 1;
        let bodies: Vec<String> =
            bodies.iter().map(|b| if newer { b.replacen(OLD, NEW, 1) } else { b.clone() }).collect();
        let what = bodies.iter().map(|body| short(body)).collect::<Vec<_>>().join(" ");
        self.call(Op::Send, format!("{queue} {what}"), move |state, world, by| {
            let some = if by.partial { bodies.len() / 2 } else { bodies.len() };
            for body in &bodies[..some] {
                state.lanes.lane(queue).send(body.clone(), delay);
                world.judge_send(state, queue, body);
            }
            world.bells[position(queue)].notify_waiters();
            Ok(())
        })
        .await
    }

    async fn receive(
        &self,
        queue: Lane,
        max: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let fate = self.enter(Op::Receive, queue.as_str()).await?;
        let deadline = Instant::now() + self.true_time(wait);
        let visibility = self.true_time(visibility);
        let mut rng = Rng::new(fate.seed);
        if fate.fault == Some(FaultKind::Late) {
            return self.receive_late(queue, max, visibility, rng).await;
        }
        let twice = if fate.fault == Some(FaultKind::Repeat) { 2 } else { 1 };
        let taken = loop {
            // register before reading, so that no message that is sent in between is missed
            let mut bell = std::pin::pin!(self.world.bells[position(queue)].notified());
            bell.as_mut().enable();
            let (taken, next) = {
                let state = &mut *self.world.lock();
                let lane = state.lanes.lane(queue);
                let mut taken = Vec::new();
                for _ in 0..twice {
                    taken = lane.take(max, visibility, &mut rng);
                }
                let next = lane.next_visible();
                for delivery in &taken {
                    let who = self.life.holder.as_str();
                    let (body, receipt) = (short(&delivery.body), &delivery.receipt.0);
                    state.line(who, format_args!("receive {queue} = {body} as {receipt}"));
                }
                (taken, next)
            };
            if !taken.is_empty() || Instant::now() >= deadline {
                break taken;
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            let _ = tokio::time::timeout_at(until, bell).await;
            // which of many waiting receivers is first varies
            wait_ms(rng.below(4)).await;
            self.life.ready().await;
        };
        let newer = self.process().version > 1;
        let read = |delivery: Delivery| match newer {
            true => Delivery { body: as_old(&delivery.body), ..delivery },
            false => delivery,
        };
        self.leave(fate, Op::Receive, Ok(taken.into_iter().map(read).collect())).await
    }

    async fn extend(&self, queue: Lane, receipt: &Receipt, visibility: Duration) -> Result<bool, PortError> {
        let (receipt, visibility) = (receipt.clone(), self.true_time(visibility));
        let what = format!("{queue} {} by {} ms", receipt.0, visibility.as_millis());
        self.call(Op::Extend, what, move |state, world, _| {
            let Some(message) = state.lanes.lane(queue).of(&receipt) else { return Ok(false) };
            message.visible_at = Instant::now() + visibility;
            world.bells[position(queue)].notify_waiters();
            Ok(true)
        })
        .await
    }

    async fn ack(&self, queue: Lane, receipt: &Receipt) -> Result<bool, PortError> {
        let receipt = receipt.clone();
        self.call(Op::Ack, format!("{queue} {}", receipt.0), move |state, world, _| {
            let Some(message) = state.lanes.lane(queue).of(&receipt).cloned() else { return Ok(false) };
            world.judge_ack(state, queue, &message);
            state.lanes.lane(queue).remove(message.id);
            Ok(true)
        })
        .await
    }

    async fn dead_letter(&self, queue: Lane, receipt: &Receipt, reason: &str) -> Result<bool, PortError> {
        let (receipt, reason) = (receipt.clone(), reason.to_owned());
        let what = format!("{queue} {} because {reason}", receipt.0);
        self.call(Op::DeadLetter, what, move |state, world, _| {
            let Some(message) = state.lanes.lane(queue).of(&receipt).cloned() else { return Ok(false) };
            world.judge_dead_letter(state, &message, &reason);
            state.lanes.lane(queue).remove(message.id);
            Ok(true)
        })
        .await
    }

    async fn depth(&self, queue: Lane) -> Result<QueueDepth, PortError> {
        self.call(Op::Depth, queue.to_string(), move |state, _, _| {
            let now = Instant::now();
            let known = state.lanes.lane(queue).messages.iter().filter(|message| !message.forgotten);
            let (waiting, in_flight): (Vec<_>, Vec<_>) =
                known.partition(|message| message.visible_at <= now || message.deliveries == 0);
            Ok(QueueDepth { waiting: waiting.len() as u64, in_flight: in_flight.len() as u64, dead: 0 })
        })
        .await
    }
}
