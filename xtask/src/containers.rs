//! The containers of one run: every one carries the run's label, and none may stay.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use crate::engine::docker;
use crate::progress::{Progress, SILENCE, interrupted, say, step};
use crate::run;

/// The harness reads it and labels its containers with it.
pub(crate) const VARIABLE: &str = "CARRIER_RUN_ID";

/// How long the containers of a test that has ended may take to go.
const GRACE: Duration = Duration::from_secs(10);

/// The same after Ctrl-C: tests may still be running then, and the containers are removed.
const SHORT_GRACE: Duration = Duration::from_secs(2);

/// How long the engine may take to list or remove containers.
const ENGINE_LIMIT: Duration = Duration::from_secs(30);

/// The harness has a reaper for the end of each test binary; this one is for the end of this process.
const REAPER: &str = include_str!("../../tests/src/reaper.sh");

/// Gives the work an id for its containers, which must be gone afterwards. They are removed if this process ends early, also
/// by `kill -9`.
pub(crate) fn supervised<T>(work: impl FnOnce(&str) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("{:x}-{:x}", std::process::id(), since.as_nanos());
    let label = format!("org.carrier.run={id}");
    let mut command = Command::new("sh");
    // Ctrl-C goes to the terminal's whole process group, which the reaper must survive.
    let command = run::own_group(&mut command).args(["-c", REAPER, "reaper", &label]);
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let _reaper = command.spawn().context("cannot start `sh`")?;
    let result = work(&id);
    must_be_gone(&label)?;
    result
}

/// Waits until the containers with a label are gone, or removes them: after Ctrl-C at once, and otherwise as a bug.
fn must_be_gone(label: &str) -> anyhow::Result<()> {
    step("Containers of this run");
    let filter = format!("label={label}");
    let mut progress = Progress::new("waiting for them to go", SILENCE);
    loop {
        let format = "{{.ID}} {{.Image}} {{.Status}}";
        let mut list = docker(&["ps", "-a", "--filter", &filter, "--format", format]);
        let left = run::ask(&mut list, ENGINE_LIMIT)?;
        if left.is_empty() {
            say("none is left");
            return Ok(());
        }
        let is_interrupted = interrupted();
        if progress.elapsed() > if is_interrupted { SHORT_GRACE } else { GRACE } {
            let ids = left.lines().filter_map(|line| line.split_whitespace().next());
            run::ask(docker(&["rm", "--force", "--volumes"]).args(ids), ENGINE_LIMIT)?;
            if is_interrupted {
                say("they are removed");
                return Ok(());
            }
            bail!(
                "containers of this run were still there {} s after its end, and are removed now. That is a bug in the test \
                 that started them:\n{left}",
                GRACE.as_secs()
            )
        }
        progress.tick();
        thread::sleep(Duration::from_millis(200));
    }
}
