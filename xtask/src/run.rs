//! Runs commands: says what is run before it runs, and that it still runs when it is silent.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::progress::{Progress, SILENCE};
pub(crate) use crate::screen::{say, step};
use crate::signals;

/// How often a running command is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long a command may take to end after Ctrl-C or `kill`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines of a failed step's log that are shown.
const TAIL: usize = 25;

/// Returns a command as a person would type it, with the variables that it sets.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = quoted(&value?.to_string_lossy());
        Some(format!("{}={value} ", name.to_string_lossy()))
    });
    variables.chain([name(command)]).collect()
}

/// Returns a command without the variables that it sets, and its program without the folder.
pub(crate) fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name();
    let words = program.into_iter().chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whom Ctrl-C or `kill` reaches, and who has to be told.
#[derive(Clone, Copy, PartialEq)]
enum Group {
    /// The child has the terminal: Ctrl-C reaches it and its children by itself.
    Ours,
    /// The child leads a group of its own: all of it is told.
    Own,
}

/// Puts a command that does not have the terminal into a process group of its own, so that it can be ended
/// together with its children.
pub(crate) fn own_group(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Waits for a child that leads its own group, with `each` called while it runs. Ctrl-C and `kill` end it, as a
/// failure of `each` does.
pub(crate) fn wait(
    child: &mut Child,
    each: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<ExitStatus> {
    wait_in(Group::Own, child, each)
}

fn wait_in(
    group: Group,
    child: &mut Child,
    mut each: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<ExitStatus> {
    let mut interrupted: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match interrupted {
            None if signals::interrupted() => {
                interrupted = Some(Instant::now());
                signal(group, child, "TERM");
            }
            Some(since) if since.elapsed() > PATIENCE => {
                signal(group, child, "KILL");
                return Ok(child.wait()?);
            }
            _ => {}
        }
        if let Err(error) = each() {
            signal(group, child, "KILL");
            child.wait()?;
            return Err(error);
        }
        thread::sleep(TICK);
    }
}

/// `sh` has `kill` everywhere; a child that has ended already is no failure.
fn signal(group: Group, child: &Child, name: &str) {
    let sign = if group == Group::Own { "-" } else { "" };
    let target = format!("{sign}{}", child.id());
    let script = ["-c", "kill -s \"$1\" -- \"$2\"", "kill", name, &target];
    let _ = Command::new("sh").args(script).stderr(Stdio::null()).status();
}

/// Runs a command with its output shown, and returns whether it succeeded.
pub(crate) fn show(command: &mut Command) -> anyhow::Result<bool> {
    Ok(status(command)?.success())
}

/// As [`show`], with the whole exit status.
///
/// On a terminal the command has the terminal to itself, where cargo shows what it does. In a log its output
/// passes through here, so that standstill can be told from silence.
pub(crate) fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    ensure!(!signals::interrupted(), "interrupted");
    say(&format!("$ {}", shown(command)));
    let cannot_run = format!("cannot run `{}`", name(command));
    if std::io::stderr().is_terminal() || !one_output() {
        return wait_in(Group::Ours, &mut command.spawn().context(cannot_run)?, || Ok(()));
    }

    // One pipe for both, or their lines would get mixed up.
    let (from, to) = std::io::pipe().context("no pipe")?;
    own_group(command).stdout(to.try_clone()?).stderr(to);
    let mut child = command.spawn().context(cannot_run)?;
    // The command still holds the ends for writing.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, output) = mpsc::channel();
    thread::spawn(move || copy(from, &sender));
    let (mut progress, mut in_line) = (Progress::new("still running"), false);
    let status = wait(&mut child, || {
        while let Ok(last) = output.try_recv() {
            in_line = last != b'\n';
            progress.heard();
        }
        if in_line && progress.is_due() {
            eprintln!();
            in_line = false;
        }
        progress.tick();
        Ok(())
    })?;
    // The pipe is closed when the command is gone, unless it left a child behind.
    while output.recv_timeout(SILENCE).is_ok() {}
    Ok(status)
}

/// Returns whether standard output and standard error are the same place.
fn one_output() -> bool {
    let place = |path: &str| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let stdout = place("/proc/self/fd/1");
    stdout.is_some() && stdout == place("/proc/self/fd/2")
}

/// Copies to standard output, and tells the last byte of each piece.
fn copy(mut from: impl Read, pieces: &mpsc::Sender<u8>) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let piece = buffer.get(..count).unwrap_or_default();
        // A closed standard output must not stop the command.
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(piece).and_then(|()| stdout.flush());
        let _ = pieces.send(piece.last().copied().unwrap_or(b'\n'));
    }
}

/// Runs a step whose output only matters when it fails: it goes to `log`, and a failure shows its end.
pub(crate) fn logged(what: &str, command: &mut Command, log: &Path) -> anyhow::Result<()> {
    ensure!(!signals::interrupted(), "interrupted");
    let name = shown(command);
    say(&format!("$ {name}"));
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    own_group(command).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child = command.spawn().with_context(|| format!("{what}: cannot run `{name}`"))?;
    let mut progress = Progress::new(what);
    let status = wait(&mut child, || {
        progress.tick();
        Ok(())
    })?;
    ensure!(!signals::interrupted(), "interrupted while {what}");
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
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}

/// Asks a command that answers at once: its standard output, or why there is none.
///
/// Ctrl-C does not end it: cleaning up asks as well.
pub(crate) fn ask(command: &mut Command, limit: Duration) -> anyhow::Result<String> {
    let name = shown(command);
    own_group(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run `{name}`"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = thread::spawn(move || read(stdout));
    let stderr = thread::spawn(move || read(stderr));
    let mut progress = Progress::new(&format!("waiting for `{name}`"));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if progress.elapsed() > limit {
            signal(Group::Own, &child, "KILL");
            child.wait()?;
            bail!("`{name}` did not answer within {} s", limit.as_secs());
        }
        progress.tick();
        thread::sleep(TICK);
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    ensure!(status.success(), "`{name}` failed ({status}): {}", stderr.trim());
    Ok(stdout)
}

fn read(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        // What could be read is what there is.
        let _ = from.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
