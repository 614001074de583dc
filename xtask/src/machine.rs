//! This machine: who we are on it, which programs it has, and how it gets more.

use std::env;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{anyhow, bail, ensure};

use crate::progress::SILENCE;
use crate::run;

/// Returns the workspace's root.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Returns cargo's folder for what it builds.
pub(crate) fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root().join("target"))
}

/// Returns the folder for logs, intermediates and what is remembered from run to run.
pub(crate) fn state() -> PathBuf {
    target().join("xtask")
}

/// Returns cargo, the one that runs this program.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What `cargo run` tells this program about its package: some build scripts look at these, and would run
    // again whenever a person calls cargo without us.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Returns a variable's value unless it is unset or blank.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Returns the path of a program, also of one that only root has on its PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let also = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
    env::split_paths(&path)
        .chain(also.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Returns whether this process is root's.
pub(crate) fn is_root() -> bool {
    if let Ok(own) = std::fs::metadata("/proc/self") {
        return own.uid() == 0;
    }
    let id = run::ask(Command::new("id").arg("-u"), SILENCE);
    id.is_ok_and(|id| id.trim() == "0")
}

/// Checks that packages can be installed here.
///
/// # Errors
///
/// Names the exact commands, or says that there is no apt-get.
fn can_install(packages: &[&str]) -> anyhow::Result<()> {
    let list = packages.join(" ");
    if program("apt-get").is_none() {
        bail!("this machine has no apt-get to install {list} with");
    }
    ensure!(
        is_root(),
        "{list} must be installed, which only root can do. Run this, then try again:\n    \
         sudo apt-get update && sudo apt-get install -y {list}"
    );
    Ok(())
}

/// Installs packages with apt-get.
///
/// # Errors
///
/// Where we may not or it fails, with the exact commands.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    static UPDATED: OnceLock<Result<(), String>> = OnceLock::new();
    can_install(packages)?;
    let list = packages.join(" ");
    run::say(&format!("installing {list}"));
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(words);
        command
    };
    let log = state().join("apt-get.log");
    let updated = UPDATED.get_or_init(|| {
        run::logged("reading the package lists", &mut apt(&["update"]), &log)
            .map_err(|error| format!("{error:#}"))
    });
    if let Err(message) = updated {
        return Err(anyhow!("{message}"));
    }
    let words = [&["install", "-y"], packages].concat();
    run::logged(&format!("installing {list}"), &mut apt(&words), &log)
}

/// Provides a program: `packages` are installed unless it is here.
///
/// # Errors
///
/// Where it is not here and cannot be installed.
pub(crate) fn provide(name: &str, packages: &[&str]) -> anyhow::Result<()> {
    if program(name).is_some() {
        return Ok(());
    }
    run::say(&format!("`{name}` is missing"));
    install(packages)?;
    ensure!(program(name).is_some(), "`{name}` is not there after installing {}", packages.join(" "));
    Ok(())
}

/// Provides what librdkafka is built with, which cargo cannot.
///
/// # Errors
///
/// Where it is not here and cannot be installed.
pub(crate) fn provide_compilers() -> anyhow::Result<()> {
    provide("cc", &["gcc", "libc6-dev"])?;
    provide("c++", &["g++"])?;
    provide("make", &["make"])
}
