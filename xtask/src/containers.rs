//! The containers of one run: every one carries the run's label, and none may stay.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use crate::engine::docker;
use crate::progress::Progress;
use crate::{run, signals};

/// The harness reads it and labels its containers with it.
pub(crate) const VARIABLE: &str = "CARRIER_RUN_ID";

/// How long the containers of a test that has ended may take to go.
const GRACE: Duration = Duration::from_secs(10);

/// The same after Ctrl-C, where they are removed afterwards in any case.
const SHORT_GRACE: Duration = Duration::from_secs(2);

/// How long the engine may take to list or remove containers.
const ENGINE_LIMIT: Duration = Duration::from_secs(30);

/// Removes the run's containers when this process is gone, also after `kill -9`.
const REAPER: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
for pause in 0 1 3; do
    sleep "$pause"
    containers=$(docker ps -aq --filter "label=$CARRIER_REAP")
    [ -z "$containers" ] || docker rm -fv $containers
done
"#;

/// One run's label.
pub(crate) struct Run {
    id: String,
}

impl Run {
    /// Takes an id that no other run has.
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { id: format!("{:x}-{:x}", std::process::id(), since.as_nanos()) }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the label as `name=value`.
    pub(crate) fn label(&self) -> String {
        format!("org.carrier.run={}", self.id)
    }

    /// Removes the run's containers whenever this process ends; the value only has to live.
    ///
    /// # Errors
    ///
    /// Where `sh` cannot be started.
    pub(crate) fn reaper(&self) -> anyhow::Result<Child> {
        let mut command = Command::new("sh");
        // Ctrl-C goes to the terminal's whole process group, which this one must survive.
        run::own_group(&mut command)
            .args(["-c", REAPER])
            .env("CARRIER_REAP", self.label())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().context("cannot start `sh`")
    }

    fn left(&self) -> anyhow::Result<Vec<String>> {
        let filter = format!("label={}", self.label());
        let format = "{{.ID}} {{.Image}} {{.Status}}";
        let mut list = docker(&["ps", "-a", "--filter", &filter, "--format", format]);
        let text = run::ask(&mut list, ENGINE_LIMIT)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Removes the run's containers.
    ///
    /// # Errors
    ///
    /// Where the engine does not do it.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        let left = self.left()?;
        let ids: Vec<&str> = left.iter().filter_map(|line| line.split_whitespace().next()).collect();
        if !ids.is_empty() {
            run::ask(docker(&["rm", "--force", "--volumes"]).args(ids), ENGINE_LIMIT)?;
        }
        Ok(())
    }

    /// Waits until the containers of this run are gone; after Ctrl-C or `kill` it removes them instead, since
    /// tests may still be running then.
    ///
    /// # Errors
    ///
    /// Where one is still there after the grace: it is removed, and it is a bug.
    pub(crate) fn must_be_gone(&self) -> anyhow::Result<()> {
        run::step("Containers of this run");
        let mut progress = Progress::new("waiting for them to go");
        let left = loop {
            let left = self.left()?;
            if left.is_empty() {
                run::say("none is left");
                return Ok(());
            }
            if signals::interrupted() && progress.elapsed() > SHORT_GRACE {
                self.remove()?;
                run::say("they are removed");
                return Ok(());
            }
            if progress.elapsed() > GRACE {
                break left;
            }
            progress.tick();
            thread::sleep(Duration::from_millis(200));
        };
        let removed = match self.remove() {
            Ok(()) => "they are removed now".to_owned(),
            Err(error) => format!("and they could not be removed: {error:#}"),
        };
        bail!(
            "containers of this run were still there {} s after its end; {removed}. That is a bug in the test that \
             started them:\n{}",
            GRACE.as_secs(),
            left.join("\n")
        )
    }
}
