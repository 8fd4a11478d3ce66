//! What a fault does to a call.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use segue_ports::{Lane, Resource, WorkQueue};
use tokio_util::sync::CancellationToken;

use super::Port;
use crate::fault::FaultKind;
use crate::life::Life;
use crate::op::Op;
use crate::params::Params;
use crate::scenario::Scenario;
use crate::world::World;

#[test]
fn what_a_late_receive_takes_is_not_received() {
    let mut params = Params::draw(1, Scenario::named("calm").unwrap(), HashSet::new());
    params.directed = Some((FaultKind::Late, Op::Receive, 0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = Arc::new(World::new(params, PathBuf::new()));
        let port = Port::new(&world, &Arc::new(Life::new(0, "w0", 0, CancellationToken::new())));
        world.lock().lanes.lane(Lane::Task(Resource::Cpu)).send("x".into(), Duration::ZERO);
        let visibility = Duration::from_secs(60);
        let answer = port.receive(Lane::Task(Resource::Cpu), 1, visibility, Duration::ZERO).await;
        assert!(answer.is_err(), "the caller has given up");
        while world.lock().late > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let deliveries = world.lock().lanes.lane(Lane::Task(Resource::Cpu)).messages[0].deliveries;
        assert_eq!(deliveries, 1, "the request took the message all the same");
        let again =
            port.receive(Lane::Task(Resource::Cpu), 1, visibility, Duration::from_secs(90)).await.unwrap();
        assert_eq!(again[0].deliveries, 2, "it comes again when its visibility is over");
    });
}
