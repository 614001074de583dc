//! Runs the programs as a person does, with a clock beside it.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the programs read: a test says it all itself.
const VARIABLES: [&str; 10] = [
    "AMQP_URL",
    "KAFKA_BROKERS",
    "CARRIER_DEMO_WITHOUT_AMQP",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_PROPAGATORS",
    "HTTP_PROXY",
    "http_proxy",
];

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// Runs a program to its end, which has to come within a minute.
pub(crate) fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(program);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    // Many have it set all the time.
    command.env("RUST_BACKTRACE", "1");
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read_out = thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let read_err = thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    let limit = Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() && began.elapsed() < limit {
        thread::sleep(Duration::from_millis(10));
    }
    let took = began.elapsed();
    let _ = child.kill();
    let code = child.wait().unwrap().code();
    Ended { code, stdout: read_out.join().unwrap().unwrap(), stderr: read_err.join().unwrap().unwrap(), took }
}

impl Ended {
    /// Fails unless the program ended soon, with this code and one plain line that has `address` and no password.
    pub(crate) fn assert_refuses(&self, code: i32, address: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.took < Duration::from_secs(15), "{self:?}");
        assert!(self.stderr.contains(address), "{self:?}");
        assert_eq!(self.stderr.trim().lines().count(), 1, "{self:?}");
        for word in ["panicked", "backtrace", "secret"] {
            assert!(!self.stderr.contains(word), "{self:?}");
        }
    }
}
