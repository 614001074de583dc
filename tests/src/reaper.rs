//! Removes this process's containers when the process ends, however it ends.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, anyhow, ensure};

use crate::container::unique_name;

/// Every container of one test process has this label with the same value.
pub(crate) const OWNER_LABEL: &str = "org.carrier.owner";

/// Every container of one `cargo xtask` run has this label with the value of `CARRIER_RUN_ID`.
pub(crate) const RUN_LABEL: &str = "org.carrier.run";

/// `cargo xtask` and the examples run it as well.
const SCRIPT: &str = include_str!("reaper.sh");

struct Reaper {
    owner: String,
    /// Its standard input is the pipe; never waited for, since it outlives this process.
    _child: Child,
}

/// Starts the reaper unless it runs, and returns the value of this process's [`OWNER_LABEL`].
///
/// # Errors
///
/// If there is no `docker` command: nothing could be removed, so nothing may be started.
pub(crate) fn ensure() -> anyhow::Result<&'static str> {
    static REAPER: OnceLock<Result<Reaper, String>> = OnceLock::new();
    match REAPER.get_or_init(|| start().map_err(|error| format!("{error:#}"))) {
        Ok(reaper) => Ok(&reaper.owner),
        Err(message) => Err(anyhow!("{message}")),
    }
}

fn start() -> anyhow::Result<Reaper> {
    let found = Command::new("docker")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context(
            "no `docker` command, which removes the containers of a test that was killed; \
             run `cargo xtask test`, which installs it",
        )?;
    ensure!(found.success(), "`docker --version` failed: {found}");
    let owner = unique_name("carrier");
    let mut command = Command::new("sh");
    command
        .args(["-c", SCRIPT, "reaper", &format!("{OWNER_LABEL}={owner}")])
        .current_dir("/")
        .stdin(Stdio::piped())
        // Not inherited: a program that reads this process's output would wait for the reaper's end.
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C goes to the terminal's whole process group.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().context("cannot start `sh`")?;
    Ok(Reaper { owner, _child: child })
}
