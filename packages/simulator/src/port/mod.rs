//! The ports as one process sees them: each call takes its time and its chances on the way
//! to the services, and is written down where it takes effect.

mod brief;
mod ledger;
mod queue;
mod store;

use std::sync::Arc;
use std::time::Duration;

use segue_domain::HolderId;
use segue_ports::{Clock, PortError, PortErrorKind};

use crate::fault::FaultKind;
use crate::life::Life;
use crate::op::Op;
use crate::params::ProcessParams;
use crate::port::brief::Brief;
use crate::rng::Rng;
use crate::world::{EPOCH_MS, Fate, State, World, wait_ms};

pub use queue::as_old;

/// All ports of one life of one process.
#[derive(Clone)]
pub struct Port {
    world: Arc<World>,
    life: Arc<Life>,
}

/// Who makes a call, for the moment of its effect.
#[derive(Debug, Clone)]
pub struct By {
    /// Index of the process.
    pub process: usize,
    /// Who it is in leases.
    pub holder: HolderId,
    /// Whether only a part of the effect takes place.
    pub partial: bool,
}

fn injected(kind: FaultKind, op: Op) -> PortError {
    PortError::new(PortErrorKind::Transient, format!("injected: {}: {}", op.as_str(), kind.as_str()))
}

impl Port {
    /// The ports of a life.
    pub fn new(world: &Arc<World>, life: &Arc<Life>) -> Port {
        Port { world: Arc::clone(world), life: Arc::clone(life) }
    }

    /// What its process is like.
    pub fn process(&self) -> &ProcessParams {
        &self.world.params.processes[self.life.process]
    }

    /// Which process it is.
    pub fn place(&self) -> usize {
        self.life.process
    }

    fn by(&self) -> By {
        By { process: self.life.process, holder: self.life.holder.clone(), partial: false }
    }

    /// A length of time that this process means, on the clock of the services.
    fn true_time(&self, local: Duration) -> Duration {
        local * self.process().rate as u32 / 1000
    }

    /// A call on its way to the service. An error means that it did not arrive.
    async fn enter(&self, op: Op, what: &str) -> Result<Fate, PortError> {
        self.life.ready().await;
        let fate = self.world.fate(op, self.life.process);
        let lost = match (fate.refused, fate.fault) {
            (Some((kind, _)), _) => Some(kind),
            (None, Some(kind @ (FaultKind::FailBefore | FaultKind::CrashBefore))) => Some(kind),
            _ => None,
        };
        if let Some((_, ms)) = fate.refused {
            wait_ms(ms).await;
        } else {
            wait_ms(fate.before_ms).await;
        }
        if fate.fault == Some(FaultKind::SlowBefore) {
            let ms = slow_ms(&fate);
            self.note(op, what, FaultKind::SlowBefore);
            wait_ms(ms).await;
        }
        let Some(kind) = lost else { return Ok(fate) };
        self.note(op, what, kind);
        if kind == FaultKind::CrashBefore {
            self.life.kill();
        }
        self.life.ready().await;
        Err(injected(kind, op))
    }

    /// An answer on its way back.
    async fn leave<T>(&self, fate: Fate, op: Op, answer: Result<T, PortError>) -> Result<T, PortError> {
        match fate.fault {
            Some(FaultKind::CrashAfter) => self.life.kill(),
            Some(FaultKind::SlowAfter) => wait_ms(slow_ms(&fate)).await,
            _ => wait_ms(fate.after_ms).await,
        }
        self.life.ready().await;
        match fate.fault {
            Some(kind @ (FaultKind::FailAfter | FaultKind::Partial)) => Err(injected(kind, op)),
            _ => answer,
        }
    }

    fn note(&self, op: Op, what: &str, kind: FaultKind) {
        let who = self.life.holder.as_str();
        self.world.lock().line(who, format_args!("{} {what} # {}", op.as_str(), kind.as_str()));
    }

    /// One call: there, its effect, and back. `effect` is atomic and may be run twice.
    async fn call<T, E>(&self, op: Op, what: String, effect: E) -> Result<T, PortError>
    where
        T: Brief + Send + 'static,
        E: FnMut(&mut State, &World, &By) -> Result<T, PortError> + Send + 'static,
    {
        let fate = self.enter(op, &what).await?;
        let mut request = Request { world: Arc::clone(&self.world), by: self.by(), op, what, fate, effect };
        let answer = if fate.fault == Some(FaultKind::Late) {
            let mut rng = Rng::new(fate.seed);
            let (gives_up, arrives) = (rng.within(100, 5_000), rng.within(100, 100_000));
            self.world.lock().late += 1;
            tokio::spawn(async move {
                wait_ms(arrives).await;
                let _ = request.take_effect();
                request.world.lock().late -= 1;
            });
            wait_ms(gives_up).await;
            self.life.ready().await;
            return Err(injected(FaultKind::Late, op));
        } else if fate.detached && fate.before_ms > 0 {
            // it arrives, whatever becomes of the caller meanwhile
            let (answered, answer) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                wait_ms(fate.before_ms).await;
                let _ = answered.send(request.take_effect());
            });
            answer.await.expect("a request takes effect")
        } else {
            request.take_effect()
        };
        self.leave(fate, op, answer).await
    }
}

fn slow_ms(fate: &Fate) -> u64 {
    Rng::new(fate.seed ^ 1).pick(&[2_000, 8_000, 20_000, 45_000, 90_000])
}

struct Request<E> {
    world: Arc<World>,
    by: By,
    op: Op,
    what: String,
    fate: Fate,
    effect: E,
}

impl<E> Request<E> {
    fn take_effect<T: Brief>(&mut self) -> Result<T, PortError>
    where
        E: FnMut(&mut State, &World, &By) -> Result<T, PortError>,
    {
        let Request { world, by, op, what, fate, effect } = self;
        by.partial = fate.fault == Some(FaultKind::Partial);
        let state = &mut *world.lock();
        let mut answer = effect(state, world, by);
        if fate.fault == Some(FaultKind::Repeat) {
            answer = effect(state, world, by);
        }
        let note = fate.fault.map_or("", FaultKind::as_str);
        brief::line(state, by.holder.as_str(), op.as_str(), what, &answer, note);
        world.look(state);
        answer
    }
}

impl Clock for Port {
    fn now_ms(&self) -> i64 {
        let offset = self.world.lock().desks[self.life.process].wall_offset_ms;
        EPOCH_MS + self.world.true_elapsed_ms() + offset
    }
}

#[cfg(test)]
mod tests;
