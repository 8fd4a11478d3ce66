//! Events of the world, and their end.

use std::sync::Arc;
use std::time::Duration;

use segue_domain::Message;
use segue_ports::Lane;
use tokio::time::Instant;

use crate::event::Event;
use crate::fault::FaultId;
use crate::op::Service;
use crate::queue::{SERVED, position};
use crate::rng::Rng;
use crate::world::{State, World};

/// Lets every event of the history happen at its time.
pub async fn run(world: Arc<World>) {
    let started = Instant::now();
    for (number, (at, event)) in world.params.events.iter().enumerate() {
        let id = FaultId::Event(number as u32);
        tokio::time::sleep_until(started + Duration::from_millis(*at)).await;
        if !world.params.without.contains(&id) && happen(&world, number as u32, *event) {
            world.lock().hit(id, event.kind(), None);
        }
    }
}

/// Whether it could happen, and counts now.
fn happen(world: &Arc<World>, number: u32, event: Event) -> bool {
    let from_now = |ms: u64| Some(Instant::now() + Duration::from_millis(ms));
    let state = &mut *world.lock();
    state.line("*", format_args!("{event:?}"));
    match event {
        Event::Crash(who) | Event::CrashForLong(who) => {
            state.desks[who].stays_dead = matches!(event, Event::CrashForLong(_));
            let Some(life) = &state.desks[who].life else { return false };
            life.kill();
        }
        Event::CrashAtAwait(who, polls) => {
            let Some(life) = &state.desks[who].life else { return false };
            life.kill_after(polls, number);
            // counted when the process reaches that await: see process.rs
            return false;
        }
        Event::Pause(who, ms) => {
            let Some(life) = state.desks[who].life.clone() else { return false };
            life.freeze();
            let world = Arc::clone(world);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                world.work_thaws(&mut world.lock(), &life);
                life.thaw();
            });
        }
        Event::Partition(who, service, ms) => {
            state.desks[who].cut_until[service as usize] = from_now(ms);
        }
        Event::Throttle(service, ms) => state.throttled_until[service as usize] = from_now(ms),
        Event::ClockJump(who, ms) => state.desks[who].wall_offset_ms += ms,
        Event::LedgerClockJump(ms, back) => {
            state.oracle.ledger_clock_jumped_at = Some(Instant::now());
            world.set_ledger_clock(ms);
            let world = Arc::clone(world);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(back)).await;
                world.lock().oracle.ledger_clock_jumped_at = Some(Instant::now());
                world.set_ledger_clock(0);
            });
        }
        _ => return disturb(world, state, event),
    }
    true
}

/// Events of the queue.
fn disturb(world: &World, state: &mut State, event: Event) -> bool {
    let (Event::Forget(dice)
    | Event::Duplicate(dice)
    | Event::EarlyShow(dice)
    | Event::Foreign(dice)
    | Event::Stray(dice)) = event
    else {
        return false;
    };
    let mut rng = Rng::new(dice);
    if matches!(event, Event::Foreign(_) | Event::Stray(_)) {
        let queue = rng.pick(&SERVED);
        let body =
            if matches!(event, Event::Foreign(_)) { foreign(&mut rng) } else { stray(world, &mut rng) };
        state.lanes.lane(queue).send(body, Duration::ZERO);
        world.bells[position(queue)].notify_waiters();
        return true;
    }
    let all: Vec<(Lane, u64)> = state
        .lanes
        .all()
        .flat_map(|(queue, lane)| lane.messages.iter().filter(|m| !m.forgotten).map(move |m| (queue, m.id)))
        .collect();
    if all.is_empty() {
        return false;
    }
    let (queue, id) = rng.pick(&all);
    let lane = state.lanes.lane(queue);
    let place = lane.messages.iter().position(|message| message.id == id).expect("picked above");
    match event {
        // sometimes it loses all its messages
        Event::Forget(_) if rng.chance(400) => lane.messages.iter_mut().for_each(|m| m.forgotten = true),
        Event::Forget(_) => lane.messages[place].forgotten = true,
        Event::Duplicate(_) => {
            let body = lane.messages[place].body.clone();
            lane.send(body, Duration::from_millis(rng.pick(&[0, 100, 20_000, 90_000])));
        }
        _ => lane.messages[place].visible_at = Instant::now(),
    }
    world.bells[position(queue)].notify_waiters();
    true
}

fn foreign(rng: &mut Rng) -> String {
    rng.pick(&["", "hello", "{}", "{\"version\":2}", "{\"version\":0,\"message\":{}}", "[1,2"]).to_owned()
}

/// A valid message that no role sent: of any job and output, existing or not, on any lane.
fn stray(world: &World, rng: &mut Rng) -> String {
    let mut jobs: Vec<&str> = world.params.jobs.iter().map(|job| job.id.as_str()).collect();
    jobs.push("nobody");
    let mut outputs: Vec<&str> =
        world.params.jobs.iter().flat_map(|job| &job.outputs).map(|output| output.name.as_str()).collect();
    outputs.push("unknown");
    let job = rng.pick(&jobs).parse().expect("a plain id");
    let output = rng.pick(&outputs).parse().expect("a plain id");
    let task = format!("digest-{:05}", rng.below(7)).parse().expect("a plain id");
    match rng.below(3) {
        0 => Message::Plan { job },
        1 => Message::Task { job, output, task },
        _ => Message::Assemble { job, output },
    }
    .encode()
}

/// Ends every fault: crashed processes are restarted, partitions end, clocks are corrected.
pub fn heal(world: &World) {
    let state = &mut *world.lock();
    state.line("*", format_args!("the faults end"));
    state.healed = true;
    if world.clock.offset_ms() != 0 {
        state.oracle.ledger_clock_jumped_at = Some(Instant::now());
        world.set_ledger_clock(0);
    }
    state.throttled_until = [None; Service::ALL.len()];
    let mut lives = Vec::new();
    for desk in &mut state.desks {
        (desk.cut_until, desk.wall_offset_ms, desk.stays_dead) = ([None; 3], 0, false);
        lives.extend(desk.life.clone());
    }
    for life in lives {
        life.disarm();
        if life.is_frozen() {
            world.work_thaws(state, &life);
            life.thaw();
        }
    }
    world.calm.cancel();
}
