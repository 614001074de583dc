//! Docker Engine: found, started, or installed and started.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::progress::{Progress, SILENCE, go_on, say, step};
use crate::{machine, run};

/// How long the engine may take to answer a question.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long the engine may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Returns a `docker` command.
pub(crate) fn docker(words: &[&str]) -> Command {
    let mut docker = Command::new("docker");
    docker.args(words);
    docker
}

/// Asks the engine; the client alone is no engine.
pub(crate) fn version() -> anyhow::Result<String> {
    let mut command = docker(&["version", "--format", "{{.Server.Version}}"]);
    Ok(run::ask(&mut command, ANSWER_LIMIT)?.trim().to_owned())
}

/// Sees to it that Docker Engine answers.
pub(crate) fn ensure() -> anyhow::Result<()> {
    step("Docker Engine");
    let error = match version() {
        Ok(version) => {
            say(&format!("version {version} answers"));
            return Ok(());
        }
        Err(error) => error,
    };
    if let Some(host) = machine::variable("DOCKER_HOST") {
        return Err(error.context(format!(
            "DOCKER_HOST is {host}, and no engine answers there; correct it, or unset it to use this machine's engine"
        )));
    }
    if format!("{error:#}").contains("permission denied") {
        bail!(
            "Docker Engine runs, but this user may not use it. Run this, log in again, then try again:\n    \
             sudo usermod -aG docker \"$USER\"\nor run the command as root."
        );
    }
    if !cfg!(target_os = "linux") {
        bail!("no Docker Engine answers ({error:#}); start Docker Desktop or another engine, then try again");
    }
    if machine::program("dockerd").is_none() || machine::program("docker").is_none() {
        provide()?;
        if version().is_ok() {
            // The package has started its service.
            say("it runs");
            return Ok(());
        }
    }
    start()
}

fn provide() -> anyhow::Result<()> {
    say("Docker Engine is not installed");
    ensure!(
        machine::program("apt-get").is_some(),
        "install Docker Engine (https://docs.docker.com/engine/install/) and start it, then try again"
    );
    machine::install(&["docker.io"])?;
    // Newer releases have the client in a package of its own.
    machine::provide("docker", &["docker-cli"])
}

fn start() -> anyhow::Result<()> {
    let systemd = Path::new("/run/systemd/system").exists();
    if !machine::is_root() {
        let command = if systemd { "sudo systemctl start docker" } else { "sudo dockerd &" };
        bail!(
            "Docker Engine is installed but does not run, and only root can start it. Run this, then try again:\n    \
             {command}\nand if the engine then refuses this user:\n    sudo usermod -aG docker \"$USER\""
        );
    }
    if systemd {
        say("it does not run: starting its service");
        let log = machine::state().join("systemctl.log");
        run::logged("starting Docker Engine", Command::new("systemctl").args(["start", "docker"]), &log)?;
        return await_answer(None, &log);
    }
    let log = machine::state().join("dockerd.log");
    say("it does not run: starting it, detached from this command");
    fs::create_dir_all(machine::state()).context("cannot create the folder for its log")?;
    for attempt in 1.. {
        // An engine that was killed a moment ago may still be ending.
        PID_FILES.iter().try_for_each(|(file, program)| forget_dead(Path::new(file), program))?;
        match launch(&log).and_then(|child| await_answer(Some(child), &log)) {
            Err(_) if attempt < 5 && run::tail(&log).contains("pid file found") => {
                thread::sleep(Duration::from_secs(1));
            }
            result => {
                result?;
                break;
            }
        }
    }
    say("it stays when this command ends; `kill $(cat /var/run/docker.pid)` stops it");
    Ok(())
}

/// Starts dockerd in its own session, where it inherits nothing: it stays when this command ends, and a program that reads
/// this command's output does not wait for it.
fn launch(log: &Path) -> anyhow::Result<Child> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new("setsid");
    command
        .arg(machine::program("dockerd").unwrap_or_else(|| "dockerd".into()))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    say(&format!("$ {} >{} 2>&1 &", run::shown(&command), log.display()));
    command.spawn().context("cannot start dockerd")
}

/// The files in which an engine keeps the ids of its processes.
const PID_FILES: [(&str, &str); 2] =
    [("/var/run/docker.pid", "dockerd"), ("/var/run/docker/containerd/containerd.pid", "containerd")];

/// Removes the file of an engine that was killed. dockerd refuses to start if another process has that id by now, or if the
/// old one is a zombie.
fn forget_dead(file: &Path, program: &str) -> anyhow::Result<()> {
    let Ok(id) = fs::read_to_string(file) else { return Ok(()) };
    // `id (name) state …`
    let process = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    let (alive, dead) = (format!("({program}) "), format!("({program}) Z"));
    if process.contains(&alive) && !process.contains(&dead) {
        return Ok(());
    }
    say(&format!("removing {}, left by an engine that was killed", file.display()));
    fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

fn await_answer(mut daemon: Option<Child>, log: &Path) -> anyhow::Result<()> {
    let mut progress = Progress::new("waiting for Docker Engine", SILENCE);
    loop {
        if let Ok(version) = version() {
            let seconds = progress.elapsed().as_secs_f32();
            say(&format!("version {version} answers after {seconds:.1} s"));
            return Ok(());
        }
        go_on()?;
        let ended = daemon.as_mut().map(Child::try_wait).transpose()?.flatten();
        if ended.is_some() || progress.elapsed() > START_LIMIT {
            let how = match ended {
                Some(status) => format!("ended ({status})"),
                None => format!("did not answer within {} s", START_LIMIT.as_secs()),
            };
            bail!("Docker Engine {how}. The end of {}:\n{}", log.display(), run::tail(log));
        }
        progress.tick();
        thread::sleep(Duration::from_millis(200));
    }
}
