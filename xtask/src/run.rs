//! Runs commands: prints each one before it runs, and that it still runs while it is silent.

use std::fs::{self, File};
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::progress::{Progress, SILENCE, go_on, interrupted, say};

/// How often a running command is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long a command may take to end after Ctrl-C or `kill`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines of a failed step's log that are shown.
const TAIL: usize = 25;

/// Returns a command as a person would type it, with the variables that it sets.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
    });
    let program = Path::new(command.get_program()).file_name();
    let words = program.into_iter().chain(command.get_args());
    variables.chain(words.map(|word| quoted(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Puts a command that does not have the terminal into a process group of its own, so that it can be ended together with
/// its children.
pub(crate) fn own_group(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Sends a signal. `sh` has `kill` everywhere; a child that has ended already is no failure.
fn signal(target: &str, name: &str) {
    let script = ["-c", "kill -s \"$1\" -- \"$2\"", "kill", name, target];
    let _ = Command::new("sh").args(script).stderr(Stdio::null()).status();
}

/// Waits for a child, and calls `each` while it runs. Ctrl-C and `kill` end the child and its group; if the child shares
/// our terminal, Ctrl-C reaches the group by itself.
fn wait(child: &mut Child, is_group: bool, mut each: impl FnMut()) -> anyhow::Result<ExitStatus> {
    let target = format!("{}{}", if is_group { "-" } else { "" }, child.id());
    let mut since: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match since {
            None if interrupted() => {
                since = Some(Instant::now());
                signal(&target, "TERM");
            }
            Some(since) if since.elapsed() > PATIENCE => {
                signal(&target, "KILL");
                return Ok(child.wait()?);
            }
            _ => {}
        }
        each();
        thread::sleep(TICK);
    }
}

/// Checks that all run, whatever becomes of the others: here are those that failed.
#[derive(Default)]
pub(crate) struct All(Vec<String>);

impl All {
    /// Runs a command with its output shown.
    pub(crate) fn show(&mut self, command: &mut Command) -> anyhow::Result<()> {
        if !status(command)?.success() {
            go_on()?;
            self.0.push(shown(command));
        }
        Ok(())
    }

    /// Adds a failure that no command reports.
    pub(crate) fn fail(&mut self, problem: &str) {
        say(problem);
        self.0.push(problem.to_owned());
    }

    /// Says which ones failed, and returns the exit code.
    pub(crate) fn result(self, success: &str) -> u8 {
        self.0.iter().for_each(|what| say(&format!("FAILED: {what}")));
        if self.0.is_empty() {
            say(success);
        }
        u8::from(!self.0.is_empty())
    }
}

/// Runs a command with its output shown.
///
/// On a terminal the command has the terminal to itself, where cargo shows what it does. In a log a line now and then says
/// that it still runs.
pub(crate) fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    go_on()?;
    say(&format!("$ {}", shown(command)));
    let is_log = !std::io::stderr().is_terminal();
    if is_log {
        own_group(command);
    }
    let mut child = command.spawn().with_context(|| format!("cannot run `{}`", shown(command)))?;
    let mut progress = Progress::new("still running", 6 * SILENCE);
    wait(&mut child, is_log, || {
        if is_log {
            progress.tick();
        }
    })
}

/// Runs a step whose output only matters if it fails: it goes to `log`, and a failure shows its end.
pub(crate) fn logged(what: &str, command: &mut Command, log: &Path) -> anyhow::Result<()> {
    go_on()?;
    let name = shown(command);
    say(&format!("$ {name}"));
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    own_group(command).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().with_context(|| format!("{what}: cannot run `{name}`"))?;
    let mut progress = Progress::new(what, SILENCE);
    let status = wait(&mut child, true, || progress.tick())?;
    go_on()?;
    if !status.success() {
        bail!("{what} failed ({status})\nThe command: {name}\nThe end of {}:\n{}", log.display(), tail(log));
    }
    if progress.elapsed() >= SILENCE {
        say(&format!("done after {} s", progress.elapsed().as_secs()));
    }
    Ok(())
}

/// Returns the last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// Asks a command that answers at once: its standard output, or why there is none.
///
/// Ctrl-C does not end it: cleaning up asks as well.
pub(crate) fn ask(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let name = shown(command);
    own_group(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
    let group = format!("-{}", child.id());
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let mut progress = Progress::new(&format!("waiting for `{name}`"), SILENCE);
    let output = loop {
        if let Ok(output) = answer.recv_timeout(TICK) {
            break output?;
        }
        if progress.elapsed() > limit {
            signal(&group, "KILL");
            bail!("`{name}` did not answer within {} s", limit.as_secs());
        }
        progress.tick();
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{name}` failed ({}): {}", output.status, stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
