//! rustdoc with what only docs.rs and the interface files need.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::machine::state;

/// Lets the rustdoc that `cargo` runs use unstable options. The variable must not reach the compiler: build scripts look at
/// it, and every dependency would be built twice.
pub(crate) fn unstable(cargo: &mut Command) -> anyhow::Result<&mut Command> {
    let script = state().join("rustdoc");
    fs::create_dir_all(state()).context("cannot create the folder for scripts")?;
    fs::write(&script, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n")
        .and_then(|()| fs::set_permissions(&script, Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", script.display()))?;
    Ok(cargo.env("RUSTDOC", script))
}
