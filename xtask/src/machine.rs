//! This machine: which programs it has, how it gets more, and where this workspace is on it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::progress::{SILENCE, say};
use crate::run;

/// The crates that are published.
pub(crate) const LIBRARIES: [&str; 3] = ["carrier-core", "carrier-amqp", "carrier-kafka"];

/// Returns the workspace's root.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Returns cargo's folder for what it builds.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Returns the folder for logs and intermediates.
pub(crate) fn state() -> PathBuf {
    target().join("xtask")
}

/// Returns the cargo that runs this program, with these arguments.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(words);
    without_package(cargo)
}

/// Returns a command in the workspace's root that knows nothing of this program's package.
pub(crate) fn without_package(mut command: Command) -> Command {
    command.current_dir(root());
    // `cargo run` describes this program's package in variables. Some build scripts look at these, and would run again
    // whenever a person calls cargo without us.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Returns a variable's value unless it is unset or blank.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Returns the path of a program, also of one that only root has on its PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let also = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(also).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Returns whether this process is root's.
pub(crate) fn is_root() -> bool {
    run::ask(Command::new("id").arg("-u"), SILENCE).is_ok_and(|id| id.trim() == "0")
}

/// Installs packages with apt-get, or says which commands a person can run instead.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let list = packages.join(" ");
    ensure!(program("apt-get").is_some(), "this machine has no apt-get to install {list} with");
    ensure!(
        is_root(),
        "{list} must be installed, which only root can do. Run this, then try again:\n    \
         sudo apt-get update && sudo apt-get install -y {list}"
    );
    // The package lists may be missing or old.
    let script = format!("apt-get install -y {list} || {{ apt-get update && apt-get install -y {list}; }}");
    let mut install = Command::new("sh");
    install.args(["-c", &script]).env("DEBIAN_FRONTEND", "noninteractive");
    run::logged(&format!("installing {list}"), &mut install, &state().join("apt-get.log"))
}

/// Provides a program: `packages` are installed unless it is here.
pub(crate) fn provide(name: &str, packages: &[&str]) -> anyhow::Result<()> {
    if program(name).is_some() {
        return Ok(());
    }
    say(&format!("`{name}` is missing"));
    install(packages)?;
    ensure!(program(name).is_some(), "`{name}` is not there after installing {}", packages.join(" "));
    Ok(())
}

/// Provides a subcommand of cargo. It is built without optimization, which takes less time than the optimized build saves.
pub(crate) fn provide_subcommand(name: &str, version: &str) -> anyhow::Result<()> {
    if run::ask(&mut cargo(&[name, "--version"]), SILENCE).is_ok() {
        return Ok(());
    }
    say(&format!("`cargo {name}` is missing"));
    let mut install = cargo(&["install", "--locked", "--debug", &format!("cargo-{name}@{version}")]);
    install.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "false");
    run::logged(&format!("installing cargo-{name}"), &mut install, &state().join(format!("cargo-{name}.log")))
}

/// Provides what librdkafka is built with, which cargo cannot.
pub(crate) fn provide_compilers() -> anyhow::Result<()> {
    provide("cc", &["gcc", "libc6-dev"])?;
    provide("c++", &["g++"])?;
    provide("make", &["make"])
}
