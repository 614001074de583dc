//! The RabbitMQ that `handoff` starts if none is named: it is removed, however the program ends.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use carrier_tests::{LIMIT, unique_name};

use crate::{assert_one_trace, handoff};

/// Waits until a run has a container, or has none.
fn await_container(run: &str, is_there: bool) {
    let filter = format!("label=org.carrier.run={run}");
    let began = Instant::now();
    loop {
        let listed = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output().unwrap();
        assert!(listed.status.success(), "{listed:?}");
        if listed.stdout.is_empty() != is_there {
            return;
        }
        assert!(began.elapsed() < LIMIT, "a container of {run} is there: {}", !is_there);
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn its_own_rabbitmq_does_for_the_whole_way_and_is_removed() {
    let run = unique_name("handoff");
    let ended = handoff(&[], &[("CARRIER_RUN_ID", &run)]);
    assert_one_trace(&ended, "7 spans, 4 services, 3 hops", 3);
    assert!(ended.stderr.contains("RabbitMQ is ready after "), "{ended:?}");
    await_container(&run, false);
}

#[test]
fn its_own_rabbitmq_is_removed_if_it_is_killed() {
    let run = unique_name("handoff");
    let mut command = Command::new(env!("CARGO_BIN_EXE_handoff"));
    command.env_remove("AMQP_URL").env_remove("CARRIER_DEMO_WITHOUT_AMQP").env("CARRIER_RUN_ID", &run);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    await_container(&run, true);
    child.kill().unwrap();
    child.wait().unwrap();
    await_container(&run, false);
}
